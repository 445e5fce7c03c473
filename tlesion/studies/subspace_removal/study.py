"""Subspace removal: cut a direction instead of a neuron. What breaks, where, and how does the damage grow?

The activations of one hook point ``[token, unit]`` are centred and decomposed, the leading singular values are set to
zero, the mean is added back, and the model runs on: one lesion for every layer, all on one sweep.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from tlesion import interventions as iv
from tlesion.checks import one_of
from tlesion.correlation.interval import check_level
from tlesion.hooks import Layers, Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.models import require_logits
from tlesion.public import public
from tlesion.studies.common.frame import Run
from tlesion.studies.common.point import Point, point_of
from tlesion.studies.common.reading import Texts, read_texts, text_frame
from tlesion.studies.common.token_axis import TokenAxis
from tlesion.studies.subspace_removal.cuts import GIVEN, METHODS, Fitting, LayerFit, check_given, fit_layers
from tlesion.studies.subspace_removal.damage import SubspaceSink, measure_drops
from tlesion.studies.subspace_removal.parts import LayerCovariance, MainCut, OtherCuts
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.subspace import ObliqueEraser, Subspace
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.plans.choosing import whole_rows
from tlesion.tokens import is_masked

STUDY = "subspace_removal"
PLANS = ("auto", "loop", "batched", "fanout")


@public
def subspace_removal(
    model: Model,
    text_or_tokens: Any,
    *,
    rank: int | None = None,
    hook_point: str = "mlp.hook_pre",
    layers: Layers = "all",
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
        TypeError: Neither texts nor token ids; subspaces that are not `Subspace` or `ObliqueEraser`.
        ValueError: A text of fewer than two tokens, or one given twice; a rank above what the tokens have; constant
            activations or ones that are not finite; a subspace of the wrong width; an unknown method, hook point, layer
            or plan; a checkpoint of another run.

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
    point = point_of(model, hook_point, layers)
    texts = read_texts(model, text_or_tokens, prepend_bos=prepend_bos)
    if subspaces is not None:
        check_given(subspaces, point, options={"rank": rank, "components": components, "ranks": ranks or None})
        rank, method = subspaces[point.layers[0]].rank, GIVEN
    else:
        one_of("method", method, METHODS)
    fitting = Fitting(
        method=method,
        rank=_rank(rank, components),
        components=None if components is None else tuple(components),
        ranks=tuple(ranks),
        n_random=n_random,
        control=control,
        restore_mean=restore_mean,
        n_sampled=n_sampled,
        seed=seed,
    )
    settings = asdict(fitting) | {
        "hook_point": hook_point,
        "layers": layers if isinstance(layers, str) else list(point.layers),
        "subspaces": None if subspaces is None else [tensor_hash(_factors(subspaces[one])) for one in point.layers],
        "level": level,
        **texts.bos_setting,
    }
    _refuse_copies(texts)
    readings = _readings(model, texts)
    frame = text_frame(model, texts, study=STUDY, settings=settings, readings=readings, plan=plan, max_bytes=max_bytes)
    run = frame.opened(checkpoint)
    fits = fit_layers(run, point, texts.sequences, fitting, subspaces)
    sink, how = _swept(run, point, fits, restore_mean=restore_mean)
    run.checkpoint.finish()
    return _result(run, texts, point, fitting, fits, sink, level=level, plan=how)


def _rank(rank: int | None, components: Sequence[int] | None) -> int:
    if components is None:
        return 1 if rank is None else rank
    if rank not in (None, len(components)):
        raise ValueError(f"rank {rank} and {len(components)} components were given; leave one of them out")
    return len(components)


def _factors(subspace: Subspace | ObliqueEraser) -> Tensor:
    """What a given subspace is known by."""
    parts = (subspace.basis,) if isinstance(subspace, Subspace) else (subspace.left, subspace.right)
    return torch.cat([*parts, subspace.mean[None]])


def _refuse_copies(texts: Texts) -> None:
    """The test is over texts: a text that is given twice would count as two observations."""
    first: dict[tuple[int, ...], int] = {}
    for index, ids in enumerate(texts.sequences):
        earlier = first.setdefault(tuple(ids.tolist()), index)
        if earlier != index:
            raise ValueError(
                f"text {index} is a copy of text {earlier}, and the test is over texts: a copy is no further evidence; "
                "give each text once"
            )


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


def _swept(run: Run, point: Point, fits: Sequence[LayerFit], *, restore_mean: bool) -> tuple[SubspaceSink, str]:
    """One sweep over every cut in every layer, the first cut's lesions first, after one that changes nothing."""
    model, plan, n_cuts = run.frame.model, run.frame.plan, len(fits[0].subspaces)
    made = [
        [iv.remove_subspace(name, fit.subspaces[cut], restore_mean=restore_mean)]
        for cut in range(n_cuts)
        for name, fit in zip(point.names, fits, strict=True)
    ]
    sink = SubspaceSink(n_detailed=1 + len(point.layers))
    lesions = read_lesions(model, [[], *made])
    choice = whole_rows(model, run.frame.readings, lesions, plan)
    run.sweep(lesions, sink, stage="lesions", plan=choice.plan)
    require_finite_logits(sink.clean, where="tokens")
    return sink, f"{choice.plan}: {choice.reason}"


def _result(
    run: Run,
    texts: Texts,
    point: Point,
    fitting: Fitting,
    fits: Sequence[LayerFit],
    sink: SubspaceSink,
    *,
    level: float,
    plan: str,
) -> SubspaceRemoval:
    model, readings, n_layers = run.frame.model, run.frame.readings, len(point.layers)
    drop = sink.clean - sink.lesioned[1 : 1 + n_layers]
    text = torch.cat([torch.full((len(one.readout),), index) for index, one in enumerate(readings)])
    firsts = torch.tensor([0, *(len(one.ids) for one in readings)]).cumsum(0)
    n_controls = fitting.n_controls
    return SubspaceRemoval(
        drift=sink.drift[1:],
        clean_norm=sink.clean_norm,
        logit_drop=drop,
        clean_logit=sink.clean,
        predicted=torch.cat([one.readout + firsts[index] for index, one in enumerate(readings)]),
        cut=MainCut.of(fitting, fits),
        test=measure_drops(drop, text, level=level),
        covariance=LayerCovariance.of([fit.covariance for fit in fits]),
        controls=OtherCuts.of(fitting.cuts, slice(1, 1 + n_controls), fits, sink),
        ranks=OtherCuts.of(fitting.cuts, slice(1 + n_controls, None), fits, sink),
        texts=TokenAxis.of(model, texts.sequences),
        layers=point.layers,
        hook_point=point.short,
        reads="own" if is_masked(model) else "next",
        level=level,
        plan=plan,
        provenance=run.provenance,
    )
