"""The subspace report's sentences: every number in them is computed from the result."""

import numpy as np

from tlesion.paper.prose import true_minus
from tlesion.stats import adjust
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.summary import correlate_with_variance

ALPHA = 0.05


def summary(result: SubspaceRemoval) -> list[str]:
    """What was found, in the order in which a reader asks."""
    said = [variance(result), damage(result), tested(result)]
    if len(result.controls):
        said.append(controls(result))
    said.extend(part for part in (correlation(result), spread(result), covariance(result)) if part)
    return [true_minus(sentence) for sentence in said]


def shown_layer(result: SubspaceRemoval) -> int:
    """The layer that a page shows in detail: the one whose lesion changes the logits most."""
    return result.layers[int(result.mean_drop.abs().argmax())]


def variance(result: SubspaceRemoval) -> str:
    """How much is removed."""
    share = result.variance_ratio.numpy()
    rank = result.cut.rank
    what = "One direction" if rank == 1 else f"{rank} directions"
    width = f"{result.cut.label} of {result.hook_point}"
    if len(share) == 1:
        return f"{what} ({width}) in layer {result.layers[0]} {_verb(rank)} {share[0]:.0%} of the variance."
    low, high = int(share.argmin()), int(share.argmax())
    return (
        f"{what} ({width}) {_verb(rank)} {share[low]:.1%} (layer {result.layers[low]}) to {share[high]:.1%} (layer "
        f"{result.layers[high]}) of the activations' variance over {len(result.tokens)} tokens."
    )


def damage(result: SubspaceRemoval) -> str:
    """Where removal costs most."""
    row = result.layers.index(shown_layer(result))
    mean, low, high = (float(part[row]) for part in (result.test.mean, result.test.low, result.test.high))
    interval = f" ({result.level:.0%} interval {low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    whose = "of the token that comes next" if result.reads == "next" else "of the token itself"
    where = f"The logit {whose} changes most when layer {result.layers[row]} is cut"
    return f"{where}: the mean drop is {mean:.2f}{interval}{'' if mean >= 0 else ', which is a rise'}."


def tested(result: SubspaceRemoval) -> str:
    """In how many layers the drop differs from zero, and what that says."""
    p = adjust(result.p, method="fdr_bh", family="model").numpy()
    positive = int(((p <= ALPHA) & (result.t.numpy() > 0)).sum())
    negative = int(((p <= ALPHA) & (result.t.numpy() < 0)).sum())
    also = f", and a rise in {negative}" if negative else ""
    return (
        f"A paired t-test over {result.test.n_rows} {result.test.over} finds a drop in {positive} of "
        f"{len(result.layers)} layers{also} (p at most {ALPHA:g} after Benjamini and Hochberg's correction over "
        f"layers). {result.caveat}"
    )


def controls(result: SubspaceRemoval) -> str:
    """Whether random directions do as much."""
    drops = result.test_of(result.controls).mean.abs().max(dim=0).values
    beyond = int((result.mean_drop.abs() > drops).sum())
    share = result.controls.variance_ratio.mean()
    n = len(result.controls)
    return (
        f"Random subspaces of the same rank ({n} per layer) take {float(share):.2%} of the variance on average; the "
        f"change of the logits is larger than that of every one of them in {beyond} of {len(result.layers)} layers."
    )


def correlation(result: SubspaceRemoval) -> str:
    """Do layers that lose more variance lose more of the logit?"""
    rows = correlate_with_variance(result).head(2).set_index("coefficient")
    r, rho = rows.loc["pearson"], rows.loc["spearman"]
    if not np.isfinite(r["low"]):
        return ""
    return (
        f"Over {len(result.layers)} layers the share of variance and the drop correlate with r = {r['r']:.2f} "
        f"({result.level:.0%} interval {r['low']:.2f} to {r['high']:.2f}) and ρ = {rho['r']:.2f} ({rho['low']:.2f} to "
        f"{rho['high']:.2f}); layers of one model are not an independent sample, so the intervals are descriptive."
    )


def spread(result: SubspaceRemoval) -> str:
    """How the damage grows from layer to layer."""
    frame = result.to_frame()
    last = result.drift.shape[1] - 1
    rows = frame[(frame["layer"] < last) & (frame["drift_at_lesion"] > 0)]
    if rows.empty:
        return ""
    grown = int((rows["drift_at_end"] > rows["drift_at_lesion"]).sum())
    return (
        f"Relative to the clean hidden state the damage is larger after the last layer than right after the lesion in "
        f"{grown} of {len(rows)} lesioned layers (median over them {rows['drift_at_lesion'].median():.1%} right after, "
        f"{rows['drift_at_end'].median():.1%} at the end)."
    )


def covariance(result: SubspaceRemoval) -> str:
    """Small in each neuron, large between neurons?"""
    if result.cut.rank == 0:
        return ""
    change = result.covariance
    before, after = (float(part.median()) for part in (change.effective_rank_before, change.effective_rank_after))
    return (
        f"At the cut the covariance of neurons changes by {float(change.change.median()):.0%} of its norm "
        f"(median over layers), while one neuron moves by {float(change.unit_change_relative.median()):.2f} of its "
        f"standard deviation on average; the effective rank goes from {before:.1f} to {after:.1f}."
    )


def _verb(rank: int) -> str:
    return "holds" if rank == 1 else "hold"
