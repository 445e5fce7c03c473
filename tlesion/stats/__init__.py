"""Statistics for many units at once: tensors in, tensors out, float64 throughout."""

from tlesion.stats.correction import adjust, reject
from tlesion.stats.effect_size import EffectSize, cohens_d, d_z, hedges_g
from tlesion.stats.level import corrected_level
from tlesion.stats.moderated import ModeratedTTest, VariancePrior, moderated, moderated_paired
from tlesion.stats.moments import Moments
from tlesion.stats.overlap import jaccard, jaccard_by_chance
from tlesion.stats.permutation import PermutationTest, permutation
from tlesion.stats.power import PowerCurve, power_curve
from tlesion.stats.ttest import TTest, paired, student, welch

__all__ = [
    "EffectSize",
    "ModeratedTTest",
    "Moments",
    "PermutationTest",
    "PowerCurve",
    "TTest",
    "VariancePrior",
    "adjust",
    "cohens_d",
    "corrected_level",
    "d_z",
    "hedges_g",
    "jaccard",
    "jaccard_by_chance",
    "moderated",
    "moderated_paired",
    "paired",
    "permutation",
    "power_curve",
    "reject",
    "student",
    "welch",
]
