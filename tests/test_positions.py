"""One type for positions: what is written, what is read back, and what each kind of function refuses."""

import json
from typing import Any

import pytest

import tlesion
from tlesion import Offset
from tlesion.positions import (
    check_prompt_position,
    check_sentence_position,
    position_of_record,
    read_position,
    recorded,
)

PAIRS = [("We saw him in the garden today.", "We saw her in the garden today."),
         ("The nurse called him by the river.", "The nurse called her by the river."),
         ("She gave him an apple.", "She gave her an apple.")]  # fmt: skip
CONTRAST = tlesion.Contrast.from_pairs(PAIRS, words=("him", "her"))
PROMPT = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")


@pytest.mark.parametrize("n", [0, 1, -3])
def test_an_offset_is_written_as_the_command_line_reads_it(n):
    assert read_position(str(Offset(n))) == Offset(n)
    assert read_position(f"{n}") == n
    assert Offset(n) != n, "an offset and an index are never the same position"


def test_what_is_no_position_is_handed_on_to_be_refused():
    for text in ("word", "mask", "before", "readout", "all", "middle", "word+", "word1", "word+1.5"):
        assert read_position(text) == text


@pytest.mark.parametrize("position", ["word", "mask", "before", Offset(2), Offset(-1), 0, -1])
def test_a_record_gives_its_position_back(position):
    assert position_of_record(json.loads(json.dumps(recorded(position)))) == position


def test_a_number_in_an_old_record_was_counted_from_the_word():
    assert position_of_record({"position": 2}) == Offset(2)


@pytest.mark.parametrize(
    ("check", "position", "error", "message"),
    [
        (check_sentence_position, "all", ValueError, r"position 'all' is unknown; allowed: 'word', 'mask', 'before'"),
        (check_sentence_position, "befor", ValueError, r"did you mean 'before'"),
        (
            check_sentence_position,
            1.0,
            TypeError,
            r"position 1\.0 is a float; give 'word', 'mask', 'before', an Offset",
        ),
        (check_sentence_position, True, TypeError, r"position True is a bool"),
        (check_prompt_position, "word", ValueError, r"position 'word' is unknown; allowed: 'readout', 'all'"),
        (
            check_prompt_position,
            Offset(1),
            ValueError,
            r"position 'word\+1' counts from a word, and no word of a prompt",
        ),
        (check_prompt_position, None, TypeError, r"position None is a NoneType; give 'readout', 'all', or the index"),
    ],
)
def test_each_kind_of_function_says_what_it_takes(check, position, error, message):
    with pytest.raises(error, match=message):
        check(position)


@pytest.mark.parametrize("n", [True, False])
def test_an_offset_is_a_whole_number(n):
    with pytest.raises(TypeError, match=r"an offset is a whole number of tokens, got .*; give Offset\(1\)"):
        Offset(n)


def test_every_function_of_sentences_means_the_same_by_a_number(toy_bert):
    """In these sentences the word is token 3; the token after it is Offset(1), and token 4 by its index."""
    same = CONTRAST.subset([0, 2])
    options: dict[str, Any] = {"hook_point": "mlp.hook_post", "layers": [2]}
    by_offset = tlesion.measure_reference(toy_bert, same, position=Offset(1), **options)
    by_index = tlesion.measure_reference(toy_bert, same, position=4, **options)
    assert by_offset.equal(by_index)
    assert not by_offset.equal(tlesion.measure_reference(toy_bert, same, position=1, **options))
    # The last token, [SEP], of sentences of different lengths.
    last = tlesion.select_neurons(toy_bert, CONTRAST, position=-1, layers=[2], test="paired")
    assert last.provenance.settings["position"] == -1
    after = tlesion.select_neurons(toy_bert, CONTRAST, position=Offset(1), layers=[2], test="paired")
    assert after.provenance.settings["position"] == "word+1"
    assert not after.t.equal(last.t)


def test_a_selection_is_repeated_where_it_was_made(toy_bert, tmp_path):
    made = tlesion.select_neurons(toy_bert, CONTRAST, position=Offset(1), test="welch")
    again = tlesion.load_result(made.save(tmp_path / "selection"))
    stable = tlesion.selection_stability(toy_bert, again, CONTRAST)
    assert stable.correlation[2].item() == pytest.approx(1.0), "the same sentences at the same place"


@pytest.mark.parametrize("study", [tlesion.laminar_profile, tlesion.cumulative_lesion, tlesion.decompose_drop])
def test_studies_of_prompts_refuse_positions_of_sentences(toy_bert, study):
    masks = {"some": toy_bert.W_in.new_zeros(12, 512).bool()}
    with pytest.raises(ValueError, match=r"position 'word' is unknown; allowed: 'readout', 'all'"):
        study(toy_bert, masks, [PROMPT], position="word")
    with pytest.raises(ValueError, match=r"'word-1' counts from a word"):
        study(toy_bert, masks, [PROMPT], position=Offset(-1))
