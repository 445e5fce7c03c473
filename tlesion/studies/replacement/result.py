"""`Replacement`: what replaced activations do to the hidden states after them, and to the prediction."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.replacement.recovery import recovery_frame


@dataclass(frozen=True, eq=False, kw_only=True)
class Replacement(Result):
    """Downstream effects of lesions, per variant, layer and prompt.

    Sizes are of the hidden state after each block, as Hugging Face's ``hidden_states[layer + 1]`` has it. Before the
    block in which a variant begins they are the clean run's. Standard deviations have the divisor n − 1.

    Attributes:
        std: Standard deviation over all tokens and units of a prompt.
        std_token: Mean over tokens of the standard deviation over units.
        norm: Mean over tokens of the Euclidean norm.
        cosine: Mean over tokens of the cosine to the clean hidden state.
        drift: Mean over tokens of the norm of (lesioned − clean).
        drift_relative: The same by the clean norm, token by token.
        drift_normed: The same after the final norm (in a masked model: after bringing each token to mean 0 and
            standard deviation 1), by the norm of the clean one.
        clean_std, clean_std_token, clean_norm: Of the clean run.
        std_by_token: Standard deviation over units, token by token, of the first prompts.
        clean_std_by_token: Likewise, clean.
        token_prompt: The prompt of each of these tokens.
        tokens: They, as they are written.
        kl: Kullback-Leibler divergence of the lesioned prediction from the clean one at the readout, in nats.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits.
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        clean_logits: Logits of the targets in the clean run.
        clean_top: The likeliest tokens of the clean run, as indices into ``vocabulary``.
        lesioned_top: Those of the lesioned runs.
        z_of_mean: Mean of the values that were put in, in standard deviations of the layer's clean distribution.
        outside_layer, outside_unit: Share of them outside the clean range of the layer, and of their own unit.
        changed: Share of the hook point's values that the variant changes.
        starts: The block after which each variant's deviation counts as whole.
        variants: Labels.
        settings: What each variant does.
        vocabulary: The tokens that are in the two ``top`` fields, as they are written.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        post_norm: Whether every block ends in a norm, as BERT's do.
        plan: How the sweep was run, and why.
    """

    std: Float64[Tensor, "variant layer prompt"]
    std_token: Float64[Tensor, "variant layer prompt"]
    norm: Float64[Tensor, "variant layer prompt"]
    cosine: Float64[Tensor, "variant layer prompt"]
    drift: Float64[Tensor, "variant layer prompt"]
    drift_relative: Float64[Tensor, "variant layer prompt"]
    drift_normed: Float64[Tensor, "variant layer prompt"]
    clean_std: Float64[Tensor, "layer prompt"]
    clean_std_token: Float64[Tensor, "layer prompt"]
    clean_norm: Float64[Tensor, "layer prompt"]
    std_by_token: Float32[Tensor, "variant layer token"]
    clean_std_by_token: Float32[Tensor, "layer token"]
    token_prompt: Int[Tensor, " token"]
    kl: Float64[Tensor, "variant prompt"]
    global_change: Float64[Tensor, "variant prompt"]
    logit_drop: Float64[Tensor, "variant prompt target"]
    clean_logits: Float64[Tensor, "prompt target"]
    clean_top: Int[Tensor, "prompt k"]
    lesioned_top: Int[Tensor, "variant prompt k"]
    z_of_mean: Float64[Tensor, " variant"]
    outside_layer: Float64[Tensor, " variant"]
    outside_unit: Float64[Tensor, " variant"]
    changed: Float64[Tensor, " variant"]
    starts: tuple[int, ...]
    variants: tuple[str, ...]
    settings: tuple[dict[str, Any], ...]
    tokens: tuple[str, ...]
    vocabulary: tuple[str, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    post_norm: bool
    plan: str

    @property
    def top_kept(self) -> Float64[Tensor, "variant prompt"]:
        """Share of the clean run's likeliest tokens that are still among them."""
        same = self.clean_top[None, :, :, None] == self.lesioned_top[:, :, None, :]
        return same.any(dim=-1).double().mean(dim=-1)

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per variant, layer and prompt.

        Columns: variant, layer, prompt, std, std_token, norm, cosine, drift, drift_relative, drift_normed, clean_std,
        clean_std_token, clean_norm.
        """
        axes = [self.variants, range(self.std.shape[1]), range(len(self.prompts))]
        frame = pd.MultiIndex.from_product(axes, names=["variant", "layer", "prompt"]).to_frame(index=False)
        for name in ("std", "std_token", "norm", "cosine", "drift", "drift_relative", "drift_normed"):
            frame[name] = getattr(self, name).flatten().numpy()
        for name in ("clean_std", "clean_std_token", "clean_norm"):
            frame[name] = getattr(self, name).expand_as(self.std).flatten().numpy()
        return frame

    def effects_frame(self) -> pd.DataFrame:
        """What became of the prediction: a row per variant, prompt and target.

        Columns: variant, prompt, target, is_correct, clean_logit, logit_drop, kl, global_change, top_kept, clean_first,
        lesioned_first (the likeliest token of each run).
        """
        n_targets = self.logit_drop.shape[-1]
        axes = [range(len(self.variants)), range(len(self.prompts)), range(n_targets)]
        frame = pd.MultiIndex.from_product(axes, names=["variant", "prompt", "target"]).to_frame(index=False)
        variant, prompt, target = (frame[name].to_numpy() for name in ("variant", "prompt", "target"))
        frame["variant"] = [self.variants[i] for i in variant]
        frame["target"] = [self.targets[i][j] for i, j in zip(prompt, target, strict=True)]
        frame["is_correct"] = [word == self.correct[i] for word, i in zip(frame["target"], prompt, strict=True)]
        frame["clean_logit"] = self.clean_logits.expand_as(self.logit_drop).flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        for name in ("kl", "global_change", "top_kept"):
            frame[name] = getattr(self, name)[..., None].expand_as(self.logit_drop).flatten().numpy()
        frame["clean_first"] = [self.vocabulary[int(self.clean_top[i, 0])] for i in prompt]
        frame["lesioned_first"] = [
            self.vocabulary[int(self.lesioned_top[v, i, 0])] for v, i in zip(variant, prompt, strict=True)
        ]
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
            frame[name] = getattr(self, name).numpy()
        for name in ("kl", "global_change", "top_kept"):
            frame[name] = getattr(self, name).mean(dim=1).numpy()
        return frame

    def recovery(self) -> pd.DataFrame:
        """How much of each variant's deviation is undone later, and by what; see `recovery_frame` for the rule.

        Columns: variant, layer, start, absolute, relative, normed (recovery indices: 0 nothing, 1 all),
        removed_by_norm, verdict ("compensation", "rescaling", "none", "no deviation").
        """
        sizes = (self.drift.mean(dim=2), self.drift_relative.mean(dim=2), self.drift_normed.mean(dim=2))
        return recovery_frame(*sizes, self.starts, self.variants, post_norm=self.post_norm)

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
