"""Interventions: ``(hook name, edit)`` pairs that go straight into ``run_with_hooks(fwd_hooks=[...])``.

from tlesion import interventions as iv
model.run_with_hooks(tokens, fwd_hooks=[iv.zero("blocks.3.mlp.hook_post", units=[5, 7], positions=-1)])
"""

from tlesion.interventions import ablations
from tlesion.interventions.edits import Edit, Gaussian, Replace, Scale, Zero
from tlesion.interventions.make import Intervention, gaussian, replace, scale, zero
from tlesion.interventions.region import Positions, Region, Units
from tlesion.interventions.subspace import RemoveLeading, RemoveSubspace, remove_leading, remove_subspace

__all__ = [
    "Edit",
    "Gaussian",
    "Intervention",
    "Positions",
    "Region",
    "RemoveLeading",
    "RemoveSubspace",
    "Replace",
    "Scale",
    "Units",
    "Zero",
    "ablations",
    "gaussian",
    "remove_leading",
    "remove_subspace",
    "replace",
    "scale",
    "zero",
]
