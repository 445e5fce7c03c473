"""Which way a lesion is run: the cheapest that is exact for the model and its edits, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlesion.anatomy.assumptions import assumptions_of
from tlesion.anatomy.measuring import Assumptions
from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.tokens import is_masked

PLANS = ("auto", "loop", "batched", "fanout", "prefix")


@dataclass(frozen=True)
class Choice:
    """A plan for some lesions of a sweep, and the reason for it."""

    plan: str
    reason: str


def choose_all(model: Model, lesions: Sequence[Lesion], groups: Sequence[Group], plan: str) -> list[Choice]:
    """The plan for each lesion of a sweep.

    Args:
        model: The model.
        lesions: The lesions.
        groups: The sweep's prompts.
        plan: ``"auto"``, or the plan that was asked for.

    Raises:
        ValueError: An unknown plan, or one that would not be exact here; the message says why.
    """
    one_of("plan", plan, PLANS)
    if plan == "loop":
        return [Choice("loop", "asked for") for _ in lesions]
    holds = assumptions_of(model, [ids for group in groups for ids in group.ids])
    return [_choose(model, lesion, groups, plan, holds) for lesion in lesions]


def whole_rows(model: Model, readings: Sequence[Reading], lesions: Sequence[Lesion], plan: str) -> Choice:
    """The fastest plan that carries all positions of every prompt, and the reason for it, as results give it.

    For sweeps that read hidden states everywhere: the plan "prefix" carries a tail.

    Args:
        model: The model.
        readings: The prompts.
        lesions: The lesions.
        plan: ``"auto"``, or the plan that was asked for.
    """
    if plan != "auto":
        return Choice(plan, "asked for")
    against = assumptions_of(model, [reading.ids for reading in readings]).against
    against = against or next((lesion.against_company for lesion in lesions if lesion.against_company), "")
    return Choice("loop", against) if against else Choice("fanout", "hidden states of all positions are needed")


def _choose(model: Model, lesion: Lesion, groups: Sequence[Group], plan: str, holds: Assumptions) -> Choice:
    against_batch = _against_a_shared_batch(lesion, holds)
    against_prefix = _against_prefix(model, lesion, groups, holds)
    if plan == "auto":
        if against_batch or holds.doubt:
            return Choice("loop", against_batch or holds.doubt)
        if against_prefix:
            return Choice("fanout", against_prefix)
        return Choice("prefix", "the edits say at which positions they work, and nothing before those changes")
    problem = against_batch or (against_prefix if plan == "prefix" else "")
    if problem:
        raise ValueError(f"plan {plan!r} would not be exact for lesion {lesion.index}: {problem}; use plan='auto'")
    return Choice(plan, "asked for")


def _against_a_shared_batch(lesion: Lesion, holds: Assumptions) -> str:
    return holds.chain or lesion.against_company


def _against_prefix(model: Model, lesion: Lesion, groups: Sequence[Group], holds: Assumptions) -> str:
    if is_masked(model):
        return "a masked model attends in both directions, so that every position can change"
    if holds.prefix:
        return holds.prefix
    if lesion.is_null:
        return ""
    if len(lesion.edits) < len(lesion.pairs):
        return "a hook function of the user's own does not say at which positions it works"
    if lesion.sees_past_keys:
        return "its hook point holds the keys of all positions"
    if min(lesion.first_position(group) for group in groups) == 0:
        return "the lesion begins at the first position"
    return ""
