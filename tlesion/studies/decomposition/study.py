r"""Direct and downstream: which way does a logit drop take from a lesioned MLP to the logits?

The lesioned block passes on a changed vector S at the readout position. From there on, three things can move the
logits: the change itself, on its way along the residual stream to the head; the answers m of later attention and MLPs;
and the scales :math:`\sigma` by which norms on the way divide. With :math:`z(S, m, \sigma)` for a target's logit, and
c for what is clean, the drop :math:`z(S_c, m_c, \sigma_c) - z(S, m, \sigma)` is the sum of

.. math::
    \text{direct} &= z(S_c, m_c, \sigma_c) - z(S, m_c, \sigma_c) \\
    \text{downstream} &= z(S, m_c, \sigma_c) - z(S, m, \sigma_c) \\
    \text{direct rescaling} &= z(S, m_c, \sigma_c) - z(S, m_c, \sigma(S, m_c)) \\
    \text{downstream rescaling} &= [z(S, m, \sigma_c) - z(S, m, \sigma)] - \text{direct rescaling}

where m are the answers in the lesioned run and :math:`\sigma(S, m_c)` the scales that this mixture meets.

In a pre-norm model the only norm on the way is the final one, and z is linear in S and m once its scale is fixed: the
direct part is :math:`W_U \, (w \odot (\Delta - \bar\Delta)) / \sigma_c` with :math:`\Delta = S_c - S`. In BERT each
block norms after its attention and again after its MLP, and all of these norms from the lesioned block on are on the
way, and so is the head (dense layer, GELU, norm). They are part of z: "direct" is what reaches the logits when every
later attention and MLP adds what it added in the clean run. The GELU is not frozen, so that z is not linear there.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import DoesNotApply
from tlesion.hooks import Model
from tlesion.interventions.ablation import Ablation
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.studies.common.frame import LesionFrame, Run, lesion_frame
from tlesion.studies.common.point import Point
from tlesion.studies.decomposition.path_trace import PathTrace
from tlesion.studies.decomposition.readout_path import ReadoutPath
from tlesion.studies.decomposition.result import PARTS, DropDecomposition
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.tokens import is_masked


@public
def decompose_drop(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    reference: Any = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> DropDecomposition:
    """Lesion one MLP at a time, and tell the part of the logit drop that is direct from that of later layers.

    The four parts add up to the drop. In the last layer nothing comes after, so that the downstream parts are zero. A
    lesion at other positions than a prompt's readout reaches its logits through later attention only: both direct
    parts are zero then. See :mod:`tlesion.studies.decomposition.study` for the equations.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers; None: all units, such as the whole MLP.
        prompts: Prompts with equally many targets each.
        ablation: As in :func:`tlesion.laminar_profile`.
        hook_point: Short form of a point inside the MLP, or ``hook_mlp_out``.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``.
        seed: Of the noise.
        plan: See :func:`tlesion.sweep`; "prefix" is for causal models.
        max_bytes: See :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: As in :func:`tlesion.laminar_profile`.

    Returns:
        The parts per mask, layer, prompt and target, beside the drop that the model itself computes.

    Raises:
        ValueError: A hook point outside the MLP; a model whose logits are not what its residual stream, norms and head
            give (for example with hooks of your own after the last block); and all that :func:`tlesion.laminar_profile`
            refuses.
        TypeError: The masks are not a dict.

    Source:
        Direct effects as in direct logit attribution (``ActivationCache.logit_attrs`` of TransformerLens, which freezes
        the final norm in the same way). The direct part with its rescaling equals the drop that is measured when hooks
        put every later attention and MLP output back to its clean value.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> parts = tlesion.decompose_drop(model, None, [prompt])
        >>> parts.direct.shape, parts.downstream[:, -1].abs().max().item()
        (torch.Size([1, 12, 1, 2]), 0.0)
    """
    frame = lesion_frame(
        model,
        prompts,
        study="decompose_drop",
        title="the decomposition of a drop",
        hook_point=hook_point,
        ablation=ablation,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    _require_in_mlp(frame.point)
    named = frame.point.masks(masks, whole=True)
    settings = {"masks": {name: tensor_hash(mask) for name, mask in named.items()}}
    run = frame.opened(checkpoint, settings=settings, options={"order_of_masks": list(named)})
    stack = torch.stack(list(named.values()))
    trace, how = _traced(run, frame, stack)
    parts = _parts_of(frame, stack, trace)
    run.checkpoint.finish()
    measured = trace.clean - trace.lesioned[1:]
    return DropDecomposition(
        direct=parts["direct"],
        downstream=parts["downstream"],
        direct_rescaling=parts["direct_rescaling"],
        downstream_rescaling=parts["downstream_rescaling"],
        measured_drop=measured.reshape(*stack.shape[:2], *trace.clean.shape),
        clean_logits=trace.clean,
        n_lesioned=stack.sum(dim=2),
        masks=tuple(named),
        layers=frame.point.layers,
        prompts=frame.labels.prompts,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        post_norm=is_masked(model),
        plan=how,
        provenance=run.provenance,
    )


def _require_in_mlp(point: Point) -> None:
    if not point.short.startswith("mlp.") and point.short != "hook_mlp_out":
        raise DoesNotApply(
            f"hook point {point.short!r} is not inside an MLP, whose output is what is followed to the logits; give "
            "'mlp.hook_pre', 'mlp.hook_post' or 'hook_mlp_out'"
        )


def _traced(run: Run, frame: LesionFrame, stack: Bool[Tensor, "mask layer unit"]) -> tuple[PathTrace, str]:
    """Every mask's lesion of every layer, after one that changes nothing; and how they were run."""
    names, layers = frame.point.names, frame.point.layers
    trace = PathTrace(frame.model, frame.readings)
    lesions = [trace.watch(0, 0)]
    for units in stack:
        for row, name in enumerate(names):
            pair = frame.ablation.at(name, row, units[row])
            watched = [] if not bool(units[row].any()) else trace.watch(len(lesions), layers[row])
            lesions.append([pair, *watched])
    settled = run.sweep(read_lesions(frame.model, lesions), trace)
    require_finite_logits(trace.clean)
    return trace, settled.reason


