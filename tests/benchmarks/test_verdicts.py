"""The verdict's benchmark in small: worlds of known truth, and the arithmetic of the table."""

import math

import pytest
import torch

from benchmarks.verdicts.copies import copy_claims
from benchmarks.verdicts.rows import AT_MOST, COVERED, ENOUGH, Claim, claims, half, judged, measured
from benchmarks.verdicts.table import render
from benchmarks.verdicts.world import World, study

pytestmark = pytest.mark.slow

FAR = 4.0
"""Standard errors: one in 16,000 goes further; all studies are seeded, so that a test that passes stays so."""


def test_the_mean_effect_of_a_planted_set_is_what_was_planted():
    world = World(planted=1.5, n_prompts=600, n_layers=2, n_controls=2)
    profile = study(world, 3)
    for mask, word in (("him", 0), ("her", 1)):
        values = profile.effect_of(mask).values[-1]
        error = float(values.std()) / math.sqrt(len(values))
        assert abs(float(values.mean()) - 1.5) < FAR * error, word


def test_all_logits_move_as_far_as_many_draws_do():
    """Against a vocabulary of 4,000 tokens that the cut neurons write to by draws of their own."""
    world = World(n_layers=1, n_prompts=8, n_controls=1, n_masks=1, spread=0.3)
    profile = study(world, 5)
    assert (profile.global_change > 0).all()
    generator = torch.Generator().manual_seed(0)
    writes = 0.05 * torch.randn(10, 4000, generator=generator, dtype=torch.float64)
    level = torch.rand(10, generator=generator, dtype=torch.float64) + 0.5
    drawn = (level[:, None] * writes).sum(dim=0).std(correction=0)
    assert float(drawn) == pytest.approx(0.05 * float(level.square().sum().sqrt()), rel=0.05)


@pytest.mark.parametrize("place", [0, 4, 7, 8, 12, 14])
def test_few_false_claims_where_nothing_is_planted(place):
    specific, dissociated = measured(claims()[place], range(12))
    assert specific.target == dissociated.target == AT_MOST
    assert specific.value is not None
    assert dissociated.value is not None
    assert specific.value <= 0.05 + FAR * math.sqrt(0.05 * 0.95 / 12)
    assert dissociated.value == 0


def test_busy_neurons_are_told_from_idle_ones_unless_controls_are_as_busy():
    """Why matching on activity is the default."""
    wrong = sum(
        word.startswith("specific")
        for seed in range(6)
        for row in judged(study(World(choice="busy", match=False), seed)).verdicts
        for word in row
    )
    matched = sum(
        word.startswith("specific")
        for seed in range(6)
        for row in judged(study(World(choice="busy"), seed)).verdicts
        for word in row
    )
    assert wrong > 0
    assert matched == 0


def test_planted_effects_that_a_pilot_calls_detectable_are_found():
    found = [row for claim in claims() if "masks of 5 %" in claim.setting for row in measured(claim, range(6))]
    asked = [row for row in found if row.target == ENOUGH and row.n]
    assert sum(row.n for row in asked) >= 6
    assert sum(row.n * float(row.value or 0) for row in asked) >= 0.8 * sum(row.n for row in asked)


def test_intervals_cover_and_the_smallest_effect_is_seldom_negligible():
    for claim in claims():
        for row in measured(claim, range(20)) if claim.counted[0][1] == COVERED else ():
            assert row.value is not None
            assert abs(row.value - 0.95) < 0.07, row
    at_the_limit = [claim for claim in claims() if claim.counted[0] == ("negligible", AT_MOST)]
    row = measured(at_the_limit[1], range(20))[0]
    assert row.value is not None
    assert row.value <= 0.05 + FAR * math.sqrt(0.05 * 0.95 / 20)


def test_near_copies_of_the_selections_sentences_are_refused():
    for claim in copy_claims():
        assert measured(claim, range(8))[0].value == 1.0, claim.setting


def test_half_of_a_study_has_half_of_its_prompts():
    profile = study(World(n_layers=1, n_prompts=8, n_controls=3), 0)
    first, second = (half(profile, part) for part in (0, 1))
    assert (*first.prompts, *second.prompts) == tuple(profile.prompts[i] for i in (0, 1, 4, 5, 2, 3, 6, 7))
    assert torch.equal(first.control_logit_drop, profile.control_logit_drop[:, :, :, [0, 1, 4, 5]])


def test_a_row_says_what_was_counted_and_whether_it_holds():
    claim = Claim(
        counted=(("wrong", AT_MOST), ("for orientation", "")), setting="by hand", judge=lambda s: [[s == 0], []]
    )
    wrong, empty = measured(claim, range(100))
    assert (wrong.value, wrong.n, wrong.studies, wrong.holds) == (0.01, 100, 100, "yes")
    assert (empty.value, empty.n, empty.holds) == (None, 0, "")
    often = measured(Claim(counted=(("wrong", AT_MOST),), setting="s", judge=lambda s: [[s < 20]]), range(100))[0]
    assert often.holds == "NO"
    near = measured(Claim(counted=(("wrong", AT_MOST),), setting="s", judge=lambda s: [[s < 7]]), range(100))[0]
    assert near.holds == "within 2 standard errors"


def test_the_page_lists_what_misses_with_its_reason():
    row = {
        "claim": "wrong", "setting": "by hand", "studies": 10, "n": 10, "value": 0.2, "error": 0.1, "target": AT_MOST,
        "holds": "within 2 standard errors",
    }  # fmt: skip
    page = render({"rows": [row], "machine": {"cores": 2}, "notes": ["A note."], "minutes": 1.0})
    assert "Of 1 numbers with a target 0 hold it." in page
    assert "## What misses, and why" in page
    assert "| wrong | by hand | 10 | 10 | 0.200 | 0.100 | at most 5% | within 2 standard errors |" in page
