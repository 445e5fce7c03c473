"""Sets of which the truth is known: sufficient ones, useless ones, effects that add up, overlap, or are made up for."""

from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion.studies.common.controls import Controls
from tlesion.studies.sufficiency.against_random import p_among_random
from tlesion.toy.planted import circuit

pytestmark = pytest.mark.slow

# The planted model's layer norms move what neurons write by less than 1 %, and more in proportion where parts cancel.
ATOL = 0.02


def planted(kind: str = "causal", **options):
    given: dict[str, Any] = {"n_layers": 3, "layers": (1,), "n_causal": 8, "background": 0.0} | options
    return tlesion.toy.planted_model(kind, **given)


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_all_causal_neurons_keep_everything_and_decoys_nothing(kind):
    made = planted(kind)
    masks = {"causal": made.truth.mask("causal"), "decoys": made.truth.mask("decoy")}
    prompts = made.language.prompts(24, seed=1)
    found = tlesion.sufficiency(made.model, masks, prompts, n_controls=99, match=None)
    assert found.share[:, 1].tolist() == pytest.approx([1, 0], abs=ATOL)
    assert found.low[0, 1] <= found.share[0, 1] <= found.high[0, 1]
    assert found.control_p_corrected[0, 1] == 0.01
    assert found.control_p_corrected[1, 1] > 0.5
    assert found.reasons == (("ceiling not shown", "", "ceiling not shown"),) * 2
    assert found.share[:, [0, 2]].isnan().all()
    assert found.control_p[:, [0, 2]].isnan().all()
    assert 0 < found.control_share[0, :, 1].mean() < 0.5


def test_a_part_of_the_effect_is_a_share_of_it_and_an_opponent_makes_it_more_than_all():
    """him-neurons raise him by 0.5 each on his prompts, her-neurons raise her: alone, he is further ahead than ever."""
    made = planted()
    masks = {word: made.truth.mask("causal", word) for word in ("him", "her")}
    found = tlesion.sufficiency(made.model, masks, made.language.prompts(24, seed=1), n_controls=0)
    # Expected drops of one context, from the truth's closed form, on the margin of him.
    of_him, of_her = (made.truth.logit_drop[1, masks[word][1], 0].sum(dim=0) for word in ("him", "her"))
    margins = [float(one[0] - one[1]) for one in (of_him, of_her)]
    expected = margins[0] / sum(margins)
    assert expected > 1
    # The prompts' own noise: a tenth of the margin.
    assert found.share[:, 1].tolist() == pytest.approx([expected, expected], rel=0.15)
    assert found.control_p.isnan().all()
    assert found.control_share.shape == (2, 0, 3)


def test_a_share_of_help_is_one_too_and_p_goes_with_the_share():
    """Where he is right the layer works against her: so do the him-neurons, more than random ones."""
    made = planted()
    prompts = [one for one in made.language.prompts(24, seed=1) if one.correct == "him"]
    prompts = [tlesion.Prompt(one.text, one.targets) for one in prompts]
    masks = {word: made.truth.mask("causal", word) for word in ("him", "her")}
    about = {"him": "her", "her": "her"}
    found = tlesion.sufficiency(made.model, masks, prompts, about=about, match=None, n_controls=99)
    assert (found.whole_effect[:, 1] < 0).all()
    assert found.share[0, 1] > 1
    assert found.share[1, 1] < 0
    assert found.control_p[:, 1].tolist() == [0.01, 1.0]
    assert found.control_p_corrected[:, 1].tolist() == [0.01, 1.0]


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_effects_that_add_up_give_a_half_half(kind):
    made = planted(kind)
    masks = {word: made.truth.mask("causal", word) for word in ("him", "her")}
    found = tlesion.minimality(made.model, masks, made.language.prompts(24, seed=1))
    torch.testing.assert_close(found.share[:, 1], torch.tensor([0.5, 0.5]).double(), atol=1e-3, rtol=0)
    assert (found.spread[:, 1] < ATOL).all()
    assert found.reasons == (("nothing cut", "", "nothing cut"),) * 2


def test_one_neuron_that_has_all_of_it_gives_halves_of_nothing_and_of_everything():
    made = planted(n_causal=2, n_decoys=6)
    mask = made.truth.mask("causal", "him") | made.truth.mask("decoy", "him")
    found = tlesion.minimality(made.model, {"him": mask}, made.language.prompts(24, seed=1))
    assert found.n_lesioned[0, 1] == 4
    shares = found.half_share[0, :, 1]
    assert {round(share, 1) for share in shares.tolist()} == {0.0, 1.0}
    assert found.share[0, 1].item() == pytest.approx(0.5, abs=1e-3)
    assert found.spread[0, 1].item() == pytest.approx(0.5, abs=ATOL)


