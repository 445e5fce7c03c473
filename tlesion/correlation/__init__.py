"""Correlation of two sets of values: streamed, by ranks, and with intervals."""

from tlesion.correlation.interval import fisher_interval, jackknife_interval
from tlesion.correlation.moments import CoMoments
from tlesion.correlation.ranks import spearman, spearman_without_each

__all__ = ["CoMoments", "fisher_interval", "jackknife_interval", "spearman", "spearman_without_each"]
