"""Stimuli from CSV and JSON lines, and the sets that ship with the package."""

import json

import pytest

from tlesion import contrasts, prompts
from tlesion.stimuli.files import read_pairs, read_prompts

PAIR_ROWS = [
    {"a": "We saw him.", "b": "We saw her.", "word_a": "him", "word_b": "her", "template": "saw"},
    {"a": "Naïve, ask him — now.", "b": "Naïve, ask her — now.", "word_a": "him", "word_b": "her", "template": "ask"},
]
PROMPT_ROWS = [
    {"text": "She thanked [MASK].", "targets": ["him", "her"], "correct": "him", "template": "thanks"},
    {"text": "He, too, praised [MASK].", "targets": ["him", "her"]},
]


def write_lines(path, rows, encoding="utf-8"):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", encoding=encoding)
    return path


def write_csv(path, rows, encoding="utf-8"):
    columns = list(rows[0])
    lines = [",".join(columns)]
    for row in rows:
        cells = ["|".join(cell) if isinstance(cell, list) else cell for cell in (row.get(name, "") for name in columns)]
        lines.append(",".join(f'"{cell}"' for cell in cells))
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("write", [write_lines, write_csv])
def test_both_formats_give_the_same_stimuli(write, encoding, tmp_path):
    suffix = "csv" if write is write_csv else "jsonl"
    contrast = read_pairs(write(tmp_path / f"pairs.{suffix}", PAIR_ROWS, encoding))
    assert contrast.conditions == ("him", "her")
    assert contrast.groups == ("saw", "ask")
    assert [sentence.text for sentence in contrast.b] == [row["b"] for row in PAIR_ROWS]
    read = read_prompts(write(tmp_path / f"prompts.{suffix}", PROMPT_ROWS, encoding))
    assert [prompt.text for prompt in read] == [row["text"] for row in PROMPT_ROWS]
    assert [prompt.targets for prompt in read] == [("him", "her")] * 2
    assert [prompt.correct for prompt in read] == ["him", None]
    assert [prompt.group for prompt in read] == ["thanks", ""]


def test_words_conditions_and_subword_may_come_from_the_call(tmp_path):
    path = write_lines(tmp_path / "pairs.jsonl", [{"a": row["a"], "b": row["b"]} for row in PAIR_ROWS])
    contrast = read_pairs(path, words=("him", "her"), conditions=("male", "female"), subword="first")
    assert contrast.conditions == ("male", "female")
    assert contrast.subword == "first"
    assert contrast.groups == ()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "missing.csv", r"missing\.csv' is not a file; give a CSV or JSON-lines file with the columns \['a', "),
        ("", "empty.csv", r"empty\.csv' cannot be read as CSV \(\.csv\) or JSON lines"),
        ("a,b\n", "header.csv", r"header\.csv' has no rows; give one row per line"),
        ("\n\n", "blank.jsonl", r"blank\.jsonl' has no rows"),
        ("[1, 2]\n", "list.jsonl", r"list\.jsonl' has no rows"),
        ("{not json}\n", "broken.jsonl", r"broken\.jsonl' cannot be read as CSV \(\.csv\) or JSON lines: "),
        ("a,c\nx,y\n", "columns.csv", r"row 1 of .*columns\.csv' has no text in \['b'\]; it has \['a', 'c'\]"),
        ('{"a": "x", "b": 5, "word_a": "x", "word_b": "y"}\n', "number.jsonl", r"row 1 of .* has no text in \['b'\]"),
        ("a,b\nI saw him,I saw her\n", "words.csv", r"has no text in \['word_a', 'word_b'\]; it has \['a', 'b'\]; or "
         r"name the words: words=\('him', 'her'\)"),
        ('{"a": "No word.", "b": "I saw her", "word_a": "him", "word_b": "her"}\n', "word.jsonl", r"the sentence "
         r"'No word\.' does not contain the word 'him'"),
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_should_be(content, name, message, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(path)


def test_a_binary_file_and_a_folder_are_refused_as_well(tmp_path):
    (tmp_path / "weights.jsonl").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"weights\.jsonl' cannot be read"):
        read_prompts(tmp_path / "weights.jsonl")
    with pytest.raises(ValueError, match=r"is not a file; give a CSV or JSON-lines file with the columns \['text'"):
        read_prompts(tmp_path)


def test_the_shipped_contrasts_are_what_they_say():
    him_her = contrasts.him_her()
    assert len(him_her.a) == len(him_her.b) == 54
    assert him_her.conditions == ("him", "her")
    for a, b in zip(him_her.a, him_her.b, strict=True):
        assert a.masked == b.masked, "the pair differs in the one word alone"
    ends = sum(sentence.text[sentence.span[1] :].strip(".!?") == "" for sentence in him_her.a)
    assert 5 <= ends <= 49, "at the end of some sentences, in the middle of others"
    for contrast in (contrasts.him_her_in_context(), contrasts.singular_plural(), contrasts.noun_verb()):
        assert len(contrast.a) >= 54
        assert len(set(contrast.groups)) == len(contrast.a)
    assert contrasts.him_her(subword="mean").subword == "mean"


def test_the_shipped_prompts_are_balanced_and_share_no_sentence_with_the_contrasts():
    masked, causal = prompts.him_her(), prompts.him_her(causal=True)
    assert len(masked) >= 100
    right = [prompt.correct for prompt in masked]
    assert right.count("him") == right.count("her") == len(masked) / 2
    assert [prompt.before_mask() for prompt in masked] == causal
    seen = {
        stimulus for contrast in (contrasts.him_her(), contrasts.him_her_in_context()) for stimulus in contrast.stimuli
    }
    assert not seen & {stimulus for prompt in masked for stimulus in prompt.stimuli}
