"""Hook-point names of a model.

A TransformerLens hook point has a full name, ``blocks.3.mlp.hook_post``. The short form ``mlp.hook_post``
stands for that point in every layer.
"""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import Tensor

from tlesion.anatomy.model import Model, is_masked, never_called, require_model
from tlesion.checks import whole_numbers
from tlesion.hooks.layouts import layout_of, width

if TYPE_CHECKING:
    Layers: TypeAlias = str | Sequence[int] | np.ndarray | Tensor
    """``"all"``, or layer indices."""
else:
    Layers = Any  # At run time anything gets through to the check, whose message names what is allowed.

HookFunction = Callable[..., Tensor | None]
FwdHook = tuple[str, HookFunction]

_IN_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def names(model: Any) -> list[str]:
    """Every hook-point name of the model, in the order in which TransformerLens lists them.

    Args:
        model: The model.

    Returns:
        Full names, ``blocks.3.mlp.hook_post``.

    Raises:
        TypeError: The model is of another kind.

    Example:
        >>> import tlesion
        >>> names(tlesion.load_model("toy-bert"))[0]
        'embed.ln.hook_scale'
    """
    return list(require_model(model).hook_dict)


def layer_of(name: str) -> int | None:
    """The layer of a full hook name, or None for a point outside the blocks.

    Args:
        name: A full hook name.

    Returns:
        The layer, counted from 0.

    Example:
        >>> layer_of("blocks.3.mlp.hook_post"), layer_of("hook_embed")
        (3, None)
    """
    match = _IN_BLOCK.fullmatch(name)
    return int(match[1]) if match else None


def short_form(name: str) -> str:
    """The name without its layer: ``blocks.3.mlp.hook_post`` gives ``mlp.hook_post``.

    Args:
        name: A full hook name.

    Returns:
        The short form; a point outside the blocks keeps its name.

    Example:
        >>> short_form("blocks.3.mlp.hook_post"), short_form("hook_embed")
        ('mlp.hook_post', 'hook_embed')
    """
    match = _IN_BLOCK.fullmatch(name)
    return match[2] if match else name


def require_name(model: Model, name: str, *, units: bool = False) -> None:
    """Refuse a full hook name that the model lacks or never calls.

    Args:
        model: The model.
        name: A full hook name.
        units: Also refuse a point whose activation is not ``[batch, pos, unit]`` or ``[batch, pos, head, unit]``.

    Raises:
        ValueError: The name is not a hook point of this model, or the model's settings switch it off.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> require_name(model, "blocks.3.mlp.hook_post")  # nothing happens: it is there
    """
    require_model(model)
    if name not in model.hook_dict:
        raise ValueError(_unknown(model, name))
    if problem := _silent(model, name):
        raise ValueError(f"hook point {name!r} is never called in this model, because {problem}")
    if units:
        width(model, name)


def in_layers(model: Model, hook_point: str, layers: Layers = "all") -> list[str]:
    """The full names of a hook point in the given layers.

    Args:
        model: The model whose layers are meant.
        hook_point: A short form (``"mlp.hook_pre"``), or a full name, which already names its only layer.
        layers: ``"all"``, or layer indices; negative ones count from the last layer.

    Returns:
        One full name per layer, in the order of ``layers``.

    Raises:
        ValueError: The model has no such hook point, or no such layer.

    Example:
        >>> import tlesion
        >>> in_layers(tlesion.load_model("toy-bert"), "mlp.hook_pre", layers=[0, -1])
        ['blocks.0.mlp.hook_pre', 'blocks.11.mlp.hook_pre']
    """
    own = layer_of(hook_point)
    if own is not None:
        require_name(model, hook_point)
        if layer_indices(model, layers) not in (list(range(model.cfg.n_layers)), [own]):
            raise ValueError(
                f"hook point {hook_point!r} is in layer {own}, but layers {list(layers)} were asked for; "
                f"give the short form {short_form(hook_point)!r} with layers, or the full name alone"
            )
        return [hook_point]
    full = [f"blocks.{layer}.{hook_point}" for layer in layer_indices(model, layers)]
    for name in full:
        require_name(model, name)
    return full


