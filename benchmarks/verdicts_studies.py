"""Simulated studies for `verdicts`: planted models, fresh prompts, lesions with controls, and a verdict on each.

A model has two layers of 48 neurons. In layer 1 two neurons carry "him" and write to its logit, two read the context
and write nothing (decoys); layer 0 holds noise neurons only. Each model serves a few studies with prompts, random masks
and controls of their own. All prompts ask for "him", so that a mask of any name is judged on the right answer.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import tlesion
from tlesion.inference import bootstrap_mean
from tlesion.toy import Planted

STUDIES_PER_MODEL = 5
D_MLP, PLANTED_LAYER, N_LESIONED = 48, 1, 2
N_CONTROLS, N_PROMPTS, N_POPULATION = 50, 40, 1500
LOGIT_EFFECTS = (0.08, 0.8)  # of one causal neuron, drawn evenly on the logarithmic scale: from too small to obvious
N_RESAMPLES, N_PERMUTATIONS = 2000, 2000
SELECTION_PAIRS = 16


@dataclass(frozen=True)
class Setting:
    """What one model is: the number of the model decides it, and is the seed of everything."""

    number: int
    null: bool

    @property
    def seed(self) -> int:
        """Seed of the model; those of its studies follow it."""
        return 1000 * (2 * self.number + self.null)

    @property
    def kind(self) -> str:
        """A masked model runs all positions for every lesion, which takes ten times as long: one in ten."""
        return "masked" if self.number % 10 == 9 else "causal"

    @property
    def tails(self) -> str:
        return "heavy" if self.number % 5 == 4 else "normal"


def build(setting: Setting) -> Planted:
    """The planted model, or one with nothing planted."""
    low, high = np.log(LOGIT_EFFECTS)
    rng = np.random.default_rng(setting.seed)
    n = 0 if setting.null else 2 * N_LESIONED
    return tlesion.toy.planted_model(
        setting.kind,
        n_layers=2,
        d_mlp=D_MLP,
        layers=(PLANTED_LAYER,),
        n_causal=n,
        n_decoys=n,
        n_token=0,
        logit_effect=float(np.exp(rng.uniform(low, high))),
        tails=setting.tails,
        seed=setting.seed,
    )


def studies_of(setting: Setting) -> list[dict[str, Any]]:
    """All studies of one model: a record for every mask and layer in which it has neurons."""
    planted = build(setting)
    seeds = [setting.seed + 1 + number for number in range(STUDIES_PER_MODEL)]
    masks = [(null_masks if setting.null else planted_masks)(planted, seed) for seed in seeds]
    truth = population_effects(planted, masks, setting.seed)
    records: list[dict[str, Any]] = []
    for number, (seed, named) in enumerate(zip(seeds, masks, strict=True)):
        for row in one_study(planted, named, seed):
            name = f"random {number}" if row["mask"] == "random" else str(row["mask"])
            row["truth"] = truth[name][row["layer"]] if name in truth else math.nan
            row |= {"model": setting.number, "study": number, "kind": setting.kind, "tails": setting.tails}
            records.append(row)
    return records


def planted_masks(planted: Planted, seed: int) -> dict[str, Tensor]:
    """Causal neurons, decoys, random neurons, and the noise neurons that write most: damage that means nothing."""
    truth = planted.truth
    noise = ~(truth.causal | truth.decoy)
    size = truth.write.square().sum(dim=-1).where(noise, torch.tensor(-1.0, dtype=torch.float64))
    most = torch.zeros_like(noise).scatter_(1, size.topk(2 * N_LESIONED, dim=1).indices, True)
    return {
        "causal": truth.mask("causal", "him"),
        "decoy": truth.mask("decoy", "him"),
        "random": random_mask(seed),
        "loud": most,
    }


def null_masks(planted: Planted, seed: int) -> dict[str, Tensor]:
    """What a selection finds where nothing is, at a level that is not corrected; and random neurons."""
    language = planted.language
    selection = tlesion.select_neurons(
        planted.model,
        language.contrast(SELECTION_PAIRS, seed=seed),
        position="mask" if language.kind == "masked" else "before",
        correction="none",
        alpha=0.25,
        top_k=N_LESIONED,
    )
    return {"selected": selection.mask("him"), "random": random_mask(seed)}


def random_mask(seed: int) -> Tensor:
    """As many random neurons in every layer as there are causal ones for "him"."""
    rng = np.random.default_rng([seed, 7])
    mask = torch.zeros(2, D_MLP, dtype=torch.bool)
    for layer in mask:
        layer[torch.from_numpy(rng.choice(D_MLP, N_LESIONED, replace=False))] = True
    return mask


def him_prompts(planted: Planted, n: int, seed: int) -> list[tlesion.Prompt]:
    """Prompts whose right answer is "him"."""
    return [prompt for prompt in planted.language.prompts(2 * n, seed=seed) if prompt.correct == "him"]


def one_study(planted: Planted, masks: dict[str, Tensor], seed: int) -> list[dict[str, Any]]:
    """Lesions, controls and verdicts on fresh prompts."""
    profile = tlesion.laminar_profile(
        planted.model, masks, him_prompts(planted, N_PROMPTS, seed), n_controls=N_CONTROLS, seed=seed
    )
    result = tlesion.verdict(profile, n_resamples=N_RESAMPLES, n_permutations=N_PERMUTATIONS, seed=seed)
    frame = result.to_frame().query("n_lesioned > 0")
    columns = ["mask", "layer", "effect", "low", "high", "control_p", "detectable_effect", "smallest_effect", "verdict"]
    records: list[dict[str, Any]] = list(pd.DataFrame(frame[columns]).to_dict("records"))
    for row in records:
        values = profile.effect_of(str(row["mask"])).values[profile.layers.index(row["layer"])]
        student = bootstrap_mean(values, method="t")
        row |= {"t_low": float(student.low), "t_high": float(student.high)}
    return records


def population_effects(planted: Planted, masks: list[dict[str, Tensor]], seed: int) -> dict[str, list[float]]:
    """True effects by layer, of the causal neurons and of each study's random ones: means over many other prompts."""
    named = {f"random {number}": study["random"] for number, study in enumerate(masks)}
    named |= {name: masks[0][name] for name in ("causal",) if name in masks[0]}
    profile = tlesion.laminar_profile(planted.model, named, him_prompts(planted, N_POPULATION, seed), n_controls=0)
    return {name: profile.effect_of(name).values.mean(dim=1).tolist() for name in named}