def rewired(made, thresholds: dict[float, float]):
    """In layer 2, neurons that read what layer 1 wrote for him above a threshold, and write it again, so many times."""
    stream = circuit.Stream(*made.truth.effect.shape)
    # A bias of layer 1 takes away what its neurons write on average.
    taken = float((made.truth.baseline * made.truth.write[..., 0])[1].sum())
    him = stream.out.start
    mlp = made.model.blocks[2].mlp
    with torch.no_grad():
        for neuron, (threshold, gain) in enumerate(thresholds.items()):
            writes = np.zeros((1, stream.d_model))
            writes[0, him] = gain
            mlp.W_in[:, neuron] = 0
            mlp.W_in[him, neuron] = 1
            mlp.b_in[neuron] = taken - threshold
            mlp.W_out[neuron] = torch.from_numpy(circuit.balanced(writes, stream)[0])
    return made


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        # The four neurons write 2 together. What exceeds 1.5 counts 40 times: half of them is as bad as none of them.
        ({1.5: 40.0}, 0.95),
        # What is above none, less what exceeds 0.8: half of them does the work of all.
        ({0.0: 40.0, 0.8: -40.0}, 0.03),
    ],
)
def test_halves_that_overlap_and_halves_that_make_up_for_each_other(thresholds, expected):
    made = rewired(planted(), thresholds)
    masks = {"him": made.truth.mask("causal", "him")}
    found = tlesion.minimality(made.model, masks, made.language.prompts(24, seed=1))
    assert found.effect[0, 1].nanmean() > 10
    assert found.share[0, 1].item() == pytest.approx(expected, abs=0.03)
    assert found.low[0, 1] <= found.share[0, 1] <= found.high[0, 1]


def test_a_single_neuron_has_no_half_and_one_prompt_shows_nothing():
    made = planted(n_causal=2)
    masks = {"him": made.truth.mask("causal", "him"), "pair": made.truth.mask("causal")}
    found = tlesion.minimality(made.model, masks, made.language.prompts(2, seed=1), n_halves=2)
    assert found.reasons[0] == ("nothing cut", "one neuron", "nothing cut")
    assert found.half_logit_drop[0].isnan().all()
    assert found.half_effect[0].isnan().all()
    assert found.share[0].isnan().all()
    assert found.logit_drop[0, 1].abs().max() > 0.1
    kept = tlesion.sufficiency(made.model, masks, made.language.prompts(2, seed=1), n_controls=2)
    assert kept.reasons[0] == ("few prompts",) * 3, "him is right in one of the two"
    assert kept.share[0].isnan().all()


def test_copies_of_a_prompt_count_once():
    made = planted()
    masks, prompts = {"him": made.truth.mask("causal", "him")}, made.language.prompts(6, seed=1)
    twice = tlesion.sufficiency(made.model, masks, [*prompts, prompts[0]], n_controls=0)
    once = tlesion.sufficiency(made.model, masks, prompts, n_controls=0)
    torch.testing.assert_close(twice.high, once.high, equal_nan=True, atol=1e-4, rtol=0)
    assert twice.kept[0, 1, -1].isnan()


def test_prompts_of_a_group_are_one_unit_of_evidence():
    made = planted(background=0.05)
    masks = {"him": made.truth.mask("causal", "him")}
    prompts = [prompt for prompt in made.language.prompts(12, seed=1) if prompt.correct == "him"]
    grouped = [tlesion.Prompt(one.text, one.targets, correct="him", group="all") for one in prompts]
    assert tlesion.sufficiency(made.model, masks, grouped, n_controls=0).reasons == (("few prompts",) * 3,)
    one_each = [tlesion.Prompt(one.text, one.targets, correct="him", group=str(i)) for i, one in enumerate(prompts)]
    alike = [tlesion.sufficiency(made.model, masks, given, n_controls=0) for given in (prompts, one_each)]
    assert torch.equal(alike[0].high.nan_to_num(), alike[1].high.nan_to_num())


@pytest.mark.parametrize("alternative", ["larger", "smaller", "two-sided"])
def test_random_sets_are_rarely_called_more_than_random(alternative):
    """Two sets that exclude each other, three layers, effects that add up over neurons: 300 draws at a level of 0.1."""
    rng = np.random.default_rng(0)
    false, single = 0, list[float]()
    for draw in range(300):
        weights = torch.from_numpy(rng.standard_t(3, (3, 24)))
        order = torch.from_numpy(rng.random((3, 24))).argsort(dim=1)
        masks = torch.stack([order < 5, (order >= 5) & (order < 12)])
        controls = Controls(19, None, draw).draw_together(masks)
        effect, others = ((cut * weights).sum(dim=-1) for cut in (masks, controls))
        p, corrected = p_among_random(effect, others, alternative=alternative)
        false += bool((corrected <= 0.1).any())
        single.append((p <= 0.1).double().mean().item())
    # Binomial(300, 0.1): 5 standard deviations are 26.
    assert false <= 30 + 26
    assert np.mean(single) == pytest.approx(0.1, abs=0.03)


def test_random_sets_of_a_model_rarely_keep_more_than_random():
    made = planted(n_layers=2, d_mlp=32, n_causal=4, background=0.05, effect_size=6.0)
    prompts, rng = made.language.prompts(16, seed=1), np.random.default_rng(0)
    p = []
    for seed in range(25):
        masks = {"any": torch.from_numpy(rng.random((2, 32)) < 0.25)}
        found = tlesion.sufficiency(made.model, masks, prompts, n_controls=19, seed=seed)
        p.append(float(found.control_p_corrected[0, 1]))
    # Binomial(25, 0.1): 7 or more have a probability of 1 %.
    assert sum(one <= 0.1 for one in p) < 7
    assert 0.3 < np.mean(p) < 0.75
