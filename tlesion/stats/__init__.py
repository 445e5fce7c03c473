"""Statistics for many units at once: tensors in, tensors out, float64 throughout."""

from tlesion.stats.correction import adjust, reject
from tlesion.stats.moments import Moments
from tlesion.stats.ttest import TTest, paired, student, welch

__all__ = ["Moments", "TTest", "adjust", "paired", "reject", "student", "welch"]
