"""Subspace removal: cut a direction instead of a neuron. What breaks, where, and how does the damage grow?

The activations of one hook point ``[token, unit]`` are centred and decomposed, the leading singular values are set to
zero, the mean is added back, and the model runs on: one lesion for every layer, all on one sweep.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor

from tlesion import interventions as iv
from tlesion.checks import one_of
from tlesion.correlation.interval import check_level
from tlesion.hooks import Model, in_layers, layer_of, short_form, user_hooks
from tlesion.keep.checkpoint import Checkpoint, Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.models import require_logits
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.stimuli import stimulus_hash
from tlesion.studies.common.reading import Texts, read_texts
from tlesion.studies.subspace_removal.fields import fields_of_effects, fields_of_fits, fields_of_tokens
from tlesion.studies.subspace_removal.fits import Cut, Fitting, check_given, fit_layers
from tlesion.studies.subspace_removal.layer_fit import LayerFit
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.sink import SubspaceSink
from tlesion.subspace import ObliqueEraser, Subspace
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.identity import hashes_of_readings
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.memory import settled_max_bytes
from tlesion.tokens import is_masked

PLANS = ("auto", "loop", "batched", "fanout")


def subspace_removal(
    model: Model,
    text_or_tokens: Any,
    *,
    rank: int | None = None,
    hook_point: str = "mlp.hook_pre",
    layers: Literal["all"] | Sequence[int] = "all",
    method: str = "svd",
    components: Sequence[int] | None = None,
    subspaces: Any = None,
    ranks: Sequence[int] = (),
    n_random: int = 4,
    control: str = "random",
    restore_mean: bool = True,
    n_sampled: int = 48,
    level: float | int = 0.95,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> SubspaceRemoval:
    """Cut the leading directions of a hook point's activations, one layer at a time, and follow the damage.

    Subspaces are fitted once per layer, on all tokens of all texts together (special tokens included, as the model
    reads them), and cut at every position. Nothing depends on how texts are batched.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        text_or_tokens: A text, several (the test is then over texts), or token ids ``[pos]`` or ``[text, pos]``.
        rank: How many directions; None: 1, or as many as ``components``. 0 changes nothing.
        hook_point: ``mlp.hook_pre``, ``mlp.hook_post``, ``hook_resid_post``, ``attn.hook_z`` (all heads side by side),
            or one full name.
        layers: ``"all"`` or the layers to lesion.
        method: ``"svd"``, ``"ica"``, ``"random"`` or ``"random_in_span"``; see :func:`tlesion.fit_subspace`.
        components: Which components to cut instead of the first ones, counted from 0.
        subspaces: What to cut instead, a dict of `Subspace` or `ObliqueEraser` by layer: of a contrast, of given
            directions, erasers; all of one rank.
        ranks: Further ranks, such as [1, 2, 4, 8, 16].
        n_random: How many random subspaces of equal rank to cut as controls; further ranks get one each, if any.
        control: ``"random"``: directions of the whole space; ``"random_in_span"``: within the span of the centred
            activations, which holds all of their variance.
        restore_mean: Add the mean back; False shows why it matters.
        n_sampled: How many units the pictured block of the correlations holds.
        level: Confidence level of intervals.
        seed: Of everything that is drawn; every layer and draw has its own.
        plan: ``"auto"``, ``"loop"``, ``"batched"`` or ``"fanout"``; see :func:`tlesion.sweep`.
        max_bytes: Budget for activations; default: a share of the free memory.
        prepend_bos: For texts: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: A folder in which finished parts are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Drift, logit drops, tests, variance and covariance per lesioned layer, and the same of the controls.

    Raises:
        TypeError: Neither texts nor token ids; subspaces that are none.
        ValueError: A text of fewer than two tokens; a rank above what the tokens have; constant activations or ones
            that are not finite; a subspace of the wrong width; an unknown method, hook point, layer or plan; a
            checkpoint of another run.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.subspace_removal(model, "The teacher gave the boy an apple.", rank=1, n_random=1)
        >>> result.drift.shape == (12, 12, len(result.tokens)), result.logit_drop.shape[1] == len(result.tokens) - 1
        (True, True)
    """
    require_logits(model, "a subspace study")
    check_level(level)
    one_of("plan", plan, PLANS)
    names = in_layers(model, hook_point, layers)
    texts = read_texts(model, text_or_tokens, prepend_bos=prepend_bos)
    if subspaces is not None:
        check_given(model, names, subspaces, options={"rank": rank, "components": components, "ranks": ranks or None})
        rank = subspaces[layer_of(names[0]) or 0].rank
    fitting = Fitting(
        method="svd" if subspaces is not None else method,
        rank=_rank(rank, components),
        components=None if components is None else tuple(components),
        ranks=tuple(ranks),
        n_random=n_random,
        control=control,
        restore_mean=restore_mean,
        n_sampled=n_sampled,
        seed=seed,
    )
    readings = _readings(model, texts)
    settings = asdict(fitting) | {
        "method": "given" if subspaces is not None else method,
        "hook_point": hook_point,
        "layers": layers if isinstance(layers, str) else list(layers),
        "subspaces": _hashes(subspaces, names),
        "level": level,
        "prepend_bos": prepend_bos,
    }
    stimuli = [stimulus_hash(" ".join(map(str, ids.tolist()))) for ids in texts.sequences]
    provenance = provenance_of(model, settings=settings, stimuli=stimuli)
    kept = checkpoint_of(
        model,
        checkpoint,
        study="subspace_removal",
        provenance=provenance,
        stimuli=hashes_of_readings(readings),
        options={"plan": plan, "max_bytes": max_bytes},
    )
    budget = settled_max_bytes(model, max_bytes, kept)
    fits = fit_layers(
        model, names, texts.sequences, fitting, subspaces, max_bytes=budget, checkpoint=kept.stage("fits")
    )
    sink, how = _run(
        model, names, fits, readings, restore_mean=restore_mean, plan=plan, max_bytes=budget, checkpoint=kept
    )
    kept.finish()
    cuts = (Cut("given", fitting.rank), *fitting.cuts[1:]) if subspaces is not None else fitting.cuts
    return SubspaceRemoval(
        **fields_of_effects(sink, readings, len(names), level=level),
        **fields_of_fits(fits),
        **fields_of_tokens(model, texts),
        layers=tuple(layer_of(name) or 0 for name in names),
        cut=_described(cuts[0], components),
        others=tuple(_described(cut, None) for cut in cuts[1:]),
        hook_point=short_form(names[0]),
        reads="own" if is_masked(model) else "next",
        level=level,
        plan=how,
        provenance=provenance,
    )


def _rank(rank: int | None, components: Sequence[int] | None) -> int:
    if components is None:
        return 1 if rank is None else rank
    if rank not in (None, len(components)):
        raise ValueError(f"rank {rank} and {len(components)} components were given; leave one of them out")
    return len(components)


def _readings(model: Model, texts: Texts) -> list[Reading]:
    """Where logits are read, and whose: the next token's at every token, or in a masked model the token's own."""
    n_lead, n_tail = len(texts.lead), len(texts.tail)
    found = []
    for index, ids in enumerate(texts.sequences):
        if len(ids) < 2:
            raise ValueError(
                f"text {index} has {len(ids)} token, and a subspace needs at least 2 tokens; give a longer one"
            )
        if is_masked(model):
            readout = torch.arange(n_lead, len(ids) - n_tail)
            found.append(Reading(ids, readout, ids[readout, None]))
        else:
            found.append(Reading(ids, torch.arange(len(ids) - 1), ids[1:, None]))
    return found


def _run(
    model: Model,
    names: Sequence[str],
    fits: Sequence[LayerFit],
    readings: Sequence[Reading],
    *,
    restore_mean: bool,
    plan: str,
    max_bytes: int | None,
    checkpoint: Checkpoint,
) -> tuple[SubspaceSink, str]:
    """One sweep over every cut in every layer, the first cut's lesions first, after one that changes nothing."""
    n_cuts = len(fits[0].subspaces)
    made = [
        [iv.remove_subspace(name, fit.subspaces[cut], restore_mean=restore_mean)]
        for cut in range(n_cuts)
        for name, fit in zip(names, fits, strict=True)
    ]
    sink = SubspaceSink(n_detailed=1 + len(names))
    # Hidden states of all positions are needed: the plan "prefix", which the null lesion would have, carries a tail.
    chosen = plan if plan != "auto" else "loop" if user_hooks(model) else "fanout"
    lesions = read_lesions(model, [[], *made])
    settled = run_sweep(
        model, readings, lesions, sink, plan=chosen, max_bytes=max_bytes, checkpoint=checkpoint.stage("lesions")
    )
    if not bool(sink.clean.isfinite().all()):
        raise ValueError("clean logits are NaN or infinite, so no effect can be measured; look at weights and dtype")
    return sink, settled.reason if plan != "auto" else f"{chosen}: hidden states of all positions are needed"


def _described(cut: Cut, components: Sequence[int] | None) -> dict[str, Any]:
    named = f"{cut.kind}, components {', '.join(map(str, components))}" if components else cut.label
    return asdict(cut) | {"label": named, "components": None if components is None else list(components)}


def _hashes(subspaces: Any, names: Sequence[str]) -> list[str] | None:
    if subspaces is None:
        return None
    return [tensor_hash(_factors(subspaces[layer_of(name) or 0])) for name in names]


def _factors(subspace: Subspace | ObliqueEraser) -> Tensor:
    parts = (subspace.basis,) if isinstance(subspace, Subspace) else (subspace.left, subspace.right)
    return torch.cat([*parts, subspace.mean[None]])
