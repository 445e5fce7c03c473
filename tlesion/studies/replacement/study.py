"""Replacement: what do replaced keys, noise in neurons, or rescaled hidden states do to all that comes after?

Every variant is one lesion of a sweep that hands over the hidden state after each block; of which only sizes are kept.
"""

from collections.abc import Sequence
from typing import Any

import torch

from tlesion.anatomy.model import device_of
from tlesion.anatomy.norm import final_norm
from tlesion.checks import one_of, shown
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.public import public
from tlesion.studies.common.frame import Run, prompt_frame
from tlesion.studies.replacement.downstream import DownstreamSink, HiddenStates, Prediction, TokenSpread
from tlesion.studies.replacement.outlying import Outlying, measure_outlying
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.replacement.variants import Variant
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Group, Reading, groups_of_equal_length
from tlesion.sweeps.lesions import Lesion, read_lesions
from tlesion.sweeps.memory import default_max_bytes, tokens_per_step
from tlesion.sweeps.plans.choosing import whole_rows
from tlesion.tokens import is_masked

PLANS = ("auto", "loop", "batched", "fanout")

MAX_DETAIL_BYTES = 2**26
"""Up to this size (64 MiB) standard deviations are kept token by token, for as many of the first prompts as fit."""


@public
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
        TypeError: The prompts are not a list of `Prompt`; a variant is not a `Variant`; with ``checkpoint``, one with a
            hook function of your own.
        ValueError: No variant, two of one name, no prompt, a target that is not one token, an unknown hook point, a
            plan that cannot be used here, a checkpoint of another run.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"))
        >>> result = tlesion.replacement(model, [prompt], tlesion.scale_variants(model, factors=[0.1], layers=[4, 8]))
        >>> result.hidden.std.shape, result.starts
        (torch.Size([2, 12, 1]), (4, 8))
    """
    one_of("plan", plan, PLANS)
    _check_variants(variants)
    if not 1 <= top_k <= model.cfg.d_vocab:
        raise ValueError(f"top_k is {top_k}; give 1 to {model.cfg.d_vocab}, the vocabulary")
    frame = prompt_frame(
        model,
        prompts,
        study="replacement",
        title="a replacement study",
        settings={"top_k": top_k, "plan": plan},
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    # The first lesion changes nothing: its row is the clean run.
    lesions = read_lesions(model, [[], *(variant.interventions for variant in variants)])
    labels = [variant.label for variant in variants]
    run = frame.opened(checkpoint, options={"variants": labels}, lesions=lesions[1:])
    sink = _sink(model, frame.readings, len(lesions), top_k)
    choice = whole_rows(model, frame.readings, lesions, plan)
    run.sweep(lesions, sink, stage="lesions", plan=choice.plan)
    require_finite_logits(sink.clean)
    outlying = _outlying(run, lesions[1:])
    run.checkpoint.finish()
    return Replacement(
        hidden=HiddenStates.of(sink, lesions[1:]),
        by_token=TokenSpread.of(model, sink, frame.readings, lesions[1:]),
        prediction=Prediction.of(model, sink),
        outlying=outlying,
        starts=tuple(variant.layer for variant in variants),
        variants=tuple(labels),
        settings=tuple(dict(variant.settings) for variant in variants),
        prompts=frame.labels.prompts,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        post_norm=is_masked(model),
        plan=f"{choice.plan}: {choice.reason}",
        provenance=run.provenance,
    )


def _check_variants(variants: Any) -> None:
    if not isinstance(variants, Sequence) or isinstance(variants, str):
        raise TypeError(f"variants is a {shown(variants)}; give a list of them, as tlesion.scale_variants makes it")
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


def _sink(model: Model, readings: Sequence[Reading], n_lesions: int, k: int) -> DownstreamSink:
    lengths = torch.tensor([len(reading.ids) for reading in readings])
    n_layers = model.cfg.n_layers
    fitting = int((lengths.cumsum(0) * 4 * n_lesions * n_layers <= MAX_DETAIL_BYTES).sum())
    return DownstreamSink(readings, norm=final_norm(model), k=k, n_detailed=fitting)


def _outlying(run: Run, lesions: Sequence[Lesion]) -> Outlying:
    model, groups = run.frame.model, _groups(run.frame.model, run.frame.readings, run.budget)
    return Outlying(**run.checkpoint.part("values", lambda: vars(measure_outlying(model, groups, lesions))))


def _groups(model: Model, readings: Sequence[Reading], max_bytes: int | None) -> list[Group]:
    device = device_of(model)
    longest = max(len(reading.ids) for reading in readings)
    budget = default_max_bytes(device) if max_bytes is None else max_bytes
    return list(groups_of_equal_length(readings, max_tokens=tokens_per_step(model, longest, budget, device)))
