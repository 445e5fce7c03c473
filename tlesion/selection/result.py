"""`NeuronSelection`: the test of every neuron of every layer, and the masks that follow from it."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import label, one_of
from tlesion.keep.results import Result
from tlesion.options import settle_by


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuronSelection(Result):
    """Test results of condition a against condition b, a row per layer.

    Dead neurons (no variance, or none beyond rounding) are NaN in ``t``, ``dof``, ``p``, ``log_p``, ``p_adjusted`` and
    ``effect_size``, are in no mask, and belong to no correction's family.

    Attributes:
        t: The statistic. Positive: larger in condition a.
        dof: Its degrees of freedom.
        p: Two-sided p-value.
        log_p: Its natural logarithm, which stays finite where p underflows to 0.
        p_adjusted: p after the correction; a neuron is selected where it is at most ``alpha``.
        effect_size: Cohen's d (two samples) or d_z (pairs); positive where a is larger. In standard deviations of the
            test's rows: of template means, where sentences share a template.
        mean_a, mean_b: Mean activation in each condition, over the test's rows.
        dead: True where no test exists.
        conditions: Names of a and b.
        layers: The model's layer of every row.
        hook_point: Short form of the hook point, ``mlp.hook_pre``.
        n_a, n_b: Sentences in each condition.
        test, correction, family, alpha: How it was tested.
        top_k: The most neurons that a layer's mask of one direction may have; None: no limit.
    """

    t: Float64[Tensor, "layer neuron"]
    dof: Float64[Tensor, "layer neuron"]
    p: Float64[Tensor, "layer neuron"]
    log_p: Float64[Tensor, "layer neuron"]
    p_adjusted: Float64[Tensor, "layer neuron"]
    effect_size: Float64[Tensor, "layer neuron"]
    mean_a: Float64[Tensor, "layer neuron"]
    mean_b: Float64[Tensor, "layer neuron"]
    dead: Bool[Tensor, "layer neuron"]
    conditions: tuple[str, str]
    layers: tuple[int, ...]
    hook_point: str
    n_a: int
    n_b: int
    test: str
    correction: str
    family: str
    alpha: float
    top_k: int | None

    @property
    def is_paired(self) -> bool:
        """Whether t and effect size are of differences within pairs: the effect size is then d_z, else Cohen's d."""
        return bool(self.provenance.settings.get("within_pairs", "paired" in self.test))

    @property
    def n_rows(self) -> tuple[int, int]:
        """How many independent rows the test has of each condition: sentences, or templates where they share some."""
        a, b = self.provenance.settings.get("template_rows", (self.n_a, self.n_b))
        return int(a), int(b)

    @property
    def n_templates(self) -> int:
        """How many templates the sentences are made from, as far as their labels or their words say.

        Of caches and of older selections, which do not know, as many as there are sentences, or pairs.
        """
        unknown = self.n_a if self.is_paired else self.n_a + self.n_b
        return int(self.provenance.settings.get("templates", unknown))

    @property
    def n_alike(self) -> int:
        """How many templates the sentences are made from as their words show, whatever the test took for a row.

        Fewer than the rows of the test: these are not independent. ``groups="detect"`` tests templates instead.
        """
        return int(self.provenance.settings.get("templates_by_words", self.n_templates))

    @property
    def n_identical_pairs(self) -> int:
        """In how many pairs the model had read the same tokens by the tested position, so that nothing can differ."""
        return int(self.provenance.settings.get("identical_pairs", 0))

    @property
    def n_copies(self) -> int:
        """How many sentences, or pairs, were left out because the model reads the same in others."""
        return int(self.provenance.settings.get("copies", 0))

    @property
    def n_rounding(self) -> int:
        """How many neurons are dead because they vary by the rounding of batches only."""
        return int(self.provenance.settings.get("rounding_only", 0))

    def mask(self, direction: Any = "any") -> Bool[Tensor, "layer neuron"]:
        """The selected neurons.

        Args:
            direction: The name of condition a (significant and t > 0), of condition b (t < 0), or ``"any"``.

        Raises:
            ValueError: An unknown direction.
        """
        direction = label(direction, "direction")
        one_of("direction", direction, (*self.conditions, "any"))
        if direction == "any":
            return self.mask(self.conditions[0]) | self.mask(self.conditions[1])
        sign = 1 if direction == self.conditions[0] else -1
        chosen = (self.p_adjusted <= self.alpha) & (sign * self.t > 0)
        return chosen if self.top_k is None else _strongest(chosen, self.t.abs(), self.top_k)

    def by_layer(self, direction: Any = "any") -> dict[int, Bool[Tensor, " neuron"]]:
        """The mask of a ``direction`` as ``{layer: bool [neuron]}``."""
        return dict(zip(self.layers, self.mask(direction), strict=True))

    def density(self) -> pd.DataFrame:
        """Share of selected neurons in every layer.

        Columns: layer, one for each condition (share with that sign), any, n_selected, n_neurons, n_dead. Shares are
        of all neurons of the layer, dead ones included.
        """
        frame = pd.DataFrame({"layer": self.layers})
        for direction in (*self.conditions, "any"):
            frame[direction] = self.mask(direction).double().mean(dim=1).numpy()
        frame["n_selected"] = self.mask("any").sum(dim=1).numpy()
        frame["n_neurons"] = self.t.shape[1]
        frame["n_dead"] = self.dead.sum(dim=1).numpy()
        return frame

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer and neuron.

        Columns: layer, neuron, t, dof, p, p_adjusted, effect_size, direction. ``direction`` is the condition whose
        mask holds the neuron, or "none".
        """
        n_layers, n_neurons = self.t.shape
        frame = pd.DataFrame(
            {
                "layer": torch.tensor(self.layers).repeat_interleave(n_neurons).numpy(),
                "neuron": torch.arange(n_neurons).repeat(n_layers).numpy(),
            }
        )
        for name in ("t", "dof", "p", "p_adjusted", "effect_size"):
            frame[name] = getattr(self, name).flatten().numpy()
        frame["direction"] = "none"
        for condition in self.conditions:
            frame.loc[self.mask(condition).flatten().numpy(), "direction"] = condition
        return frame


def require_selection(name: str, value: Any) -> NeuronSelection:
    """Refuse what is no selection.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, NeuronSelection):
        return value
    raise TypeError(f"the {name} is a {type(value).__name__}; give what tlesion.select_neurons returned")


settle_by(require_selection, "selection")


def _strongest(
    chosen: Bool[Tensor, "layer neuron"], strength: Float64[Tensor, "layer neuron"], k: int
) -> Bool[Tensor, "layer neuron"]:
    """At most k of the chosen in every layer; ties go to the first, so that there are never more than k."""
    ranked = strength.masked_fill(~chosen, -torch.inf).sort(dim=1, descending=True, stable=True).indices[:, :k]
    kept = torch.zeros_like(chosen).scatter_(1, ranked, True)
    return kept & chosen
