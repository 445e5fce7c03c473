"""`CrossFit`: held-out effects of lesions, and how similar the masks of the folds are."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from tlesion.inference import bootstrap_mean, empirical_p, max_statistic, standardised_effect
from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.studies.common.labels import tidy_rows


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossFit(Result):
    """What masks selected on some folds cost on the fold that was left out.

    Attributes:
        logit_drop: Clean − lesioned logit of each target, under the mask that the prompt's own fold had no part in.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        clean_logits: Logits of the targets in the clean run.
        control_logit_drop: The same effect of matched controls; no control where none was asked for. A control is one
            shuffling of each layer's neurons, the same for all folds and both masks, so that controls of two folds
            overlap as their masks do.
        selected: Each mask as every fold's selection made it; row f is selected on all folds but f.
        jaccard: Overlap of one mask between the selections of two folds; NaN where both are empty.
        jaccard_by_chance: What random masks of their sizes would overlap. With more than two folds the selections
            share sentences, so that much of an overlap above chance is due to those.
        fold: The fold of every prompt.
        fold_of_pair: The fold of every pair of the contrast.
        masks: Names of the masks: the contrast's conditions, in the order of the targets.
        layers: The model's layer of every row.
        prompts: Texts of the prompts, made from the contrast's sentences.
        targets: Words of condition a and b in each prompt.
        correct: The word that the sentence had there, or None where both sentences of a pair make the same prompt.
        groups: The template of each prompt.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    control_logit_drop: Float64[Tensor, "mask control layer prompt target"]
    selected: Bool[Tensor, "mask fold layer unit"]
    jaccard: Float64[Tensor, "mask fold fold layer"]
    jaccard_by_chance: Float64[Tensor, "mask fold fold layer"]
    fold: Int[Tensor, " prompt"]
    fold_of_pair: Int[Tensor, " pair"]
    masks: tuple[str, str]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    groups: tuple[str, ...]

    @property
    def advantage(self) -> Float64[Tensor, "mask layer prompt"]:
        """How much more a mask costs its own target than the other one; positive where it does what its name says."""
        return _advantage(self.logit_drop)

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, layer, prompt and target.

        Columns: mask, layer, prompt, fold, text, group, target, is_correct, clean_logit, lesioned_logit, logit_drop,
        global_change, n_lesioned.
        """
        drop = self.logit_drop
        frame = tidy_rows(self, {"mask": self.masks, "layer": self.layers})
        prompt = frame["prompt"].to_numpy()
        frame.insert(3, "fold", self.fold.numpy()[prompt])
        frame.insert(5, "group", [self.groups[i] for i in prompt])
        n_lesioned = self.selected.sum(dim=3).transpose(1, 2)[:, :, self.fold]
        columns = {
            "clean_logit": self.clean_logits.expand_as(drop),
            "lesioned_logit": self.clean_logits - drop,
            "logit_drop": drop,
            "global_change": self.global_change[..., None].expand_as(drop),
            "n_lesioned": n_lesioned[..., None].expand_as(drop),
        }
        for name, values in columns.items():
            frame[name] = values.flatten().numpy()
        return frame

    @public
    def effects(
        self, *, level: float | int = 0.95, method: str = "bca", n_permutations: int = 10_000, seed: int = 0
    ) -> pd.DataFrame:
        """The held-out effect of every mask and layer, with interval and p; templates are resampled and flipped whole.

        Two questions, two p-values. ``p_corrected``: do these masks do anything to the difference of the targets? It
        is over prompts, with the masks as they are (prompts of different folds met masks that were selected on partly
        the same sentences, which neither it nor the interval accounts for), and random masks often do something.
        ``p_control``: is it more than what random masks of their sizes do?

        Args:
            level: Of the interval.
            method: Of the interval, see :func:`tlesion.inference.bootstrap_mean`; ``"t"`` for few templates.
            n_permutations: Sign flips.
            seed: Of resamples and flips.

        Returns:
            A row per mask and layer. Columns: mask, layer, advantage (mean over prompts: what the lesion costs the
            mask's own target more than the other), low, high, p_corrected (two-sided, for all layers of the mask),
            p_control (one-sided, not corrected for layers; NaN without controls), z_control (the advantage in standard
            deviations of the controls'), own_drop, other_drop (mean logit drops), global_change, n_lesioned (mean over
            folds).
        """
        options: dict[str, Any] = {"seed": seed, "groups": self.groups}
        interval = bootstrap_mean(self.advantage, level=level, method=method, **options)
        drop = self.logit_drop.mean(dim=2)
        p = [max_statistic(one, n_permutations=n_permutations, **options) for one in self.advantage]
        columns = {
            "advantage": self.advantage.mean(dim=2),
            "low": interval.low,
            "high": interval.high,
            "p_corrected": torch.stack(p),
            **self._against_controls(),
            "own_drop": torch.stack([drop[0, :, 0], drop[1, :, 1]]),
            "other_drop": torch.stack([drop[0, :, 1], drop[1, :, 0]]),
            "global_change": self.global_change.mean(dim=2),
            "n_lesioned": self.selected.sum(dim=3).double().mean(dim=1),
        }
        return self._per_layer(columns)

    def _against_controls(self) -> dict[str, Tensor]:
        own = self.advantage.mean(dim=2)
        if not self.control_logit_drop.shape[1]:
            return dict.fromkeys(("p_control", "z_control"), torch.full_like(own, torch.nan))
        controls = _advantage(self.control_logit_drop).mean(dim=3).transpose(0, 1)
        z = standardised_effect(own, controls) if len(controls) > 1 else torch.full_like(own, torch.nan)
        return {"p_control": empirical_p(own, controls), "z_control": z}

    def stability(self) -> pd.DataFrame:
        """How alike the masks of the folds are.

        Returns:
            A row per mask and layer. Columns: mask, layer, jaccard, by_chance (means over pairs of folds; NaN where
            no pair selected anything), in_all, in_any (neurons that every fold's selection has, or any).
        """
        n_folds = self.jaccard.shape[1]
        upper = torch.triu_indices(n_folds, n_folds, offset=1)
        columns = {
            "jaccard": self.jaccard[:, upper[0], upper[1]].nanmean(dim=1),
            "by_chance": self.jaccard_by_chance[:, upper[0], upper[1]].nanmean(dim=1),
            "in_all": self.selected.all(dim=1).sum(dim=2),
            "in_any": self.selected.any(dim=1).sum(dim=2),
        }
        return self._per_layer(columns)

    def _per_layer(self, columns: dict[str, Tensor]) -> pd.DataFrame:
        frame = pd.MultiIndex.from_product([self.masks, self.layers], names=["mask", "layer"]).to_frame(index=False)
        for name, values in columns.items():
            frame[name] = values.flatten().numpy()
        return frame


def _advantage(drop: Float64[Tensor, "mask *more target"]) -> Float64[Tensor, "mask *more"]:
    """Mask a: target a − target b; mask b: the reverse."""
    return torch.stack([drop[0, ..., 0] - drop[0, ..., 1], drop[1, ..., 1] - drop[1, ..., 0]])
