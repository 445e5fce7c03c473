"""What a subspace study cuts: per layer the subspace itself, random ones of equal rank, and other ranks of both.

The texts walk through the model block by block, so that one layer's activations are in memory at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tlesion.checks import one_of
from tlesion.covariance import CovarianceChange, measure_covariance_change
from tlesion.studies.common.frame import Run
from tlesion.studies.common.point import Point
from tlesion.studies.common.walk import Walk, inference, walk_layers
from tlesion.subspace import ObliqueEraser, Subspace, fit_subspace

METHODS = ("svd", "ica", "random", "random_in_span")
GIVEN = "given"
CONTROLS = ("random", "random_in_span")


@dataclass(frozen=True)
class Cut:
    """What is cut out of every lesioned layer.

    Attributes:
        kind: A method, or ``"given"``.
        rank: How many directions.
        draw: Which draw of a random control; None: this is no control.
    """

    kind: str
    rank: int
    draw: int | None = None

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.kind}, rank {self.rank}" + ("" if self.draw is None else f", control {self.draw}")


@dataclass(frozen=True)
class Fitting:
    """How the subspaces of a study are found.

    Attributes:
        method: One of `METHODS`, or `GIVEN`: the main cut is the caller's own.
        rank: Directions of the main cut.
        components: Which components instead of the first ones.
        ranks: Further ranks.
        n_random: How many random controls of the main cut's rank.
        control: How controls are drawn, one of `CONTROLS`.
        restore_mean: Whether the mean is added back.
        n_sampled: Units in the pictured block of the covariance.
        seed: Of everything that is drawn.
    """

    method: str = "svd"
    rank: int = 1
    components: tuple[int, ...] | None = None
    ranks: tuple[int, ...] = ()
    n_random: int = 4
    control: str = "random"
    restore_mean: bool = True
    n_sampled: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method != GIVEN:
            one_of("method", self.method, METHODS)
        one_of("control", self.control, CONTROLS)
        for name in ("rank", "n_random", "n_sampled"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, got {value!r}")
        wrong = [rank for rank in self.ranks if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1]
        if wrong:
            raise ValueError(f"ranks {wrong} are no numbers of directions; give 1 or more each, such as [1, 2, 4]")
        if self.ranks and self.components is not None:
            raise ValueError("components say which directions are cut, and ranks how many lead; give one of them")

    @property
    def n_controls(self) -> int:
        """How many random controls the main cut has: a cut of rank 0 needs none."""
        return self.n_random if self.rank else 0

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The main cut first, its random controls, then each further rank with one control."""
        controls = [Cut(self.control, self.rank, draw) for draw in range(self.n_controls)]
        further = [
            cut
            for rank in sorted(set(self.ranks) - {self.rank})
            for cut in (Cut(self.method, rank), *([Cut(self.control, rank, 0)] if self.n_random else []))
        ]
        return (Cut(self.method, self.rank), *controls, *further)

    def fit(self, activations: Float[Tensor, "token unit"], cut: Cut, layer: int) -> Subspace:
        """The subspace of one cut in one layer; every layer and draw has a seed of its own."""
        place = [self.seed, layer, cut.rank, 0 if cut.draw is None else 1 + cut.draw]
        seed = int(np.random.SeedSequence(place).generate_state(1)[0])
        components = self.components if cut.draw is None else None
        return fit_subspace(activations, cut.rank, method=cut.kind, components=components, seed=seed)


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


def fit_layers(
    run: Run,
    point: Point,
    sequences: Sequence[Int[Tensor, " _"]],
    fitting: Fitting,
    given: Mapping[int, Subspace | ObliqueEraser] | None,
) -> list[LayerFit]:
    """Fit the cuts of every layer on all tokens of the texts.

    Raises:
        ValueError: The activations of a layer cannot be decomposed, or a given subspace is not as wide as they are.
    """
    asked = dict(zip(point.layers, point.names, strict=True))
    lengths = [len(ids) for ids in sequences]
    with inference(run.frame.model):
        walk = Walk(run.frame.model, sequences, max_bytes=run.budget)

        def measure(layer: int) -> dict[str, Any]:
            activations = _collect(walk, layer, asked[layer], lengths)
            try:
                return _fit(activations, layer, fitting, None if given is None else given[layer]).fields()
            except ValueError as error:
                raise ValueError(f"{asked[layer]!r}: {error}") from None

        found = walk_layers([walk], list(asked), measure, checkpoint=run.checkpoint.stage("fits"), desc="fitting")
    return [LayerFit.of(found[layer]) for layer in asked]


