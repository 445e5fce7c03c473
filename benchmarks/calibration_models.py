"""Simulated studies through planted models: fresh sentences, tokens, forward pass, `select_neurons`.

Two layers of 64 neurons. Layer 0 holds nothing; in layer 1, some neurons carry the context (half of them write to the
logits), and some the word's own token, which at the mask or before the word is nothing either. Masked and causal models
take turns; each serves a few studies, then another one is built.
"""

import math
from collections.abc import Sequence

import torch

import tlesion
from benchmarks.calibration_tally import ALPHA, Tally
from tlesion.stats import adjust, reject
from tlesion.toy import Planted

STUDIES_PER_MODEL = 20
D_MLP = 64
N_CARRIERS = 8  # of the context, half of them causal: four of each of two effect sizes
N_TOKEN = 6
LAYERS = {0: "nothing planted", 1: "planted"}
AT = {"masked": "mask", "causal": "before"}
CORRECTIONS = ("bonferroni", "holm", "fdr_bh")


def build(seed: int, *, effects: Sequence[float], tails: str = "normal", variance_dof: float = 8.0) -> Planted:
    """A masked model for even seeds, a causal one for odd ones, with two neighbouring sizes of the effects."""
    first = seed // 2 % len(effects)
    return tlesion.toy.planted_model(
        ("masked", "causal")[seed % 2],
        n_layers=2,
        d_mlp=D_MLP,
        layers=(1,),
        n_causal=N_CARRIERS // 2,
        n_decoys=N_CARRIERS // 2,
        n_token=N_TOKEN,
        effect_size=[*effects[first:], *effects[:first]][:2],
        tails=tails,
        variance_dof=variance_dof,
        seed=seed,
    )


def simulate_models(
    n: int,
    n_studies: int,
    seed: int,
    *,
    tests: Sequence[str],
    effects: Sequence[float],
    tails: str = "normal",
    n_permutations: int = 999,
) -> tuple[dict[tuple[str, str, int], Tally], dict[str, torch.Tensor], torch.Tensor]:
    """Run studies with `select_neurons`, each test on the same sentences.

    Bonferroni, Holm and BH are applied to the selection's p-values, as `select_neurons(correction=...)` does.

    Args:
        n: Pairs of sentences, without shared words.
        n_studies: Studies.
        seed: First seed of the models and sentences.
        tests: Tests of `select_neurons`.
        effects: Cohen's d of the carriers.
        tails: Of the noise.
        n_permutations: For ``"permutation"``.

    Returns:
        Tallies by test, correction and layer; the planted layer's p-values by test, ``[study, neuron]``; whether each
        neuron of those truly differs.
    """
    tallies: dict[tuple[str, str, int], Tally] = {}
    kept: dict[str, list[torch.Tensor]] = {test: [] for test in tests}
    true: list[torch.Tensor] = []
    for study in range(n_studies):
        if study % STUDIES_PER_MODEL == 0:
            planted = build(seed + study // STUDIES_PER_MODEL, effects=effects, tails=tails)
            position = AT[planted.language.kind]
            effect = planted.truth.effect_size(position)
        contrast = planted.language.contrast(n, seed=seed + study)
        true.append(effect[1] != 0)
        for test in tests:
            selection = tlesion.select_neurons(
                planted.model,
                contrast,
                position=position,
                test=test,
                alpha=ALPHA,
                batch_size=128,
                n_permutations=n_permutations,
                seed=seed + study,
            )
            kept[test].append(selection.p[1])
            adjusted = {method: adjust(selection.p, method=method, alpha=ALPHA) for method in CORRECTIONS}
            if test == "permutation":
                adjusted = {"max_t": selection.p_adjusted}
            for method, p_adjusted in adjusted.items():
                for layer in LAYERS:
                    tally = tallies.setdefault((test, method, layer), Tally())
                    tally.add(reject(p_adjusted[layer][None], ALPHA), effect[layer][None])
    return tallies, {test: torch.stack(parts) for test, parts in kept.items()}, torch.stack(true)


def realised_effects(n_sentences: int, seed: int) -> dict[str, float]:
    """How far a large sample's effect sizes lie from the stated ones, in standard errors: mean square, and largest."""
    found = {}
    for kind_seed, kind in enumerate(AT):
        planted = build(2 * seed + kind_seed, effects=(1.0, 2.0))
        contrast = planted.language.contrast(n_sentences, seed=seed)
        selection = tlesion.select_neurons(planted.model, contrast, position=AT[kind], test="student", batch_size=256)
        truth = planted.truth.effect_size(AT[kind])
        error = (2 / n_sentences + truth.square() / (4 * n_sentences)).sqrt()
        deviation = (selection.effect_size - truth) / error
        found[f"{kind}: root mean square"] = math.sqrt(float(deviation.square().mean()))
        found[f"{kind}: largest of {deviation.numel()}"] = float(deviation.abs().max())
    return found
