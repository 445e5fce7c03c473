"""The loop: one plain ``run_with_hooks`` per lesion. The reference that every other plan has to equal."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tlesion.anatomy.foreign import foreign_change
from tlesion.anatomy.model import device_of
from tlesion.hooks import FwdHook, HookPoint, Model, hidden_state
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion, bind
from tlesion.sweeps.sinks import pick
from tlesion.sweeps.store import Store


def loop(
    model: Model,
    group: Group,
    lesions: Sequence[Lesion],
    store: Store,
    *,
    advance: Callable[..., object],
) -> None:
    """One forward pass for every lesion over a group of prompts, and one without.

    Args:
        model: The model.
        group: Prompts of equal length.
        lesions: What to run.
        store: Takes logits and hidden states.
        advance: Told how many row-layers are done.

    Raises:
        ValueError: A hook point was never reached, so that its edit did nothing; hidden states are wanted, and a
            module of the user's stands in place of their hook point.
    """
    clean_logits, clean_hidden = _run(model, group, [], store)
    advance(group.n_prompts * model.cfg.n_layers)
    for lesion in lesions:
        fired: set[str] = set()
        hooks = [(name, _noting(bind(function, group), name, fired)) for name, function in lesion.all_pairs]
        logits, hidden = _run(model, group, hooks, store)
        advance(group.n_prompts * model.cfg.n_layers)
        missed = sorted({name for name, _ in lesion.all_pairs} - fired)
        if missed:
            raise ValueError(f"edits at {missed} never fired: this model does not call these hook points{_why(model)}")
        for layer, (lesioned, clean) in enumerate(zip(hidden, clean_hidden, strict=True)):
            if lesion.is_null or layer >= lesion.first_layer:
                store.hidden(layer, [lesion], group, lesioned[None], clean)
        store.logits([lesion], group, logits[None], clean_logits)


def _run(model: Model, group: Group, hooks: list[FwdHook], store: Store) -> tuple[Tensor, list[Tensor]]:
    """Logits at the readout positions, and the hidden states if they are wanted."""
    hidden: list[Tensor] = []
    keep: list[FwdHook] = []
    if store.wants_hidden:

        def remember(activation: Tensor, hook: HookPoint) -> None:
            hidden.append(activation.clone())

        points = [hidden_state(model, layer) for layer in range(model.cfg.n_layers)]
        missing = [name for name in points if name not in model.hook_dict]
        if missing:
            raise ValueError(
                f"hidden states are read at {missing[0]!r}, which is no hook point of this model: another module "
                "stands in its place; take it out for this study"
            )
        keep = [(name, remember) for name in points]
    logits = model.run_with_hooks(group.ids.to(device_of(model)), fwd_hooks=[*hooks, *keep])
    rows = torch.arange(group.n_prompts)[:, None]
    read = logits[rows, group.readout]
    return (read if store.wants_vocabulary else pick(read, group.targets)), hidden


def _why(model: Model) -> str:
    """What of the user's may keep hook points from being called, and the way out."""
    changed = foreign_change(model)
    return f"; it has {changed}, which may leave them out: undo it, or lesion other points" if changed else ""


def _noting(function: Callable[..., Tensor | None], name: str, fired: set[str]) -> Callable[..., Tensor | None]:
    def call(activation: Tensor, hook: HookPoint) -> Tensor | None:
        fired.add(name)
        return function(activation, hook=hook)

    return call
