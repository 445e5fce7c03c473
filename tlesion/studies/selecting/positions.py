"""What does a test select? The same question asked at the word itself, and where the model expects it.

At the word's own position the two conditions differ in the token, so that most neurons differ; at the mask, or before
the word, only what the context says can. The share of neurons selected, and how much the masks have in common, show
which question a selection answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from tlesion.checks import label, one_of, shown
from tlesion.encoding import encode_sentence
from tlesion.hooks import Model
from tlesion.keep.results import Provenance, Result
from tlesion.positions import SentencePosition, settled_position
from tlesion.public import public
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.selection.overlap import MaskOverlap, mask_overlap
from tlesion.selection.result import require_selection
from tlesion.stimuli import Contrast, combined_hash
from tlesion.stimuli.contrast import require_contrast
from tlesion.tokens import is_masked


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectionComparison(Result):
    """Several selections of one model's neurons, side by side.

    Attributes:
        mask_a, mask_b: The neurons that each selected, by the condition in which they are larger.
        names: Names of the selections.
        conditions: Names of a and b.
        layers: The model's layer of every row.
        hook_point: Short form of the hook point.
        n_a, n_b: Sentences in each condition, per selection.
        tests: Test, correction and level of each selection, in words.
    """

    mask_a: Bool[Tensor, "selection layer neuron"]
    mask_b: Bool[Tensor, "selection layer neuron"]
    names: tuple[str, ...]
    conditions: tuple[str, str]
    layers: tuple[int, ...]
    hook_point: str
    n_a: tuple[int, ...]
    n_b: tuple[int, ...]
    tests: tuple[str, ...]

    def masks(self, direction: Any = "any") -> dict[str, Bool[Tensor, "layer neuron"]]:
        """The mask of every selection by its name; ``direction`` is a condition or ``"any"``.

        Raises:
            ValueError: An unknown direction.
        """
        direction = label(direction, "direction")
        one_of("direction", direction, (*self.conditions, "any"))
        a, b = self.mask_a, self.mask_b
        chosen = {self.conditions[0]: a, self.conditions[1]: b, "any": a | b}[direction]
        return dict(zip(self.names, chosen, strict=True))

    def overlap(self, direction: Any = "any") -> MaskOverlap:
        """How much the selections' masks of one ``direction`` have in common, beside chance.

        See :func:`tlesion.mask_overlap`.
        """
        return mask_overlap(self.masks(direction), layers=self.layers)

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per selection and layer.

        Columns: selection, layer, one for each condition and ``any`` (share of the layer's neurons), n_selected,
        n_neurons.
        """
        rows = pd.MultiIndex.from_product([self.names, self.layers], names=["selection", "layer"])
        frame = rows.to_frame(index=False)
        either = self.mask_a | self.mask_b
        for name, mask in zip((*self.conditions, "any"), (self.mask_a, self.mask_b, either), strict=True):
            frame[name] = mask.double().mean(dim=2).flatten().numpy()
        frame["n_selected"] = either.sum(dim=2).flatten().numpy()
        frame["n_neurons"] = either.shape[2]
        return frame


@public
def compare_positions(
    model: Model,
    contrasts: Contrast | Mapping[str, Contrast],
    *,
    positions: Sequence[SentencePosition] | None = None,
    hook_point: str = "mlp.hook_pre",
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    batch_size: int = 32,
) -> SelectionComparison:
    """Select at several positions, in one contrast or several, and compare.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrasts: A contrast, or several with the same conditions by name.
        positions: Where to test; None: ``"word"`` and where the model expects it, ``"mask"`` (masked models) or
            ``"before"`` (causal ones).
        hook_point, test, correction, family, alpha, min_effect, batch_size: As in :func:`tlesion.select_neurons`.

    Returns:
        The selections, called by their position, or ``"<contrast>, <position>"`` where there are several contrasts.

    Raises:
        ValueError: See :func:`tlesion.select_neurons` and :func:`compare_selections`.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("masked", n_token=12)
        >>> result = tlesion.compare_positions(planted.model, planted.language.contrast(30, seed=0))
        >>> result.to_frame().groupby("selection")["n_selected"].sum().to_dict()
        {'mask': 16, 'word': 42}
    """
    several = contrasts if isinstance(contrasts, Mapping) else {"": contrasts}
    given: Any = None if positions is None else [settled_position("position", one) for one in positions]
    where: Any = given if given is not None else ("word", "mask" if is_masked(model) else "before")
    for contrast in several.values():
        for position in where:  # Before the first of them is selected at.
            for sentence in (*require_contrast("contrast", contrast).a, *contrast.b):
                encode_sentence(model, sentence, position=position, subword=contrast.subword)
    selections = {
        f"{name}, {position}" if name else str(position): select_neurons(
            model,
            contrast,
            hook_point=hook_point,
            position=position,
            test=test,
            correction=correction,
            family=family,
            alpha=alpha,
            min_effect=min_effect,
            batch_size=batch_size,
        )
        for name, contrast in several.items()
        for position in where
    }
    return compare_selections(selections)


@public
def compare_selections(selections: Mapping[str, NeuronSelection]) -> SelectionComparison:
    """Lay selections of the same neurons side by side, whatever they differ in: position, sentences, test.

    Args:
        selections: Two or more, by name.

    Returns:
        The selections with their shares per layer and the overlap of their masks.

    Raises:
        ValueError: Fewer than two, or selections of different models, hook points, layers or conditions.

    Example:
        >>> import tlesion
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> tests = ("student", "paired")
        >>> found = {test: tlesion.select_neurons(model, contrast, test=test, layers=[3]) for test in tests}
        >>> sorted(tlesion.compare_selections(found).to_frame()["selection"].unique())
        ['paired', 'student']
    """
    if not isinstance(selections, Mapping):
        raise TypeError(f"selections is a {shown(selections)}; give a dict of them by name, {{'word': selection, ...}}")
    for name, one in selections.items():
        require_selection(f"selection {name!r}", one)
    if len(selections) < 2:
        raise ValueError(f"{len(selections)} selection(s) to compare; give two or more by name")
    first = next(iter(selections.values()))
    for name, other in selections.items():
        for what in ("conditions", "layers", "hook_point"):
            one, two = getattr(first, what), getattr(other, what)
            if one != two:
                raise ValueError(f"selection {name!r} has the {what} {two!r}, the first one {one!r}; they must agree")
        if first.provenance.model.get("fingerprint") != other.provenance.model.get("fingerprint"):
            raise ValueError(
                f"selection {name!r} is of model {other.provenance.model['name']!r}, the first one of "
                f"{first.provenance.model['name']!r} or with other weights; compare selections of one model"
            )
    each = list(selections.values())
    a, b = first.conditions
    stimuli = tuple(dict.fromkeys(stimulus for one in each for stimulus in one.provenance.stimuli))
    return SelectionComparison(
        mask_a=torch.stack([one.mask(a) for one in each]),
        mask_b=torch.stack([one.mask(b) for one in each]),
        names=tuple(selections),
        conditions=first.conditions,
        layers=first.layers,
        hook_point=first.hook_point,
        n_a=tuple(one.n_a for one in each),
        n_b=tuple(one.n_b for one in each),
        tests=tuple(f"{one.test}, {one.correction} over the {one.family} at {one.alpha:g}" for one in each),
        provenance=Provenance(
            model=first.provenance.model,
            versions=first.provenance.versions,
            settings={name: one.provenance.settings for name, one in selections.items()},
            stimuli=stimuli,
            stimuli_hash=combined_hash(stimuli),
        ),
    )
