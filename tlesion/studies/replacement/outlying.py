"""How far out of distribution are the values that a lesion puts in? Measured against the clean run at the same point.

Two clean passes over the prompts: the first for the distribution, the second to apply every edit to what it would
have found.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.anatomy.model import device_of
from tlesion.hooks import HookFunction, HookPoint, Model, layout_of, scoped
from tlesion.stats import Moments
from tlesion.studies.common.walk import inference
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion, bind


@dataclass(frozen=True, eq=False)
class Outlying:
    """How far out of the clean distribution each lesion's values are; NaN for a lesion that changes nothing.

    Attributes:
        z_of_mean: Mean of the values that were put in, in standard deviations of the layer's clean distribution (all
            units of the hook point, all tokens), from its mean. A point without units (an attention pattern) counts as
            one unit with many values.
        outside_layer: Share of them outside the layer's clean range, over all units.
        outside_unit: Share of them outside the clean range of their own unit.
        changed: Share of the hook point's values that the lesion changes.
    """

    z_of_mean: Float64[Tensor, " lesion"]
    outside_layer: Float64[Tensor, " lesion"]
    outside_unit: Float64[Tensor, " lesion"]
    changed: Float64[Tensor, " lesion"]


@dataclass(eq=False)
class _Clean:
    """The clean distribution at one hook point, unit by unit."""

    has_units: bool
    moments: Moments | None = None
    low: Tensor | None = None
    high: Tensor | None = None

    def rows(self, activation: Tensor) -> Tensor:
        """``[token, unit]``; of a point without units every value, one below the other."""
        return activation.flatten(0, 1).flatten(1) if self.has_units else activation.reshape(-1, 1)

    def take(self, activation: Tensor) -> None:
        """Add a batch; masked scores, which are minus infinity, are no part of a distribution."""
        rows = self.rows(activation)
        if not self.has_units:
            rows = rows[rows.isfinite().flatten()]
            if not len(rows):
                return
        if self.moments is None or self.low is None or self.high is None:
            self.moments = Moments.zeros(rows.shape[1:], rows.device)
            self.low, self.high = rows.amin(0), rows.amax(0)
        self.moments.update(rows)
        self.low, self.high = self.low.minimum(rows.amin(0)), self.high.maximum(rows.amax(0))

    @property
    def spread(self) -> tuple[float, float]:
        """Mean and standard deviation over all units and tokens."""
        assert self.moments is not None
        mean = self.moments.mean.mean()
        between = (self.moments.mean - mean).square().mean()
        return float(mean), float((self.moments.m2.mean() / self.moments.n + between).sqrt())


@dataclass(eq=False)
class _Counts:
    """Sums over the values that a lesion changes."""

    n: int = 0
    n_seen: int = 0
    z: float = 0.0
    outside_layer: int = 0
    outside_unit: int = 0

    def take(self, before: Tensor, after: Tensor, clean: _Clean) -> None:
        if clean.low is None or clean.high is None:
            return  # No value came by: no token was sent to this expert.
        mean, deviation = clean.spread
        before, after = clean.rows(before), clean.rows(after)
        changed = before != after
        self.n += int(changed.sum())
        self.n_seen += changed.numel()
        self.z += float(((after[changed].double() - mean) / deviation).sum()) if deviation > 0 else float("nan")
        self.outside_unit += int((((after < clean.low) | (after > clean.high)) & changed).sum())
        low, high = clean.low.min(), clean.high.max()
        self.outside_layer += int((((after < low) | (after > high)) & changed).sum())


@dataclass(eq=False)
class _Run:
    """What hooks of the two passes share."""

    clean: dict[str, _Clean]
    counts: dict[int, _Counts] = field(default_factory=lambda: defaultdict(_Counts))


def measure_outlying(model: Model, groups: Sequence[Group], lesions: Sequence[Lesion]) -> Outlying:
    """Measure how far out of distribution the values of every lesion are.

    Each edit is applied to the clean activation at its hook point, by itself; the edits of a lesion are taken
    together. A value counts as put in where it differs from the one before.

    Args:
        model: The model.
        groups: Prompts in groups of equal length.
        lesions: The lesions, told apart by their ``index``.
    """
    by_name: dict[str, list[tuple[int, HookFunction]]] = defaultdict(list)
    for lesion in lesions:
        for name, function in lesion.pairs:
            by_name[name].append((lesion.index, function))
    run = _Run({name: _Clean(layout_of(model, name).has_units) for name in by_name})

    def see(activation: Tensor, hook: HookPoint) -> None:
        run.clean[str(hook.name)].take(activation)

    with inference(model):
        for group in groups:
            with scoped(model, [(name, see) for name in by_name]):
                model(group.ids.to(device_of(model)))
        for group in groups:

            def compare(activation: Tensor, hook: HookPoint, group: Group = group) -> None:
                name = str(hook.name)
                for index, function in by_name[name]:
                    edited = bind(function, group)(activation.clone(), hook=hook)
                    after = activation if edited is None else edited
                    run.counts[index].take(activation, after, run.clean[name])

            with scoped(model, [(name, compare) for name in by_name]):
                model(group.ids.to(device_of(model)))
    return _outlying([run.counts[lesion.index] for lesion in lesions])


def _outlying(counts: Sequence[_Counts]) -> Outlying:
    def share(part: float | int, whole: int) -> float:
        return part / whole if whole else float("nan")

    def column(values: list[float]) -> Float64[Tensor, " lesion"]:
        return torch.tensor(values, dtype=torch.float64)

    return Outlying(
        z_of_mean=column([share(one.z, one.n) for one in counts]),
        outside_layer=column([share(one.outside_layer, one.n) for one in counts]),
        outside_unit=column([share(one.outside_unit, one.n) for one in counts]),
        changed=column([share(one.n, one.n_seen) for one in counts]),
    )
