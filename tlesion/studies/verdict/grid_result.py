"""`VerdictGrid`: the same study under several ablations and on halves of its prompts, and which words stand in all."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.paper.prose import layer_list, listed
from tlesion.studies.verdict.result import INCONCLUSIVE, VERDICTS

NUMBERS = ("effect", "low", "high", "p", "control_p_corrected")


@dataclass(frozen=True, eq=False, kw_only=True)
class VerdictGrid(Result):
    """One verdict for each condition, mask and layer; :func:`tlesion.verdict_grid` makes it.

    A condition is an ablation, on all prompts or on one half of their templates. Each is judged by a verdict of its
    own, whose p are corrected over masks and layers, not over conditions: a word *stands* only where all give it,
    which makes a false one rarer. Halves are parts of the same run as all prompts, with the same controls.

    Attributes:
        effect: What the lesion costs the mask's own word (logits), mean over the condition's prompts.
        low, high: Its confidence interval.
        p: Over groups, two-sided, corrected over masks and layers.
        control_p_corrected: Against controls, likewise.
        smallest_effect: Smallest effect of interest, in logits.
        n_prompts, n_groups: Prompts that a mask is judged on, and how many independent groups they are.
        conditions: Names of the conditions, the ablation first: ``"zero"``, ``"zero, half 1"``.
        ablations: The ablation of each.
        halves: 0: all prompts; 1 and 2: the half of each.
        masks, layers: Names of the masks, and the model's layer of every row.
        about: The word that each mask is about.
        words: The verdict in every condition, mask and layer.
        reasons: Why it is inconclusive, where it is.
    """

    effect: Float64[Tensor, "condition mask layer"]
    low: Float64[Tensor, "condition mask layer"]
    high: Float64[Tensor, "condition mask layer"]
    p: Float64[Tensor, "condition mask layer"]
    control_p_corrected: Float64[Tensor, "condition mask layer"]
    smallest_effect: Float64[Tensor, "condition mask"]
    n_prompts: Int[Tensor, "condition mask"]
    n_groups: Int[Tensor, "condition mask"]
    conditions: tuple[str, ...]
    ablations: tuple[str, ...]
    halves: tuple[int, ...]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    about: tuple[str, ...]
    words: tuple[tuple[tuple[str, ...], ...], ...]
    reasons: tuple[tuple[tuple[str, ...], ...], ...]

    @property
    def stands(self) -> tuple[tuple[str, ...], ...]:
        """For every mask and layer the word that all conditions give; "" where they differ."""
        return tuple(
            tuple(_common(self.words_of(mask, layer)) for layer in range(len(self.layers)))
            for mask in range(len(self.masks))
        )

    def words_of(self, mask: int, layer: int) -> list[str]:
        """The words of all conditions on one mask and layer, by their places."""
        return [words[mask][layer] for words in self.words]

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per condition, mask and layer.

        Columns: condition, mask, layer, ablation, half (0: all prompts), about, n_prompts, n_groups, effect, low, high,
        p, control_p_corrected, smallest, verdict, reason, stands.
        """
        axes = [self.conditions, self.masks, self.layers]
        frame = pd.MultiIndex.from_product(axes, names=["condition", "mask", "layer"]).to_frame(index=False)
        n_masks, n_layers = len(self.masks), len(self.layers)
        frame["ablation"] = [name for name in self.ablations for _ in range(n_masks * n_layers)]
        frame["half"] = [half for half in self.halves for _ in range(n_masks * n_layers)]
        frame["about"] = [word for word in self.about for _ in range(n_layers)] * len(self.conditions)
        for name in ("n_prompts", "n_groups"):
            frame[name] = getattr(self, name).flatten().repeat_interleave(n_layers).numpy()
        for name in NUMBERS:
            frame[name] = getattr(self, name).flatten().numpy()
        frame["smallest"] = self.smallest_effect.flatten().repeat_interleave(n_layers).numpy()
        frame["verdict"] = [word for masks in self.words for layers in masks for word in layers]
        frame["reason"] = [reason for masks in self.reasons for layers in masks for reason in layers]
        frame["stands"] = [word for layers in self.stands for word in layers] * len(self.conditions)
        return frame

    def summary(self) -> str:
        """Which words stand and which do not, in sentences."""
        return "\n".join([_conditions(self), *(_of_mask(self, row) for row in range(len(self.masks)))])


def _common(words: list[str]) -> str:
    return words[0] if len(set(words)) == 1 else ""


def _conditions(grid: VerdictGrid) -> str:
    names = list(dict.fromkeys(grid.ablations))
    split = " on all prompts and on each half of their templates" if any(grid.halves) else ""
    n = len(grid.conditions)
    return (
        f"The study was judged in {n} condition{'s' * (n != 1)} (ablation: {listed(names)}{split}), in each by itself, "
        "with p corrected over neuron sets and layers. A word stands where all conditions give it."
    )


def _of_mask(grid: VerdictGrid, row: int) -> str:
    said = grid.stands[row]
    standing = [
        f"{word} in {layer_list(at)}"
        for word in VERDICTS
        if word != INCONCLUSIVE and (at := [one for one, found in zip(grid.layers, said, strict=True) if found == word])
    ]
    text = f"{grid.masks[row]}-neurons, in every condition: {'; '.join(standing) or 'no definite word'}."
    if unclear := [one for one, found in zip(grid.layers, said, strict=True) if found == INCONCLUSIVE]:
        text += f" Inconclusive in every condition: {layer_list(unclear)}."
    differ = [f"layer {one} ({_counts(grid, row, at)})" for at, one in enumerate(grid.layers) if not said[at]]
    return text + (f" Conditions differ in {listed(differ)}." if differ else "")


def _counts(grid: VerdictGrid, row: int, layer: int) -> str:
    """How many conditions say what."""
    found = Counter(grid.words_of(row, layer))
    return ", ".join(f"{word} in {found[word]} of {len(grid.conditions)}" for word in VERDICTS if word in found)
