"""What the commands that select neurons share: options in, contrast and selection out."""

from dataclasses import dataclass, replace
from pathlib import Path

from tlesion.hooks import Model
from tlesion.positions import SentencePosition
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.stimuli import Contrast, contrasts
from tlesion.stimuli.files import read_pairs
from tlesion.studies.selecting.positions import SelectionComparison, compare_selections
from tlesion.tokens import is_masked

_PLACES = {"word": "word", "mask": "mask", "before": "token before the word"}


@dataclass(frozen=True)
class Selecting:
    """The options of a selection, as the command line has them; see :func:`tlesion.select_neurons`.

    Attributes:
        pairs: File of pairs; None: the shipped him/her pairs.
        words: The words of all pairs, where the file has no columns for them.
        conditions: Names of the conditions; None: their words.
    """

    pairs: Path | None = None
    words: tuple[str, str] | None = None
    conditions: tuple[str, str] | None = None
    hook_point: str = "mlp.hook_pre"
    position: SentencePosition = "word"
    test: str = "welch"
    correction: str | None = None
    family: str = "layer"
    alpha: float = 0.05
    min_effect: float = 0.0
    top_k: int | None = None
    n_permutations: int = 10_000
    seed: int = 0
    batch_size: int = 32
    prepend_bos: bool | None = None

    def contrast(self) -> Contrast:
        """The pairs of the file, or the shipped ones.

        Raises:
            ValueError: The file cannot be read; names for words or conditions without a file that needs them.
        """
        if self.pairs is None:
            if self.words or self.conditions:
                option = "--words" if self.words else "--conditions"
                raise ValueError(f"{option} names the words of a file of pairs, and none was given: add --pairs FILE")
            return contrasts.him_her()
        return read_pairs(self.pairs, words=self.words, conditions=self.conditions)

    def compare(self, model: Model, selection: NeuronSelection) -> SelectionComparison | None:
        """The same test where the context decides, beside this selection; None for a file's pairs.

        Only the shipped pairs have a counterpart in which the context decides between the words.
        """
        if self.pairs is not None:
            return None
        in_context = contrasts.him_her_in_context()
        places: tuple[SentencePosition, ...] = ("word", "mask" if is_masked(model) else "before")
        elsewhere = {f"in context, {_own(place)}": place for place in places}
        selections = {name: replace(self, position=at).select(model, in_context) for name, at in elsewhere.items()}
        return compare_selections({_own(self.position): selection, **selections})

    def select(self, model: Model, contrast: Contrast) -> NeuronSelection:
        """Test every neuron of every layer."""
        return select_neurons(
            model,
            contrast,
            hook_point=self.hook_point,
            position=self.position,
            test=self.test,
            correction=self.correction,
            family=self.family,
            alpha=self.alpha,
            min_effect=self.min_effect,
            top_k=self.top_k,
            n_permutations=self.n_permutations,
            seed=self.seed,
            batch_size=self.batch_size,
            prepend_bos=self.prepend_bos,
        )


def _own(position: SentencePosition) -> str:
    return f"at the {_PLACES[position]}" if isinstance(position, str) else f"at position {position}"
