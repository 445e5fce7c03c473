"""Prompts made from the sentences of a selection are found, in every form that a model is asked them."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tlesion
from tlesion import Contrast, Prompt, load_result
from tlesion.inference import require_independent
from tlesion.keep.hashing import hash_of

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


LONG = [
    (
        "Karl guided Olga through the forest, so the tourists thanked him.",
        "Olga guided Karl through the forest, so the tourists thanked her.",
    ),
    ("The boy told him.", "The boy told her."),
    ("In 1990 Robert helped him by the river.", "In 1990 Robert helped her by the river."),
]
NEARLY = {
    "no full stop": ("Karl guided Olga through the forest, so the tourists thanked [MASK]", 0),
    "no comma": ("Karl guided Olga through the forest so the tourists thanked [MASK].", 0),
    "other quotes": ("Karl guided Olga through the forest, so “the tourists” thanked [MASK].", 0),
    "other names": ("Rachel guided Hugo through the forest, so the tourists thanked [MASK].", 0),
    "another number": ("In 2024 Robert helped [MASK] by the river.", 2),
    "a name of two words": ("Mary Ann guided Hugo through the forest, so the tourists thanked [MASK].", 0),
    "short, and no full stop": ("The boy told [MASK]", 1),
    "before the word": ("Rachel guided Hugo through the forest, so the tourists thanked", 0),
    "another word masked, and other names": ("Rachel [MASK] Hugo through the forest so the tourists thanked him.", 0),
}


@pytest.fixture(scope="module")
def long_selection(checkpoint_folder):
    contrast = Contrast.from_pairs(LONG, TARGETS)
    return tlesion.select_neurons(tlesion.load_model(checkpoint_folder("bert")), contrast, layers=[0])


@pytest.mark.parametrize("form", NEARLY)
def test_what_differs_in_punctuation_or_names_is_found_in_contrast_selection_and_loaded_selection(
    form, tmp_path, long_selection
):
    text, place = NEARLY[form]
    prompts = [NEW, Prompt(text, ("guided", "found") if "another word" in form else TARGETS)]
    with pytest.raises(ValueError, match=rf"prompt 1, '{text[:6]}.* is like '{LONG[place][0][:20]}.*cross_fit") as told:
        require_independent(Contrast.from_pairs(LONG, TARGETS), prompts)
    assert "say the same but for names, punctuation or a few words" in str(told.value)
    for source in (long_selection, load_result(long_selection.save(tmp_path / "kept"))):
        with pytest.raises(ValueError, match=rf"1 of 2 prompts .* is like sentence {place + 1} of the 6\); use other"):
            require_independent(source, prompts)
        assert require_independent(source, prompts, allow_shared=True) == (1,)


def test_what_shares_almost_all_word_pairs_is_found_with_the_contrast_at_hand():
    contrast = Contrast.from_pairs(LONG, TARGETS)
    near = "Rachel guided Hugo through the old forest, so the tourists thanked [MASK] with a song."
    with pytest.raises(ValueError, match=r"prompt 1, .*is like 'Karl guided Olga"):
        require_independent(contrast, [NEW, Prompt(near, TARGETS)])
    assert require_independent(contrast, [NEW, Prompt(near, TARGETS)], allow_shared=True) == (1,)
    other = "Rachel led Hugo to the forest, and the old tourists praised [MASK]."
    assert require_independent(contrast, [Prompt(other, TARGETS)]) == ()


def test_an_older_selection_still_knows_its_sentences_word_for_word(selection, tmp_path):
    older = dataclasses.replace(selection, provenance=dataclasses.replace(selection.provenance, frames=()))
    folder = older.save(tmp_path / "older")
    record = json.loads((folder / "result.json").read_text())
    del record["fields"]["provenance"]["frames"]
    record["content_hash"] = hash_of("NeuronSelection", load_file(folder / "tensors.safetensors"), record["fields"])
    (folder / "result.json").write_text(json.dumps(record))
    loaded = load_result(folder)
    assert loaded.provenance == older.provenance
    prompts = [Prompt("The boy told [MASK].", TARGETS), Prompt("The boy told [MASK]!", TARGETS)]
    assert require_independent(loaded, prompts, allow_shared=True) == (0,)
    assert require_independent(selection, prompts, allow_shared=True) == (0, 1)
    with pytest.raises(ValueError, match=r"is like sentence 2 of the 6"):
        require_independent(loaded, prompts)


def test_prompts_of_token_ids_are_like_no_sentence():
    assert require_independent(CONTRAST, [Prompt.from_tokens([5, 6, 7, 8], targets=(1, 2))]) == ()


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
    assert again.provenance.frames == CONTRAST.frames
    assert len(CONTRAST.frames) == 6, "one for each sentence"
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