def layer_indices(model: Model, layers: Layers = "all") -> list[int]:
    """Layer indices from 0, for ``"all"`` or a list that may count from the end.

    Args:
        model: The model.
        layers: ``"all"``, or layer indices; negative ones count from the last layer.

    Returns:
        The indices, in the order given.

    Raises:
        ValueError: A layer does not exist or comes twice, or the list is empty.
        TypeError: Anything but whole numbers.

    Example:
        >>> import tlesion
        >>> layer_indices(tlesion.load_model("toy-bert"), [0, -1])
        [0, 11]
    """
    require_model(model)
    n_layers = model.cfg.n_layers
    if isinstance(layers, str):
        if layers != "all":
            raise ValueError(f"layers {layers!r} are not understood; give 'all' or a list of layer indices")
        return list(range(n_layers))
    chosen = whole_numbers("layers", layers)
    wrong = [layer for layer in chosen if not -n_layers <= layer < n_layers]
    if wrong or not chosen:
        problem = f"layers {wrong} do not exist" if wrong else "no layer was given"
        raise ValueError(f"{problem}; this model has {n_layers} layers, 0 to {n_layers - 1}")
    indices = [layer % n_layers for layer in chosen]
    if len(set(indices)) < len(indices):
        raise ValueError(f"layers {chosen} name a layer twice ({indices}); give each one once")
    return indices


def hidden_state(model: Model, layer: int) -> str:
    """The hook point of a block's output, as Hugging Face's ``hidden_states[layer + 1]`` has it.

    BERT normalises after adding, so that its hidden state is ``hook_normalized_resid_post``; a pre-norm
    model's is ``hook_resid_post``.

    Args:
        model: The model.
        layer: The layer, counted from 0.

    Returns:
        The full hook name.

    Example:
        >>> import tlesion
        >>> hidden_state(tlesion.load_model("toy-bert"), 3), hidden_state(tlesion.load_model("toy-gpt"), 3)
        ('blocks.3.hook_normalized_resid_post', 'blocks.3.hook_resid_post')
    """
    point = "hook_normalized_resid_post" if is_masked(model) else "hook_resid_post"
    return f"blocks.{layer_indices(model, [layer])[0]}.{point}"


_SWITCHES = {
    "attn.hook_result": "use_attn_result",
    "hook_q_input": "use_split_qkv_input",
    "hook_k_input": "use_split_qkv_input",
    "hook_v_input": "use_split_qkv_input",
    "hook_mlp_in": "use_hook_mlp_in",
    "hook_attn_in": "use_attn_in",
}
"""The settings without which TransformerLens does not call a hook point."""


def _silent(model: Model, name: str) -> str:
    """Why a hook point is never called in this model, and the way out if there is one; "" where it is called."""
    point = short_form(name)
    if problem := never_called(model, point):
        return problem
    switch = _SWITCHES.get(point)
    if switch and not getattr(model.cfg, switch):
        return f"model.cfg.{switch} is False; switch it on with model.cfg.{switch} = True"
    return ""


def _unknown(model: Model, name: Any) -> str:
    n_layers = model.cfg.n_layers
    layer = layer_of(str(name))
    message = f"hook point {name!r} is not in this model ({n_layers} layers, 0 to {n_layers - 1})"
    inner = short_form(str(name))
    if inner.startswith("mlp.") and layer is not None and layer < n_layers:
        if model.cfg.attn_only:
            return f"{message}: it has attention only, and no MLPs; give a point of attention, such as 'attn.hook_z'"
        if model.cfg.num_experts:
            return (
                f"{message}: its MLPs are mixtures of experts, which see only the tokens routed to them, so that no "
                "neuron has a value at every position; give 'hook_mlp_out', the output of all of them"
            )
    hint = ""
    if layer is None or layer < n_layers:
        # Only what every study could use: with units, and called.
        useful = [n for n in names(model) if layer_of(n) == layer and layout_of(model, n).has_units]
        closest = get_close_matches(str(name), [n for n in useful if not _silent(model, n)], n=1)
        hint = f"; did you mean {closest[0]!r}?" if closest else ""
    return f"{message}{hint}; see tlesion.hooks.names(model)"