def check_given(given: Any, point: Point, *, options: Mapping[str, Any]) -> None:
    """Refuse given subspaces that do not fit the layers, and options for finding others.

    Raises:
        TypeError: They are not a dict of subspaces.
        ValueError: A layer lacks one, or one is not as wide as the hook point.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"subspaces are a {type(given).__name__}; give a dict of a Subspace by layer, {{3: subspace}}")
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option}={value!r} and subspaces were given, which say what is cut; leave it out")
    for layer, name in zip(point.layers, point.names, strict=True):
        if layer not in given:
            raise ValueError(f"no subspace was given for layer {layer}; there are some for {sorted(given)}")
        subspace = given[layer]
        if not isinstance(subspace, Subspace | ObliqueEraser):
            raise TypeError(f"the subspace of layer {layer} is a {type(subspace).__name__}; fit one with fit_subspace")
        if subspace.width != point.n_units:
            raise ValueError(
                f"the subspace of layer {layer} has width {subspace.width}, and {name!r} has {point.n_units} units; "
                "fit it on activations of the same hook point"
            )
    ranks = {given[layer].rank for layer in point.layers}
    if len(ranks) > 1:
        raise ValueError(f"the subspaces have ranks {sorted(ranks)}; give one rank for all layers")


def _collect(walk: Walk, layer: int, name: str, lengths: Sequence[int]) -> Float[Tensor, "token unit"]:
    parts: dict[int, Tensor] = {}

    def take(members: tuple[int, ...], activation: Tensor) -> None:
        parts.update(zip(members, activation, strict=True))

    walk.advance(layer, name, take)
    return torch.cat([parts[index] for index in range(len(lengths))])


def _fit(
    activations: Float[Tensor, "token unit"], layer: int, fitting: Fitting, given: Subspace | ObliqueEraser | None
) -> LayerFit:
    cuts = fitting.cuts
    main = fitting.fit(activations, cuts[0], layer) if given is None else given
    subspaces = (main, *(fitting.fit(activations, cut, layer) for cut in cuts[1:]))
    values = activations.double()
    lost = torch.stack([_share_lost(values, subspace) for subspace in subspaces])
    squares = main.project(values)
    squares = (squares - squares.mean(dim=0)).square().sum(dim=1)
    top = int(squares.argmax())
    share = float(squares[top] / squares.sum()) if main.rank and float(squares.sum()) > 0 else 0.0
    after = main.remove(values, restore_mean=fitting.restore_mean)
    covariance = measure_covariance_change(activations, after, n_sampled=fitting.n_sampled, seed=fitting.seed)
    return LayerFit(subspaces, lost, (top, share), covariance)


def _share_lost(values: Float[Tensor, "token unit"], subspace: Subspace | ObliqueEraser) -> Float[Tensor, ""]:
    """1 − tr C after / tr C before."""
    centred = values - values.mean(dim=0)
    cut = subspace.project(values)
    cut = cut - cut.mean(dim=0)
    # ‖X‖² − ‖X − P‖² = 2⟨X, P⟩ − ‖P‖² keeps the digits of a small share.
    return ((2 * centred - cut) * cut).sum() / centred.square().sum()


def _below(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


def _subspace(fields: dict[str, Any]) -> Subspace | ObliqueEraser:
    if fields.pop("kind") == "ObliqueEraser":
        return ObliqueEraser(**fields)
    return Subspace(**fields | {"components": tuple(fields["components"])})
