"""Joining inside a block: a lesion of MLP activations needs of its first block no more than what follows them.

Up to ``mlp.hook_post`` of its first layer a lesion's rows are the clean ones. The attention's output and the MLP's
activations are taken from the clean run there, and only what follows is computed for the lesion's own rows: of the
MLP's output the positions at which the lesion has changed an activation (:mod:`tlesion.anatomy.clean_parts`).
"""

from collections.abc import Sequence

from tlesion.anatomy.clean_parts import can_answer
from tlesion.anatomy.model import Block
from tlesion.sweeps.lesions import Lesion


def joins_late(lesion: Lesion, blocks: Sequence[Block]) -> bool:
    """Whether nothing before ``mlp.hook_post`` of its first layer is touched, in a block that can be joined there."""
    return lesion.begins_at_activations and can_answer(blocks[lesion.first_layer])


def in_joining_order(lesions: Sequence[Lesion], blocks: Sequence[Block]) -> list[Lesion]:
    """Lesions as they join a batch: by first layer, those that join inside it after the others."""
    return sorted(lesions, key=lambda lesion: (lesion.first_layer, joins_late(lesion, blocks), lesion.index))


def joined_by_layer(lesions: Sequence[Lesion], blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """For each layer: how many lesions go through the whole of its block, and how many more join inside it."""
    whole, late = [0] * len(blocks), [0] * len(blocks)
    for lesion in lesions:
        (late if joins_late(lesion, blocks) else whole)[lesion.first_layer] += 1
    begun = [sum(whole[:layer]) + sum(late[:layer]) for layer in range(len(blocks))]
    return [(begun[layer] + whole[layer], late[layer]) for layer in range(len(blocks))]
