"""Prompts made from the sentences of a selection are found, in every form that a model is asked them."""

import numpy as np
import pytest
import torch

import tlesion
from tlesion import Contrast, Prompt, load_result
from tlesion.inference import require_independent

PAIRS = [
    ("We saw him in the garden today.", "We saw her in the garden today."),
    ("The boy told him.", "The boy told her."),
    ("Robert helped him by the river.", "Robert helped her by the river."),
]
CONTRAST = Contrast.from_pairs(PAIRS, ("him", "her"))
TARGETS = ("him", "her")
NEW = Prompt("We saw [MASK] by the river.", TARGETS)


@pytest.fixture(scope="module")
def selection(checkpoint_folder):
    return tlesion.select_neurons(tlesion.load_model(checkpoint_folder("bert")), CONTRAST)


SHARED = {
    "masked": Prompt("The boy told [MASK].", TARGETS),
    "other spaces and case": Prompt("the  boy told [mask].".replace("[mask]", "[MASK]"), TARGETS),
    "masked, with other targets": Prompt("The boy told [MASK].", ("them", "us")),
    "before the word": Prompt("Robert helped", TARGETS),
    "another word masked, the sentence filled in": Prompt("Robert helped [MASK] by the river.", ("her",)),
    "the other word of the sentence": Prompt("Robert [MASK] him by the river.", ("helped", "saw")),
}


@pytest.mark.parametrize("form", SHARED)
def test_every_form_of_a_sentence_is_found_in_contrast_selection_and_loaded_selection(selection, form, tmp_path):
    prompts = [NEW, SHARED[form], NEW, SHARED[form]]
    for source in (CONTRAST, selection, load_result(selection.save(tmp_path / "kept"))):
        with pytest.raises(
            ValueError, match=r"2 of 4 prompts are made from sentences .* prompt 1, .*cross_fit.*allow_s"
        ):
            require_independent(source, prompts)
        assert require_independent(source, prompts, allow_shared=True) == (1, 3)


def test_new_sentences_pass(selection):
    new = [NEW, Prompt("The boy", TARGETS), Prompt("[MASK] told him.", ("She", "He")), Prompt("We saw him in", TARGETS)]
    assert require_independent(selection, new) == ()
    assert require_independent(CONTRAST, []) == ()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["him_her", "him_her_in_context", "singular_plural", "noun_verb"])
def test_the_shipped_prompts_are_new_to_the_shipped_contrasts(name, causal):
    assert require_independent(getattr(tlesion.contrasts, name)(), tlesion.prompts.him_her(causal=causal)) == ()


def test_the_record_survives_saving(selection, tmp_path):
    again = load_result(selection.save(tmp_path / "kept"))
    assert again.provenance == selection.provenance
    assert again.provenance.contexts == CONTRAST.contexts
    assert len(CONTRAST.contexts) == 6, "three masked sentences, three beginnings, each once"


def test_what_records_no_sentences_is_refused_and_not_guessed(by_hand):
    rng = np.random.default_rng(0)
    a, b = ({"blocks.0.mlp.hook_pre": torch.from_numpy(rng.standard_normal((5, 3, 4)))} for _ in range(2))
    cached = tlesion.select_from_cache(a, b, -1, -1, conditions=TARGETS)
    for source in (cached, by_hand.profile()):
        with pytest.raises(ValueError, match=r"does not record sentences that neurons were selected on.*allow_shared"):
            require_independent(source, [NEW])
        assert require_independent(source, [NEW], allow_shared=True) == ()
    with pytest.raises(TypeError, match="a list has no sentences to compare with; give a selection"):
        require_independent([1], [NEW])