def _parts_of(
    frame: LesionFrame, stack: Bool[Tensor, "mask layer unit"], trace: PathTrace
) -> dict[str, Float64[Tensor, "mask layer prompt target"]]:
    """The parts by name; zero where a mask has no unit in the layer."""
    layers = frame.point.layers
    path = ReadoutPath(frame.model, torch.cat([reading.targets for reading in frame.readings]))
    at_readout = _reaches_readout(frame.ablation, frame.readings)
    found = {name: torch.zeros(*stack.shape[:2], *trace.clean.shape, dtype=torch.float64) for name in PARTS}
    for mask, row in stack.any(dim=2).nonzero().tolist():
        lesion = 1 + mask * len(layers) + row
        parts = _parts(path, trace, lesion, layers[row], at_readout)
        _require_agreement(frame.model, trace, lesion, torch.stack(list(parts.values())).sum(dim=0))
        for name, values in parts.items():
            found[name][mask, row] = values
    return found


def _parts(
    path: ReadoutPath, trace: PathTrace, index: int, layer: int, at_readout: Bool[Tensor, " prompt"]
) -> dict[str, Float64[Tensor, "prompt target"]]:
    clean_start, clean_later = trace.start(0, layer), trace.later(0, layer)
    later = trace.later(index, layer)
    # Elsewhere the block's output at the readout is the clean one; without this its rounding would be seen instead.
    start = torch.where(at_readout[:, None], trace.start(index, layer), clean_start)
    clean, scales = path.logits(layer, clean_start, clean_later)
    frozen_fixed, _ = path.logits(layer, start, clean_later, scales)
    frozen, _ = path.logits(layer, start, clean_later)
    whole_fixed, _ = path.logits(layer, start, later, scales)
    whole, _ = path.logits(layer, start, later)
    direct_rescaling = frozen_fixed - frozen
    return {
        "direct": clean - frozen_fixed,
        "downstream": frozen_fixed - whole_fixed,
        "direct_rescaling": direct_rescaling,
        "downstream_rescaling": (whole_fixed - whole) - direct_rescaling,
    }


def _reaches_readout(make: Ablation, readings: Sequence[Reading]) -> Bool[Tensor, " prompt"]:
    """Whether the lesion touches a prompt's readout position itself."""
    if not isinstance(make.positions, int):
        return torch.ones(len(readings), dtype=torch.bool)
    position = make.positions
    return torch.tensor([position % len(one.ids) == int(one.readout[0]) for one in readings])


def _require_agreement(model: Model, trace: PathTrace, index: int, total: Tensor) -> None:
    """Refuse parts that do not add up to what the model computes: its readout is not what this study takes it for."""
    measured = trace.clean - trace.lesioned[index]
    largest = max(1.0, float(trace.clean.abs().max()))
    # Half of the digits of the model's dtype: a wrong equation misses by far more, rounding by far less.
    allowed = largest * torch.finfo(model.cfg.dtype).eps ** 0.5
    off = float((total - measured).abs().max())
    if not off <= allowed:
        raise ValueError(
            f"the parts of a drop add up to another drop than the model's own, by up to {off:.3g} (allowed "
            f"{allowed:.1g}): its logits are not its residual stream, norms and head; take off hooks of your own that "
            "change the stream, norms or head (model.reset_hooks())"
        )
