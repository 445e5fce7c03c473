"""What is true of a planted model: which neurons carry the contrast, how strongly, and what each one writes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.toy.planted.language import CONTRASTS, TARGETS

BASELINE = 4.0  # least mean of hook_pre in noise standard deviations: ReLU passes nearly all of it unchanged
POSITIONS = ("word", "mask", "before")
ROLES = ("causal", "decoy", "token")


@dataclass(frozen=True, eq=False, kw_only=True)
class PlantedTruth:
    """The roles and effects of all neurons; every number in closed form.

    A carrier's activation at ``mlp.hook_pre`` is ``baseline ± effect * std / 2 + std * noise``: plus in its own
    condition, minus in the other. The model's layer norms move it by less than 0.05 standard deviations (0.1 where the
    noise is heavy-tailed), which changes no effect size visibly and a logit effect by less than 1 %.

    Attributes:
        causal: Carry the context and write to the logit of the condition in which they are larger.
        decoy: Carry the context and write nothing.
        token: Carry the word's own token, at its own position only, and write as noise neurons do.
        effect: Signed effect size of the carriers, in standard deviations of the noise: positive where "him" is
            larger; 0 for noise neurons.
        std: Standard deviation of the noise over sentences.
        baseline: Mean of `hook_pre` over the conditions.
        write: What a neuron's activation of 1 adds to the logits of ``("him", "her")``.
        n_fillers: Fillers in a sentence.
    """

    causal: Bool[Tensor, "layer neuron"]
    decoy: Bool[Tensor, "layer neuron"]
    token: Bool[Tensor, "layer neuron"]
    effect: Float64[Tensor, "layer neuron"]
    std: Float64[Tensor, "layer neuron"]
    baseline: Float64[Tensor, "layer neuron"]
    write: Float64[Tensor, "layer neuron target"]
    n_fillers: int

    def mask(self, role: str, direction: str = "any") -> Bool[Tensor, "layer neuron"]:
        """The neurons of a role: ``"causal"``, ``"decoy"`` or ``"token"``.

        Args:
            role: One of the three.
            direction: ``"him"`` (larger there), ``"her"`` or ``"any"``.

        Raises:
            ValueError: An unknown role or direction.
        """
        one_of("role", role, ROLES)
        one_of("direction", direction, (*TARGETS, "any"))
        chosen: Tensor = getattr(self, role)
        sign = {"him": self.effect > 0, "her": self.effect < 0, "any": self.effect != 0}[direction]
        return chosen & sign

    def effect_size(self, position: str, about: str = "context") -> Float64[Tensor, "layer neuron"]:
        """The true Cohen's d of every neuron in a contrast of the planted language.

        Args:
            position: ``"word"``, ``"mask"`` or ``"before"``.
            about: What the contrast is about (`PlantedLanguage.contrast`).

        Raises:
            ValueError: An unknown position or contrast.
        """
        one_of("position", position, POSITIONS)
        one_of("about", about, CONTRASTS)
        carries = torch.zeros_like(self.causal)
        if about == "context":
            carries = carries | self.causal | self.decoy
        if position == "word":
            carries = carries | self.token
        return self.effect * carries

    def paired_effect_size(
        self, position: str, about: str = "context", *, n_shared: int = 0
    ) -> Float64[Tensor, "layer neuron"]:
        r"""The true d_z of every neuron: :math:`d / \sqrt{2 (1 - n_{shared} / n_{fillers})}`.

        Args:
            position: As in `effect_size`.
            about: Likewise.
            n_shared: How many fillers the two sentences of a pair share.
        """
        return self.effect_size(position, about) / math.sqrt(2 * (1 - n_shared / self.n_fillers))

    @property
    def logit_drop(self) -> Float64[Tensor, "layer neuron context target"]:
        """Expected clean − lesioned logit when a neuron is set to zero at the readout position.

        By context ("him", "her": the prompt's correct answer) and target. It adds up over neurons: nothing that a
        neuron writes is read by another.
        """
        swing = self.effect * self.std / 2 * (self.causal | self.decoy)
        post = self.baseline[..., None] + torch.stack([swing, -swing], dim=-1)
        return post[..., None] * self.write[:, :, None]


def draw_truth(
    rng: np.random.Generator,
    *,
    shape: tuple[int, int],
    layers: Sequence[int],
    n_of_role: dict[str, int],
    effect_size: Sequence[float],
    logit_effect: float,
    background: float,
    variance_dof: float,
    n_fillers: int,
) -> PlantedTruth:
    """Give every neuron its role, effect, noise and what it writes.

    Args:
        rng: Source of everything random.
        shape: ``(n_layers, d_mlp)``.
        layers: Layers with carriers.
        n_of_role: Neurons of each role in each of those layers, "him" and "her" in turn.
        effect_size: Sizes, which the carriers of each role take in turn, one for "him" and one for "her".
        logit_effect: What lesioning one causal neuron costs the logit of its own condition, in its own context.
        background: Standard deviation of the same over noise neurons, for each target.
        variance_dof: Degrees of freedom of the scaled inverse chi-square that noise variances are drawn from.
        n_fillers: Fillers in a sentence.
    """
    roles = {role: np.zeros(shape, dtype=bool) for role in n_of_role}
    effect = np.zeros(shape)
    planted = dict.fromkeys(n_of_role, 0)
    for layer in layers:
        order = iter(rng.permutation(shape[1]))
        for role, count in n_of_role.items():
            for neuron in (next(order) for _ in range(count)):
                number = planted[role]
                roles[role][layer, neuron] = True
                effect[layer, neuron] = effect_size[number // 2 % len(effect_size)] * (1, -1)[number % 2]
                planted[role] += 1
    variance = np.ones(shape) if math.isinf(variance_dof) else variance_dof / rng.chisquare(variance_dof, shape)
    std = np.sqrt(variance)
    baseline = std * (BASELINE + np.abs(effect) / 2)
    write = background * rng.standard_normal((*shape, 2)) / baseline[..., None]
    write[roles["causal"] | roles["decoy"]] = 0
    own = logit_effect / (baseline + np.abs(effect) * std / 2)
    for target, sign in enumerate((1, -1)):
        chosen = roles["causal"] & (sign * effect > 0)
        write[chosen, target] = own[chosen]
    return PlantedTruth(
        **{role: torch.from_numpy(mask) for role, mask in roles.items()},
        effect=torch.from_numpy(effect),
        std=torch.from_numpy(std),
        baseline=torch.from_numpy(baseline),
        write=torch.from_numpy(write),
        n_fillers=n_fillers,
    )
