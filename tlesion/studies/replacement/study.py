"""Replacement: what do replaced keys, noise in neurons, or rescaled hidden states do to all that comes after?

Every variant is one lesion of a sweep that hands over the hidden state after each block; nothing is kept of them but
their sizes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.anatomy.model import device_of
from tlesion.anatomy.norm import final_norm
from tlesion.checks import one_of
from tlesion.hooks import Model, user_hooks
from tlesion.keep.checkpoint import Checkpoint, Folder
from tlesion.models import require_logits
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.studies.common.reading import written
from tlesion.studies.replacement.downstream import SIZES, DownstreamSink
from tlesion.studies.replacement.outlying import Outlying, measure_outlying
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.replacement.variants import Variant
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Group, Reading, groups_of_equal_length
from tlesion.sweeps.identity import hashes_of_lesions, hashes_of_readings
from tlesion.sweeps.lesions import Lesion, read_lesions
from tlesion.sweeps.memory import default_max_bytes, settled_max_bytes, tokens_per_step
from tlesion.sweeps.sweep import encode_prompts
from tlesion.tokens import is_masked

PLANS = ("auto", "loop", "batched", "fanout")

MAX_DETAIL_BYTES = 2**26
"""Up to this size (64 MiB) standard deviations are kept token by token, for as many of the first prompts as fit."""


def replacement(
    model: Model,
    prompts: Any,
    variants: Sequence[Any],
    *,
    top_k: int = 10,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> Replacement:
    """Replace activations and follow what it does, block by block, down to the prediction.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        prompts: A list of `Prompt` with equally many targets each.
        variants: What to replace: ``head_variants``, ``noise_variants``, ``scale_variants``, or variants of your own.
        top_k: How many of the likeliest tokens to compare.
        plan: ``"auto"``, ``"loop"``, ``"batched"`` or ``"fanout"``; see :func:`tlesion.sweep`. The plan "prefix"
            leaves out the positions before the first edited one, whose hidden states belong to the result here.
        max_bytes: Budget for activations; default: a share of the free memory.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: A folder in which finished parts are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Sizes of the hidden state after every block, clean and lesioned, what became of the prediction, how far out
        of distribution the replaced values are, and how much is undone later.

    Raises:
        TypeError: The prompts are no list of `Prompt`; a variant is not a `Variant`; with ``checkpoint``, one with a
            hook function of your own.
        ValueError: No variant, two of one name, no prompt, a target that is not one token, an unknown hook point, a
            plan that does not serve, a checkpoint of another run.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"))
        >>> result = tlesion.replacement(model, [prompt], tlesion.scale_variants(model, factors=[0.1], layers=[4, 8]))
        >>> result.std.shape, result.starts
        (torch.Size([2, 12, 1]), (4, 8))
    """
    require_logits(model, "a replacement study")
    one_of("plan", plan, PLANS)
    _check_variants(variants)
    if not 1 <= top_k <= model.cfg.d_vocab:
        raise ValueError(f"top_k {top_k} is no number of tokens; give 1 to {model.cfg.d_vocab}, the vocabulary")
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    # The first lesion changes nothing: its row is the clean run.
    lesions = read_lesions(model, [[], *(variant.interventions for variant in variants)])
    settings = {"top_k": top_k, "plan": plan, "prepend_bos": prepend_bos}
    provenance = provenance_of(model, settings=settings, stimuli=[s for p in prompts for s in p.stimuli])
    kept = checkpoint_of(
        model,
        checkpoint,
        study="replacement",
        provenance=provenance,
        stimuli=hashes_of_readings(readings),
        options={
            "max_bytes": max_bytes,
            "variants": [variant.label for variant in variants],
            "edits": hashes_of_lesions(lesions[1:]) if checkpoint is not None else [],
        },
    )
    sink = _sink(model, readings, len(lesions), top_k)
    budget = settled_max_bytes(model, max_bytes, kept)
    whole = _whole_rows(model, lesions, plan)
    settled = run_sweep(model, readings, lesions, sink, plan=whole, max_bytes=budget, checkpoint=kept.stage("lesions"))
    require_finite_logits(sink.clean)
    outlying = _outlying(model, _groups(model, readings, budget), lesions, kept)
    kept.finish()
    return Replacement(
        **_hidden(model, sink, readings, lesions[1:]),
        **_prediction(model, sink),
        z_of_mean=outlying.z_of_mean[1:],
        outside_layer=outlying.outside_layer[1:],
        outside_unit=outlying.outside_unit[1:],
        changed=outlying.changed[1:],
        starts=tuple(variant.layer for variant in variants),
        variants=tuple(variant.label for variant in variants),
        settings=tuple(dict(variant.settings) for variant in variants),
        prompts=tuple(prompt.text for prompt in prompts),
        targets=tuple(prompt.targets for prompt in prompts),
        correct=tuple(prompt.correct for prompt in prompts),
        post_norm=is_masked(model),
        plan=settled.reason,
        provenance=provenance,
    )


def _check_variants(variants: Sequence[Any]) -> None:
    wrong = [variant for variant in variants if not isinstance(variant, Variant)]
    if wrong:
        raise TypeError(
            f"{wrong[0]!r} is not a Variant; make some with tlesion.scale_variants, noise_variants or head_variants, "
            "or Variant('my lesion', interventions=(...))"
        )
    labels = [variant.label for variant in variants]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if not variants or twice:
        raise ValueError(
            f"variants {twice} occur twice; give each a label of its own: dataclasses.replace(variant, label=...)"
            if twice
            else "no variant was given; make some with tlesion.scale_variants, noise_variants or head_variants"
        )


def _outlying(model: Model, groups: Sequence[Group], lesions: Sequence[Lesion], kept: Checkpoint) -> Outlying:
    return Outlying(**kept.part("outlying", lambda: vars(measure_outlying(model, groups, lesions))))


def _whole_rows(model: Model, lesions: Sequence[Lesion], plan: str) -> str:
    """The fastest plan that carries all positions of every prompt."""
    if plan != "auto":
        return plan
    return "loop" if user_hooks(model) or any(lesion.outside_blocks for lesion in lesions) else "fanout"


def _groups(model: Model, readings: Sequence[Reading], max_bytes: int | None) -> list[Group]:
    device = device_of(model)
    longest = max(len(reading.ids) for reading in readings)
    budget = max_bytes or default_max_bytes(device)
    return list(groups_of_equal_length(readings, max_tokens=tokens_per_step(model, longest, budget, device)))


def _sink(model: Model, readings: Sequence[Reading], n_lesions: int, k: int) -> DownstreamSink:
    lengths = torch.tensor([len(reading.ids) for reading in readings])
    n_layers = model.cfg.n_layers
    fitting = int((lengths.cumsum(0) * 4 * n_lesions * n_layers <= MAX_DETAIL_BYTES).sum())
    return DownstreamSink(readings, norm=final_norm(model), k=k, n_detailed=fitting)


def _hidden(
    model: Model, sink: DownstreamSink, readings: Sequence[Reading], lesions: Sequence[Lesion]
) -> dict[str, Any]:
    """The fields about hidden states: before a lesion begins they are the clean run's."""
    layers = torch.arange(model.cfg.n_layers)
    reached = torch.stack([layers >= (0 if lesion.is_null else lesion.first_layer) for lesion in lesions])[..., None]

    def filled(sizes: Tensor) -> Tensor:
        return torch.where(reached, sizes[1:], sizes[:1])

    found: dict[str, Any] = {name: filled(sink.sizes[name]) for name in SIZES}
    for name in ("std", "std_token", "norm"):
        found[f"clean_{name}"] = sink.sizes[name][0]
    found["std_by_token"], found["clean_std_by_token"] = filled(sink.std_by_token), sink.std_by_token[0]
    n_detailed = found["std_by_token"].shape[2]
    ids = torch.cat([reading.ids for reading in readings])[:n_detailed].tolist()
    of_prompt = [torch.full((len(reading.ids),), index) for index, reading in enumerate(readings)]
    found["token_prompt"] = torch.cat(of_prompt)[:n_detailed]
    found["tokens"] = written(model, ids)
    return found


def _prediction(model: Model, sink: DownstreamSink) -> dict[str, Any]:
    """The fields about the prediction."""
    ids, place = sink.top.unique(return_inverse=True)
    top: Int[Tensor, "lesion prompt k"] = place
    drop: Float64[Tensor, "variant prompt target"] = sink.clean - sink.lesioned[1:]
    return {
        "kl": sink.kl[1:],
        "global_change": sink.global_change[1:],
        "logit_drop": drop,
        "clean_logits": sink.clean,
        "clean_top": top[0],
        "lesioned_top": top[1:],
        "vocabulary": written(model, ids.tolist()),
    }
