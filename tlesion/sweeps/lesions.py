"""Lesions as a sweep sees them: where they begin, in depth and along the text, and what they may share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import shown
from tlesion.hooks import HookFunction, HookPoint, Model, layer_of, layout_of, names, require_name, short_form
from tlesion.interventions import Edit
from tlesion.sweeps.groups import Group


@dataclass(frozen=True, eq=False)
class Onlooker:
    """A hook function of a study that only looks: it sees the rows of its lesion, and leaves them as they are.

    Attributes:
        look: Called with the activation and the hook point.
    """

    look: Callable[[Tensor, HookPoint], None]

    def __call__(self, activation: Tensor, hook: HookPoint) -> None:
        """As TransformerLens calls a hook."""
        self.look(activation, hook)


LesionLike = Sequence[tuple[str | Callable[[str], bool], HookFunction]]


@dataclass(frozen=True, eq=False)
class Lesion:
    """One or more interventions applied together, in order.

    Attributes:
        index: Place in the sweep's list.
        all_pairs: ``(full hook name, function)``, as they were given.
        pairs: The same, without the edits that change nothing.
        unshared: Names among them whose activation does not hold each prompt's part as a row, or of which nothing is
            known: the rows of other lesions beside it could not be told from its own.
    """

    index: int
    all_pairs: tuple[tuple[str, HookFunction], ...]
    pairs: tuple[tuple[str, HookFunction], ...]
    unshared: tuple[str, ...] = ()
    _starts: dict[Group, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def is_null(self) -> bool:
        """True where no edit changes anything: the lesioned run is the clean run."""
        return not self.pairs

    @cached_property
    def first_layer(self) -> int:
        """The first block that the lesion touches; 0 where it begins before the blocks."""
        return min(layer_of(name) or 0 for name, _ in self.pairs)

    @cached_property
    def begins_at_activations(self) -> bool:
        """True where the first thing that the lesion touches is ``mlp.hook_post``, and nothing else in its layer."""
        here = [short_form(name) for name, _ in self.pairs if (layer_of(name) or 0) == self.first_layer]
        return not self.outside_blocks and all(name == "mlp.hook_post" for name in here)

    @cached_property
    def outside_blocks(self) -> list[str]:
        """Hook names that lie before the first or after the last block."""
        return [name for name, _ in self.pairs if layer_of(name) is None]

    @cached_property
    def edits(self) -> list[Edit]:
        """The functions that say where they work."""
        return [function for _, function in self.pairs if isinstance(function, Edit)]

    def first_position(self, group: Group) -> int:
        """The first position that the lesion can change in any prompt of a group; 0 if unknown."""
        if len(self.edits) < len(self.pairs):
            return 0
        if group not in self._starts:
            self._starts[group] = min(_first_position(edit, group) for edit in self.edits)
        return self._starts[group]

    @cached_property
    def against_company(self) -> str:
        """Why the lesion cannot share a batch with others; "" where it can."""
        if self.outside_blocks:
            return f"{self.outside_blocks[0]!r} lies outside the blocks"
        if self.unshared:
            return f"the activation at {self.unshared[0]!r} does not hold each prompt as a row of its own"
        if sum(not isinstance(function, Edit | Onlooker) for _, function in self.pairs) > 1:
            return (
                "hook functions of the user's own may hand things to each other, and lesions would get those of others"
            )
        return ""

    @cached_property
    def sees_past_keys(self) -> bool:
        """True where a hook point holds the positions before a row's first one, too."""
        return any(short_form(name) in _WHOLE_CONTEXT for name, _ in self.pairs)


_WHOLE_CONTEXT = {"attn.hook_rot_k", "attn.hook_attn_scores", "attn.hook_pattern"}


def read_lesions(model: Model, lesions: Any) -> list[Lesion]:
    """Check a sweep's lesions, and tell the edits that change something from those that do not.

    Raises:
        ValueError: There is no lesion; a hook name that the model lacks; an edit at a point without units, or of units
            or heads that are not there.
        TypeError: A lesion is not a list of ``(hook name, function)`` pairs.
    """
    if isinstance(lesions, str | Mapping) or not isinstance(lesions, Sequence) or _is_pair(lesions):
        raise TypeError(
            f"lesions is a {shown(lesions)}; give a list of lesions, each a list of interventions: [[intervention]]"
        )
    if not lesions:
        raise ValueError("no lesion was given; a sweep takes a list of lesions, each a list of interventions")
    read = []
    for index, lesion in enumerate(lesions):
        pairs = [pair for entry in _pairs(lesion, index) for pair in _expanded(model, entry)]
        live = [(name, function) for name, function in pairs if not (isinstance(function, Edit) and function.is_null)]
        for name, function in live:
            if isinstance(function, Edit):
                _require_there(model, name, function)
        unshared = tuple(name for name, _ in live if not layout_of(model, name).by_prompt)
        read.append(Lesion(index=index, all_pairs=tuple(pairs), pairs=tuple(live), unshared=unshared))
    return read


