"""Sequences through a model while hooks look on: in the fastest way that gives what each sequence gives by itself.

Padded batches through the blocks up to the last hook point, where the model allows it (measured, see
:mod:`tlesion.anatomy.assumptions`); without padding, where what comes later in a text counts; and one plain
``run_with_hooks`` for each sequence, where the model carries hooks or changes of the user's.
"""

from collections.abc import Callable, Iterator, Sequence

from jaxtyping import Int
from torch import Tensor

from tlesion.anatomy.assumptions import assumptions_of
from tlesion.anatomy.foreign import foreign_change, replaced_method, user_hooks
from tlesion.anatomy.measuring import Assumptions, differ
from tlesion.anatomy.model import device_of
from tlesion.anatomy.runners import runner_for
from tlesion.hooks import HookPoint, Model, layer_of, require_same, scoped
from tlesion.sweeps.groups import Group
from tlesion.tokens import collate, pad_id

Look = Callable[[Tensor, HookPoint], None]


class Passes:
    """How the sequences of one study go through a model. Evaluation mode and gradients are the caller's.

    Args:
        model: The model.
        sequences: Token ids of all of them.
        names: The hook points that are looked at.

    Attributes:
        holds: What shortcuts the model allows.
    """

    def __init__(self, model: Model, sequences: Sequence[Int[Tensor, " _"]], names: Sequence[str]) -> None:
        self.holds: Assumptions = assumptions_of(model, sequences)
        self._model, self._names = model, tuple(names)
        self._runner = runner_for(model)

    def run(self, sequences: Sequence[Int[Tensor, " _"]], look: Look) -> None:
        """Send some sequences through.

        Args:
            sequences: Token ids; lengths may differ.
            look: A hook function, called for every hook point with the activations of all of them, ``[sequence, pos,
                ...]``; what stands beyond a sequence's end means nothing.
        """
        parts = list(self._parts(sequences))
        if len(parts) == 1:
            self._run(sequences, look)
            return
        seen: dict[str, dict[int, Tensor]] = {name: {} for name in self._names}
        for number, part in enumerate(parts):

            def keep(activation: Tensor, hook: HookPoint, number: int = number) -> None:
                name = str(hook.name)
                if number in seen[name]:
                    require_same(seen[name][number], activation, name)
                seen[name][number] = activation.detach().clone()

            self._run([sequences[index] for index in part], keep)
        for name, found in seen.items():
            if not found:
                raise ValueError(f"hook point {name!r} is never called in a forward pass of this model; choose another")
            whole = _assembled([(parts[number], activation) for number, activation in found.items()], sequences)
            look(whole, self._model.hook_dict[name])

    def _parts(self, sequences: Sequence[Int[Tensor, " _"]]) -> Iterator[list[int]]:
        """Which sequences go together."""
        if self.holds.against:
            yield from ([index] for index in range(len(sequences)))
        elif self.holds.padding:
            for length in sorted({len(ids) for ids in sequences}):
                yield [index for index, ids in enumerate(sequences) if len(ids) == length]
        else:
            yield list(range(len(sequences)))

    def _run(self, sequences: Sequence[Int[Tensor, " _"]], look: Look) -> None:
        tokens, real = collate(sequences, pad_id=pad_id(self._model))
        if self.holds.against:
            hooks = ((name, look) for name in self._names)
            self._model.run_with_hooks(tokens.to(device_of(self._model)), fwd_hooks=[*hooks])
            return
        with scoped(self._model, [(name, look) for name in self._names]):
            residual = self._runner.embed(tokens, real)
            for layer in range(1 + max(layer_of(name) or 0 for name in self._names)):
                residual = self._runner.block(layer, residual)


def exact_groups(model: Model, group: Group) -> list[Group]:
    """The group, or each of its prompts alone where its rows do not keep apart; see `rows_are_apart`."""
    return [group] if group.n_prompts == 1 or rows_are_apart(model, group.ids) else group.singles()


def rows_are_apart(model: Model, ids: Int[Tensor, "row pos"]) -> bool:
    """Whether the rows of a batch give what each of them gives alone, whatever hooks and changes the model carries.

    Args:
        model: The model. One that carries nothing of the user's is known to keep rows apart, and is not run.
        ids: The batch. Its first two rows and the last are looked at.
    """
    if not user_hooks(model) and not foreign_change(model) and not replaced_method(model):
        return True
    ids = ids.to(device_of(model))
    together = model.run_with_hooks(ids, fwd_hooks=[])
    few = sorted({0, min(1, len(ids) - 1), len(ids) - 1})
    return not any(differ(model.run_with_hooks(ids[[row]], fwd_hooks=[]), together[[row]]) for row in few)


def _assembled(found: Sequence[tuple[list[int], Tensor]], sequences: Sequence[Tensor]) -> Tensor:
    """Activations of parts of the sequences as those of one batch, zero beyond a sequence's end."""
    longest = max(len(ids) for ids in sequences)
    first = found[0][1]
    whole = first.new_zeros(len(sequences), longest, *first.shape[2:])
    for part, activation in found:
        whole[part, : activation.shape[1]] = activation
    return whole
