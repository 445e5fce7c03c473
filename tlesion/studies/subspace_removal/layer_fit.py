"""What a subspace study cuts out of one layer, and that as a part of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from tlesion.covariance import CovarianceChange
from tlesion.subspace import ObliqueEraser, Subspace


@dataclass(frozen=True, eq=False)
class LayerFit:
    """What is cut out of one layer, and what that does to the activations there.

    Attributes:
        subspaces: One per cut.
        variance_ratio: Share of the activations' variance that each takes away.
        top_token: The token that has the largest part of what the first cut takes away, and its share of it.
        covariance: Before and after the first cut.
    """

    subspaces: tuple[Subspace | ObliqueEraser, ...]
    variance_ratio: Float[Tensor, " cut"]
    top_token: tuple[int, float]
    covariance: CovarianceChange

    def fields(self) -> dict[str, Any]:
        """Everything as tensors and as what JSON holds, for a checkpoint."""
        found: dict[str, Any] = {"variance_ratio": self.variance_ratio, "top_token": self.top_token}
        found |= {f"covariance.{name}": value for name, value in vars(self.covariance).items()}
        for cut, subspace in enumerate(self.subspaces):
            found[f"{cut}.kind"] = type(subspace).__name__
            found |= {f"{cut}.{name}": value for name, value in vars(subspace).items()}
        return found

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "LayerFit":
        """The fit whose `fields` these are."""
        n_cuts = sum(name.endswith(".kind") for name in fields)
        token, share = fields["top_token"]
        return cls(
            subspaces=tuple(_subspace(_below(fields, f"{cut}.")) for cut in range(n_cuts)),
            variance_ratio=fields["variance_ratio"],
            top_token=(token, share),
            covariance=CovarianceChange(**_below(fields, "covariance.")),
        )


def _below(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


def _subspace(fields: dict[str, Any]) -> Subspace | ObliqueEraser:
    if fields.pop("kind") == "ObliqueEraser":
        return ObliqueEraser(**fields)
    return Subspace(**fields | {"components": tuple(fields["components"])})