def require_positions(lesions: Sequence[Lesion], groups: Sequence[Group]) -> None:
    """Refuse edits of positions that a prompt does not have, before anything runs.

    Raises:
        ValueError: A position lies outside one of the prompts.
    """
    for n_positions in sorted({group.n_positions for group in groups}):
        for lesion in lesions:
            for edit in lesion.edits:
                if not edit.at_readout:
                    edit.region.position_index(n_positions, torch.device("cpu"), edit.hook_name)


def require_rows(activation: Tensor, n_rows: int, n_positions: int, name: str) -> None:
    """Refuse an activation that is not ``[batch, pos, unit]`` or ``[batch, pos, head, unit]`` of the rows that run.

    Raises:
        ValueError: It has other axes: an edit would take them for positions and units.
    """
    if activation.ndim not in (3, 4) or tuple(activation.shape[:2]) != (n_rows, n_positions):
        raise ValueError(
            f"the activation at {name!r} has shape {tuple(activation.shape)}, where {n_rows} prompts of {n_positions} "
            "tokens run: it has no [batch, pos, unit] that an edit could address; pass your own hook function as "
            "(name, function) instead"
        )


def bind(function: HookFunction, group: Group) -> HookFunction:
    """A hook function for one plain run over a group: ``"readout"`` becomes each prompt's position."""
    if not isinstance(function, Edit) or function.is_null:
        return function
    edit, at = function, group.readout[:, 0] if function.at_readout else None

    def edit_rows(activation: Tensor, hook: object) -> Tensor:
        require_rows(activation, group.n_prompts, group.n_positions, edit.hook_name)
        edited = activation.clone()
        edit.apply_(edited, at=at)
        return edited

    return edit_rows


def _pairs(lesion: Any, index: int) -> list[tuple[str | Callable[[str], bool], HookFunction]]:
    if _is_pair(lesion):
        raise TypeError(
            f"lesion {index} is a single intervention; a lesion is a list of interventions: write [{lesion[0]!r}, ...] "
            "as [[intervention], [intervention], ...]"
        )
    if isinstance(lesion, str) or not isinstance(lesion, Sequence):
        raise TypeError(f"lesion {index} is {lesion!r}; a lesion is a list of (hook name, function) pairs")
    for entry in lesion:
        if not _is_pair(entry):
            raise TypeError(f"lesion {index} contains {entry!r}, which is not a (hook name, function) pair")
    return list(lesion)


def _is_pair(entry: Any) -> bool:
    """Whether it is what ``fwd_hooks`` of TransformerLens holds."""
    return isinstance(entry, tuple) and len(entry) == 2 and callable(entry[1])


def _expanded(model: Model, entry: tuple[str | Callable[[str], bool], HookFunction]) -> list[tuple[str, HookFunction]]:
    """A pair for every hook point that is meant: TransformerLens also takes a filter in place of a name."""
    name, function = entry
    if isinstance(name, str):
        require_name(model, name)
        return [(name, function)]
    matching = [candidate for candidate in names(model) if name(candidate)]
    if not matching:
        raise ValueError("a hook-name filter matches no hook point of this model; see tlesion.hooks.names(model)")
    return [(candidate, function) for candidate in matching]


def _require_there(model: Model, name: str, edit: Edit) -> None:
    """Refuse an edit whose units or heads the activation at a point does not have."""
    layout = layout_of(model, name)
    if not layout.axes:
        return  # Nothing is known of it: the edit itself looks when it meets the activation.
    require_name(model, name, units=True)
    channels = (layout.units,) if layout.heads is None else (layout.heads, layout.units)
    edit.region.channel_mask(torch.Size((1, 1, *channels)), torch.device("cpu"), name)


def _first_position(edit: Edit, group: Group) -> int:
    if edit.at_readout:
        return int(group.readout[:, 0].min())
    index = edit.region.position_index(group.n_positions, torch.device("cpu"), edit.hook_name)
    if index is None:
        return 0
    return int(index.min()) if len(index) else group.n_positions - 1
