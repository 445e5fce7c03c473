"""The smallest effect of interest, set before a study runs."""

from typing import Any

import pytest

import tlesion
from tlesion import Contrast, Prompt, SmallestEffect

PROMPTS = tlesion.prompts.him_her()


def test_it_is_a_share_of_the_median_clean_margin(toy_bert):
    found = tlesion.smallest_effect(toy_bert, PROMPTS[:9], share=0.2)
    read = tlesion.sweep(toy_bert, PROMPTS[:9], [[]]).clean_logits
    margins = sorted(
        abs(float(row[prompt.targets.index(str(prompt.correct))] - row[1 - prompt.targets.index(str(prompt.correct))]))
        for row, prompt in zip(read, PROMPTS[:9], strict=True)
    )
    assert found.value == pytest.approx(0.2 * margins[4])
    assert found.origin == "20 % of the median clean margin on 9 other prompts"


def test_a_profile_records_it_as_set_beforehand_and_the_verdict_takes_it(toy_bert):
    mask = {"him": tlesion.select_neurons(toy_bert, tlesion.contrasts.him_her(), top_k=5).mask("him")}
    for given, value, origin in (
        (0.5, 0.5, "set before the run"),
        (SmallestEffect(0.3, "a pilot"), 0.3, "a pilot"),
    ):
        profile = tlesion.laminar_profile(toy_bert, mask, PROMPTS[:6], smallest=given, n_controls=1, match=None)
        assert profile.provenance.settings["smallest"] == {"value": value, "origin": origin}
        judged = tlesion.verdict(profile)
        assert (float(judged.smallest_effect[0]), judged.smallest_origin[0]) == (value, origin)


def test_what_cannot_be_meant_is_refused(toy_bert):
    with pytest.raises(ValueError, match=r"smallest effect of interest is 0\.0 logits; give a number above zero"):
        SmallestEffect(0.0)
    word: Any = "small"
    with pytest.raises(TypeError, match=r"give logits, or what tlesion\.smallest_effect returns"):
        tlesion.laminar_profile(toy_bert, {}, PROMPTS[:2], smallest=word)
    same = Contrast.from_pairs([("They saw him.", "They saw her."), ("We like him.", "We like her.")], ("him", "her"))
    with pytest.raises(ValueError, match=r"on the 2 pairs of the selection no right answer is known.*correct="):
        tlesion.smallest_effect(toy_bert, same)
    unasked = [Prompt(PROMPTS[0].text, ("him", "her"))]
    with pytest.raises(ValueError, match=r"on 1 other prompts no right answer is known"):
        tlesion.smallest_effect(toy_bert, unasked)
