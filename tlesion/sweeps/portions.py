"""Portions: lesions in lots that are run one after the other, so that a long sweep can be kept part by part.

Every portion has a clean run of its own. A portion is as many lesions as cost about 32 clean runs, so that this costs
a thirty-second part more; a sweep is cut in the same way whether or not its parts are kept, so that its numbers are
the same to the last bit.
"""

from collections.abc import Iterator, Sequence

from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion

CLEAN_RUNS = 32.0


def portions(plan: str, lesions: Sequence[Lesion], group: Group, n_layers: int) -> Iterator[list[Lesion]]:
    """The lesions of one plan over one group of prompts, a portion at a time; at least one portion.

    Args:
        plan: How they are run.
        lesions: The lesions.
        group: The prompts.
        n_layers: Blocks of the model.
    """
    ordered = list(lesions)
    if plan == "prefix":
        # Those that begin at one position share their clean run: they stay together.
        ordered.sort(key=lambda lesion: 0 if lesion.is_null else lesion.first_position(group))
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
