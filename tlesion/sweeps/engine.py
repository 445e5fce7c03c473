"""Carry out a sweep: groups of prompts, a plan for each lesion, progress, and a store that keeps the results."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from tlesion.anatomy.foreign import hooks_on
from tlesion.anatomy.model import device_of
from tlesion.anatomy.runners import CausalRunner, Runner, runner_for
from tlesion.hooks import Model, in_eval_mode
from tlesion.keep.checkpoint import NOTHING_KEPT, Checkpoint
from tlesion.sweeps.groups import Group, Reading, groups_of_equal_length
from tlesion.sweeps.lesions import Lesion, require_positions
from tlesion.sweeps.memory import default_max_bytes, tokens_per_step
from tlesion.sweeps.passes import exact_groups
from tlesion.sweeps.plans.choosing import Choice, choose_all
from tlesion.sweeps.plans.fanout import fan_out
from tlesion.sweeps.plans.loop import loop
from tlesion.sweeps.plans.prefix import prefix
from tlesion.sweeps.sinks import Sink
from tlesion.sweeps.store import Store

CLEAN_RUNS = 32.0
"""What a portion of lesions costs, in clean runs."""


@dataclass(frozen=True)
class Settled:
    """How a sweep was carried out.

    Attributes:
        plan: The plan, or the plans that its lesions had (``"prefix+fanout"``).
        reason: Why, for each.
    """

    plan: str
    reason: str


def run_sweep(
    model: Model,
    readings: Sequence[Reading],
    lesions: Sequence[Lesion],
    sink: Sink,
    *,
    plan: str = "auto",
    max_bytes: int | None = None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Settled:
    """Run lesions over readings, and fill the arrays that a sink declares; it holds them afterwards.

    Args:
        model: The model; it carries the same hooks afterwards as before.
        readings: Texts and where to read them.
        lesions: From :func:`tlesion.sweeps.lesions.read_lesions`.
        sink: Says what is kept of logits and hidden states.
        plan: ``"auto"``, ``"loop"``, ``"batched"``, ``"fanout"`` or ``"prefix"``.
        max_bytes: Budget for activations; default: a share of what is free. Prompts are batched by it, so a checkpoint
            needs a budget that does not change between runs (:func:`tlesion.sweeps.memory.settled_max_bytes`).
        checkpoint: Where portions of the work are kept, and taken from if they are there.

    Raises:
        ValueError: A plan that is unknown or would not be exact; an edit that never fired; several readings for an
            edit that mixes prompts.
    """
    _refuse_mixing(readings, lesions)
    runner = runner_for(model)
    device = device_of(model)
    budget = default_max_bytes(device) if max_bytes is None else max_bytes
    longest = max(len(reading.ids) for reading in readings)
    groups = list(groups_of_equal_length(readings, max_tokens=tokens_per_step(model, longest, budget, device)))
    require_positions(lesions, groups)
    choices = choose_all(model, lesions, groups, plan)
    by_plan = _by_plan(choices, lesions)
    store = Store(sink, lesions, readings, model.cfg.n_layers)
    jobs = [
        _Job(name, group, portion)
        for group, (name, few) in itertools.product(groups, by_plan.items())
        for portion in _portions(name, few, group, model.cfg.n_layers)
    ]
    total = sum(job.row_layers(model) for job in jobs)
    # disable=None: a bar on a terminal, nothing in a log file.
    with (
        in_eval_mode(model),
        torch.no_grad(),
        tqdm(total=total, unit="row-layer", desc="sweep", disable=None, leave=False) as bar,
    ):
        for number, job in enumerate(jobs):
            _run_or_take(job, f"{number:05d}", runner, store, budget, bar.update, checkpoint)
    return _settled(choices)


def _refuse_mixing(readings: Sequence[Reading], lesions: Sequence[Lesion]) -> None:
    """Prompts are batched by length and memory: an edit that mixes them would give numbers that depend on both."""
    mixing = next((edit for lesion in lesions for edit in lesion.edits if edit.mixes_prompts), None)
    if mixing is not None and len(readings) > 1:
        raise ValueError(
            f"{mixing!r} decomposes all tokens of the batch that it meets, and {len(readings)} prompts are batched by "
            "length and memory; fit on the tokens you mean (tlesion.fit_subspace) and use iv.remove_subspace, or "
            "sweep one prompt at a time"
        )


def _by_plan(choices: Sequence[Choice], lesions: Sequence[Lesion]) -> dict[str, list[Lesion]]:
    """The lesions of every plan, those that change nothing at the end of all.

    Every portion has a clean run of its own, and the last one's is kept. They differ in their last bits between plans
    and sizes of a batch; a lesion that changes nothing has to be run where the clean run is that it is compared with.
    """
    found: dict[str, list[Lesion]] = {}
    chosen = zip(choices, lesions, strict=True)
    for choice, lesion in sorted(chosen, key=lambda one: one[1].is_null):
        if lesion.is_null:
            found[choice.plan] = [*found.pop(choice.plan, []), lesion]
        else:
            found.setdefault(choice.plan, []).append(lesion)
    return found


@dataclass(frozen=True, eq=False)
class _Job:
    """A portion of a plan's lesions over a group of prompts."""

    plan: str
    group: Group
    lesions: list[Lesion]

    def row_layers(self, model: Model) -> int:
        """How many rows pass through how many blocks: what the progress bar counts."""
        n_layers = model.cfg.n_layers
        live = [lesion for lesion in self.lesions if not lesion.is_null]
        if self.plan == "loop":
            passes = n_layers * (1 + len(self.lesions))
        elif self.plan == "batched":
            passes = n_layers * (1 + len(live))
        else:
            passes = n_layers + sum(n_layers - lesion.first_layer for lesion in live)
        return self.group.n_prompts * passes

    def run(self, runner: Runner, store: Store, max_bytes: int, advance: Callable[..., object]) -> None:
        """Do the work, and hand what comes of it to the store."""
        if self.plan == "loop":
            # Together, unless a hook or a change of the user's looks at the whole batch: then each prompt alone.
            for part in exact_groups(runner.model, self.group):
                loop(runner.model, part, self.lesions, store, advance=advance)
            return
        before = hooks_on(runner.model)
        if self.plan == "prefix":
            assert isinstance(runner, CausalRunner)
            prefix(runner, self.group, self.lesions, store, max_bytes=max_bytes, advance=advance)
        else:
            start = self.plan == "batched"
            fan_out(runner, self.group, self.lesions, store, max_bytes=max_bytes, advance=advance, from_start=start)
        _require_no_new_hooks(before, hooks_on(runner.model))


