"""The public sweep: many lesions over many prompts, read at the prompts' readout positions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.checks import shown
from tlesion.encoding import bos_setting, encode_prompt, label_of
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.results import Result
from tlesion.models import require_logits
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.public import public
from tlesion.stimuli import Prompt
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.identity import hashes_of_lesions, hashes_of_readings
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.memory import settled_max_bytes
from tlesion.sweeps.sinks import TargetSink


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepResult(Result):
    """What a sweep read.

    Attributes:
        clean_logits: Logits of the targets in the clean run.
        lesioned_logits: The same in every lesioned run.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits; NaN where it was not
            asked for.
        kl: Kullback-Leibler divergence of the lesioned prediction from the clean one, in nats; likewise.
        prompts: The prompts' texts.
        targets: The target words of each prompt.
        plan: How it was run; several joined by "+" where lesions were run in different ways.
        reason: Why.
    """

    clean_logits: Float[Tensor, "prompt target"]
    lesioned_logits: Float[Tensor, "lesion prompt target"]
    global_change: Float[Tensor, "lesion prompt"]
    kl: Float[Tensor, "lesion prompt"]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    plan: str
    reason: str

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Add divergences, which are not known, to the ``values`` of a sweep of version 0.1."""
        return {"kl": torch.full_like(values["global_change"], torch.nan)} | values

    @property
    def logit_drop(self) -> Float[Tensor, "lesion prompt target"]:
        """Clean − lesioned logit of every target. Positive: the lesion cost that token."""
        return self.clean_logits - self.lesioned_logits

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per lesion, prompt and target.

        Columns: lesion, prompt, text, target, clean_logit, lesioned_logit, logit_drop, global_change, kl.
        """
        n_lesions, n_prompts, n_targets = self.lesioned_logits.shape
        index = pd.MultiIndex.from_product(
            [range(n_lesions), range(n_prompts), range(n_targets)], names=["lesion", "prompt", "target"]
        )
        frame = index.to_frame(index=False)
        frame["text"] = [self.prompts[i] for i in frame["prompt"]]
        frame["target"] = [self.targets[i][j] for i, j in zip(frame["prompt"], frame["target"], strict=True)]
        frame["clean_logit"] = self.clean_logits.expand_as(self.lesioned_logits).flatten().numpy()
        frame["lesioned_logit"] = self.lesioned_logits.flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        for name in ("global_change", "kl"):
            frame[name] = getattr(self, name)[..., None].expand_as(self.lesioned_logits).flatten().numpy()
        return frame


@public
def sweep(
    model: Model,
    prompts: Any,
    lesions: Any,
    *,
    plan: str = "auto",
    global_change: bool = True,
    kl: bool | None = None,
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> SweepResult:
    """Run every lesion over every prompt and read the targets' logits, as one run per lesion would give them.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        prompts: A list of `Prompt` with equally many targets each; lengths and readout positions may differ.
        lesions: A list of lesions, each a list of ``(hook name, function)`` pairs that are applied together:
            interventions of :mod:`tlesion.interventions`, or hook functions of your own. A function of your own
            sees ``[prompt, pos, ...]`` for a batch of prompts of equal length, without padding. Several in one lesion
            may hand things to each other: such a lesion is run by itself, by the plan "loop".
        plan: ``"loop"`` (one run per lesion: the reference), ``"batched"``, ``"fanout"``, ``"prefix"`` (causal
            models, edits with known positions), or ``"auto"``: the cheapest that is exact. What a plan relies on is
            measured on the model at hand; where the model carries hooks, patched methods or modules of your own,
            ``"auto"`` takes the loop and ``reason`` says why, and a faster plan that is asked for by name is refused.
        global_change: Also measure how far the whole vocabulary's logits move; without it, and without ``kl``, only
            the targets' columns are computed.
        kl: Also measure how far the prediction moves. None: as ``global_change``, which it costs little beside.
        max_bytes: Budget for activations; default: a share of the free memory.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: A folder in which finished parts are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Logits of the targets, clean and lesioned, and what was done.

    Raises:
        ValueError: No prompt, no lesion, an unknown hook name or plan, a target that is not one token, an edit
            that never fired, NaN in the clean logits, a checkpoint of another run.
        TypeError: Prompts that are not a list of `Prompt`; with ``checkpoint``, a hook function of your own, which
            cannot be compared.

    Example:
        >>> import tlesion
        >>> from tlesion import interventions as iv
        >>> model = tlesion.load_model("toy-bert")
        >>> prompts = [tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"))]
        >>> lesions = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions="readout")] for layer in range(12)]
        >>> result = tlesion.sweep(model, prompts, lesions)
        >>> result.logit_drop.shape, result.plan
        (torch.Size([12, 1, 2]), 'fanout')
    """
    require_logits(model, "a sweep")
    kl = global_change if kl is None else kl
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    read = read_lesions(model, lesions)
    settings = {
        "lesions": [[name for name, _ in lesion.all_pairs] for lesion in read],
        "plan": plan,
        "global_change": global_change,
        "kl": kl,
        **bos_setting(prompts, prepend_bos),
    }
    stimuli = [stimulus for prompt in prompts for stimulus in prompt.stimuli]
    provenance = provenance_of(model, settings=settings, stimuli=stimuli)
    kept = checkpoint_of(
        model,
        checkpoint,
        study="sweep",
        provenance=provenance,
        stimuli=hashes_of_readings(readings),
        options={"max_bytes": max_bytes, "edits": hashes_of_lesions(read) if checkpoint is not None else []},
    )
    labels = [label_of(model, prompt) for prompt in prompts]
    sink = TargetSink(readings, global_change=global_change, kl=kl)
    budget = settled_max_bytes(model, max_bytes, kept)
    settled = run_sweep(model, readings, read, sink, plan=plan, max_bytes=budget, checkpoint=kept)
    clean = sink.clean[:, 0].double()
    require_finite_logits(clean)
    kept.finish()
    return SweepResult(
        clean_logits=clean,
        lesioned_logits=sink.lesioned[:, :, 0].double(),
        global_change=sink.global_change[:, :, 0].double(),
        kl=sink.kl[:, :, 0],
        prompts=tuple(label.text for label in labels),
        targets=tuple(label.targets for label in labels),
        plan=settled.plan,
        reason=settled.reason,
        provenance=provenance,
    )


def encode_prompts(model: Model, prompts: Any, *, prepend_bos: bool | None = None) -> list[Reading]:
    """Tokens, readout position and targets of all prompts, found once and up front.

    Raises:
        TypeError: The prompts are not a list of `Prompt`.
        ValueError: There is no prompt, or prompts with different numbers of targets.
    """
    _require_list(prompts)
    if not prompts:
        raise ValueError("no prompt was given; give a list with at least one tlesion.Prompt")
    counts = sorted({len(prompt.targets) for prompt in prompts})
    if len(counts) > 1:
        raise ValueError(f"prompts have {counts} targets; give every prompt of a list equally many")
    encoded = [encode_prompt(model, prompt, prepend_bos=prepend_bos) for prompt in prompts]
    return [Reading(one.ids, torch.tensor([one.readout]), one.targets[None]) for one in encoded]


def _require_list(prompts: Any) -> None:
    """Refuse anything but a list of prompts, above all a single one."""
    if isinstance(prompts, Prompt | str) or not isinstance(prompts, Sequence):
        single = "single " if isinstance(prompts, Prompt | str) else ""
        way = "[prompt]" if isinstance(prompts, Prompt) else "[tlesion.Prompt(text, targets=(...)), ...]"
        if isinstance(prompts, Iterator | np.ndarray):
            way = "list(prompts)"
        elif hasattr(prompts, "to_dict"):
            way = "[tlesion.Prompt(**row) for row in prompts.to_dict('records')], or tlesion.files.read_prompts(file)"
        raise TypeError(f"prompts is a {single}{shown(prompts)}; give a list of tlesion.Prompt: {way}")
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, Prompt):
            raise TypeError(
                f"prompt {index} is a {shown(prompt)}; every prompt of a list is a tlesion.Prompt(text, targets=(...))"
            )
