"""`Replacement`: what replaced activations do to the hidden states after them, and to the prediction."""

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.replacement.downstream import HiddenStates, Prediction, TokenSpread
from tlesion.studies.replacement.outlying import Outlying
from tlesion.studies.replacement.recovery import recovery_frame


@dataclass(frozen=True, eq=False, kw_only=True)
class Replacement(Result):
    """Downstream effects of lesions, per variant, layer and prompt.

    Attributes:
        hidden: What becomes of the hidden state after each block, by prompt.
        by_token: The same token by token, of the first prompts.
        prediction: What becomes of the prediction.
        outlying: How far out of distribution the values are that were put in.
        starts: The block after which each variant's deviation counts as whole.
        variants: Labels.
        settings: What each variant does.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        post_norm: Whether every block ends in a norm, as BERT's do.
        plan: How the sweep was run, and why.
    """

    hidden: HiddenStates
    by_token: TokenSpread
    prediction: Prediction
    outlying: Outlying
    starts: tuple[int, ...]
    variants: tuple[str, ...]
    settings: tuple[dict[str, Any], ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    post_norm: bool
    plan: str

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gather the ``values`` of a result that was saved before it had parts."""
        spread = {"std": "std_by_token", "clean_std": "clean_std_by_token", "prompt": "token_prompt", "words": "tokens"}
        return values | {
            "hidden": HiddenStates(**{field.name: values[field.name] for field in fields(HiddenStates)}),
            "by_token": TokenSpread(**{new: values[old] for new, old in spread.items()}),
            "prediction": Prediction(**{field.name: values[field.name] for field in fields(Prediction)}),
            "outlying": Outlying(**{field.name: values[field.name] for field in fields(Outlying)}),
        }

    @property
    def n_layers(self) -> int:
        """Blocks of the model."""
        return self.hidden.std.shape[1]

    @property
    def kl(self) -> Float64[Tensor, "variant prompt"]:
        """Divergence of the lesioned prediction from the clean one, in nats."""
        return self.prediction.kl

    @property
    def global_change(self) -> Float64[Tensor, "variant prompt"]:
        """Standard deviation over the vocabulary of (lesioned − clean) logits."""
        return self.prediction.global_change

    @property
    def logit_drop(self) -> Float64[Tensor, "variant prompt target"]:
        """Clean − lesioned logit of each target. Positive: the lesion cost that token."""
        return self.prediction.logit_drop

    @property
    def top_kept(self) -> Float64[Tensor, "variant prompt"]:
        """Share of the clean run's likeliest tokens that are still among them."""
        return self.prediction.top_kept

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per variant, layer and prompt.

        Columns: variant, layer, prompt, std, std_token, norm, cosine, drift, drift_relative, drift_normed, clean_std,
        clean_std_token, clean_norm.
        """
        axes = [self.variants, range(self.n_layers), range(len(self.prompts))]
        frame = pd.MultiIndex.from_product(axes, names=["variant", "layer", "prompt"]).to_frame(index=False)
        for field in fields(self.hidden):
            frame[field.name] = getattr(self.hidden, field.name).expand_as(self.hidden.std).flatten().numpy()
        return frame

    def effects_frame(self) -> pd.DataFrame:
        """What became of the prediction: a row per variant, prompt and target.

        Columns: variant, prompt, target, is_correct, clean_logit, logit_drop, kl, global_change, top_kept, clean_first,
        lesioned_first (the likeliest token of each run).
        """
        found = self.prediction
        axes = [range(len(self.variants)), range(len(self.prompts)), range(self.logit_drop.shape[-1])]
        frame = pd.MultiIndex.from_product(axes, names=["variant", "prompt", "target"]).to_frame(index=False)
        variant, prompt, target = (frame[name].to_numpy() for name in ("variant", "prompt", "target"))
        frame["variant"] = [self.variants[i] for i in variant]
        frame["target"] = [self.targets[i][j] for i, j in zip(prompt, target, strict=True)]
        frame["is_correct"] = [word == self.correct[i] for word, i in zip(frame["target"], prompt, strict=True)]
        frame["clean_logit"] = found.clean_logits.expand_as(self.logit_drop).flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        for name in ("kl", "global_change", "top_kept"):
            frame[name] = getattr(found, name)[..., None].expand_as(self.logit_drop).flatten().numpy()
        frame["clean_first"] = [found.vocabulary[i] for i in found.clean_top.numpy()[prompt, 0]]
        frame["lesioned_first"] = [found.vocabulary[i] for i in found.lesioned_top.numpy()[variant, prompt, 0]]
        return frame

    def variants_frame(self) -> pd.DataFrame:
        """A row per variant.

        Columns: variant, those of its settings, start, z_of_mean, outside_layer, outside_unit, changed; means over
        prompts of kl, global_change and top_kept.
        """
        frame = pd.DataFrame(
            [{"variant": label, **made} for label, made in zip(self.variants, self.settings, strict=True)]
        )
        frame["start"] = self.starts
        for name in ("z_of_mean", "outside_layer", "outside_unit", "changed"):
            frame[name] = getattr(self.outlying, name).numpy()
        for name in ("kl", "global_change", "top_kept"):
            frame[name] = getattr(self.prediction, name).mean(dim=1).numpy()
        return frame

    def recovery(self) -> pd.DataFrame:
        """How much of each variant's deviation is undone later, and by what; see `recovery_frame` for the rule.

        Columns: variant, layer, start, absolute, relative, normed (recovery indices: 0 nothing, 1 all),
        removed_by_norm, verdict ("compensation", "rescaling", "none", "no deviation").
        """
        return recovery_frame(
            self.hidden.drift.mean(dim=2),
            self.hidden.drift_relative.mean(dim=2),
            self.hidden.drift_normed.mean(dim=2),
            self.starts,
            self.variants,
            post_norm=self.post_norm,
        )

    def families(self) -> dict[str, list[int]]:
        """Indices of the variants that differ in their layer (or head) only, by what they share."""
        found: dict[str, list[int]] = {}
        for index, made in enumerate(self.settings):
            name = f"× {made['factor']:g}" if made.get("kind") == "scale" else str(made.get("kind", "own lesions"))
            found.setdefault(name, []).append(index)
        return found

    def select(self, **settings: object) -> list[int]:
        """Indices of the variants with certain settings, ``select(kind="scale", factor=0.1)``."""
        return [
            i for i, made in enumerate(self.settings) if all(made.get(key) == value for key, value in settings.items())
        ]
