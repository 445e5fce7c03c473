"""Hooks in a batch that many lesions share: every edit reaches the rows of its own lesion and no other."""

from collections import defaultdict
from dataclasses import dataclass, field

from torch import Tensor

from tlesion.hooks import FwdHook, HookFunction, HookPoint
from tlesion.interventions import Edit
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion, require_rows


@dataclass(eq=False, repr=False)  # TransformerLens takes every hook's repr when it is added, tensors and all.
class Dispatcher:
    """Sends the rows of a batch to the edits of the lesions that they belong to.

    The batch is made of slots, one per lesion, each of ``group.n_prompts`` rows. ``window`` says which slots the
    next block call holds; None switches every edit off.

    Attributes:
        group: The prompts, the same for every slot.
        offset: Sequence index of the batch's first position.
        window: First slot of the running batch, and one past its last.
    """

    group: Group
    offset: int = 0
    window: tuple[int, int] | None = None
    _at: dict[str, dict[int, list[HookFunction]]] = field(default_factory=lambda: defaultdict(dict))
    _waiting: set[tuple[str, int]] = field(default_factory=set)

    def place(self, lesion: Lesion, slot: int) -> None:
        """Say which slot a lesion's rows have."""
        for name, function in lesion.pairs:
            self._at[name].setdefault(slot, []).append(function)
            self._waiting.add((name, slot))

    @property
    def fwd_hooks(self) -> list[FwdHook]:
        """What to register: one function for every hook point that any lesion needs."""
        return [(name, self) for name in self._at]

    def __call__(self, activation: Tensor, hook: HookPoint) -> Tensor | None:
        """Edit the rows of the lesions in the window that have something to do at this hook point."""
        if self.window is None:
            return None
        first, end = self.window
        name = str(hook.name)
        here = [slot for slot in self._at[name] if first <= slot < end]
        if not here:
            return None
        # A broadcast activation, or the block's own input, cannot be written into.
        if 0 in activation.stride() or name.endswith("hook_resid_pre"):
            activation = activation.clone()
        n = self.group.n_prompts
        if len(activation) != (end - first) * n:
            raise ValueError(
                f"the activation at {name!r} has {len(activation)} rows, where {(end - first) * n} prompts run: the "
                "rows of one lesion cannot be told from those of others; use plan='loop'"
            )
        for slot in here:
            rows = activation[(slot - first) * n : (slot - first + 1) * n]
            for function in self._at[name][slot]:
                self._apply(function, rows, hook)
            self._waiting.discard((name, slot))
        return activation

    def require_fired(self) -> None:
        """Refuse a finished sweep in which an edit never fired.

        Raises:
            ValueError: A hook point was never reached, so that its edit did nothing.
        """
        if self._waiting:
            missed = sorted({name for name, _ in self._waiting})
            raise ValueError(
                f"edits at {missed} never fired: this model does not call these hook points in a forward pass; "
                "see tlesion.hooks.names(model) and the model's cfg switches"
            )

    def _apply(self, function: HookFunction, rows: Tensor, hook: HookPoint) -> None:
        if isinstance(function, Edit):
            require_rows(rows, self.group.n_prompts, self.group.n_positions - self.offset, str(hook.name))
            at = self.group.readout[:, 0].to(rows.device) if function.at_readout else None
            function.apply_(rows, at=at, offset=self.offset)
            return
        result = function(rows, hook=hook)
        if result is None or result is rows:
            return
        if result.shape != rows.shape:
            raise ValueError(
                f"a hook function at {hook.name!r} turned {tuple(rows.shape)} into {tuple(result.shape)}; "
                "it has to keep the shape"
            )
        rows.copy_(result)