def _require_no_new_hooks(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> None:
    """Refuse what a hook function gave that put hooks on the model, or took some away: they met all rows there are."""
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    if changed:
        raise ValueError(
            f"a hook function of a lesion has changed the hooks at {changed[0]!r} while lesions ran together, and "
            "those beside it met them, too; take them away (model.reset_hooks(), handle.remove()) and use "
            "plan='loop', or give each hook of a lesion as a (name, function) pair of its own"
        )


def _portions(plan: str, lesions: Sequence[Lesion], group: Group, n_layers: int) -> Iterator[list[Lesion]]:
    """The lesions of one plan over one group of prompts, in portions that are run and kept one after the other.

    Every portion has a clean run of its own, and costs about 32 clean runs, so that this costs a thirty-second part
    more. A sweep is cut in the same way whether or not its parts are kept, so that its numbers are the same to the last
    bit.
    """
    ordered = list(lesions)
    if plan == "prefix":
        # Those that begin at one position share their clean run: they stay together, and before those of no position.
        ordered.sort(key=lambda one: group.n_positions if one.is_null else one.first_position(group))
    portion: list[Lesion] = []
    cost = 0.0
    for lesion in ordered:
        portion.append(lesion)
        cost += _clean_runs(plan, lesion, group, n_layers)
        if cost >= CLEAN_RUNS:
            yield portion
            portion, cost = [], 0.0
    if portion:
        yield portion


def _clean_runs(plan: str, lesion: Lesion, group: Group, n_layers: int) -> float:
    """What a lesion costs, in clean runs."""
    if plan == "loop":
        return 1.0
    if lesion.is_null:
        return 0.0
    if plan == "batched":
        return 1.0
    layers = (n_layers - lesion.first_layer) / n_layers
    if plan == "fanout":
        return layers
    return layers * (group.n_positions - lesion.first_position(group)) / group.n_positions


def _run_or_take(
    job: _Job,
    name: str,
    runner: Runner,
    store: Store,
    max_bytes: int,
    advance: Callable[..., object],
    checkpoint: Checkpoint,
) -> None:
    """Run a job and keep what came of it, or put into the store what an earlier run has kept."""
    lesions = [lesion.index for lesion in job.lesions]
    covers = {"plan": job.plan, "prompts": list(job.group.members), "lesions": lesions}
    kept = checkpoint.read(name, covers=covers)
    if kept is not None:
        store.put_part(kept, job.lesions, job.group)
        advance(job.row_layers(runner.model))
        return
    store.begin_part()
    job.run(runner, store, max_bytes, advance)
    if checkpoint.keeps:
        checkpoint.write(name, store.part(job.lesions, job.group), covers=covers)


def _settled(choices: Sequence[Choice]) -> Settled:
    reasons: dict[str, str] = {}
    for choice in choices:
        reasons.setdefault(choice.plan, choice.reason)
    return Settled(plan="+".join(reasons), reason="; ".join(f"{plan}: {why}" for plan, why in reasons.items()))
