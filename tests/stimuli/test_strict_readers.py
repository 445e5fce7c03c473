"""Tables are read as they stand, or refused with their line: never bent into shape."""

import gzip
import json

import pandas as pd
import pytest

from tlesion.files import read_pairs, read_prompts
from tlesion.stimuli.text_files import read_lines

TEXTS = ["Robert thanked Lucy, because she helped [MASK].", "“Naïve”, said Zoë; and thanked [MASK]."]
TARGETS = ("him", "her")


def csv_text(separator=",", end="\n", header=("text", "targets", "correct", "template")):
    rows = [header, *((f'"{text}"', "him|her", "her", i) for i, text in enumerate(TEXTS))]
    return end.join(separator.join(map(str, row)) for row in rows) + end


ROWS = [{"text": text, "targets": list(TARGETS), "correct": "her", "template": i} for i, text in enumerate(TEXTS)]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.csv", csv_text().encode()),
        ("UPPER.CSV", csv_text().encode()),
        ("semicolons.csv", csv_text(";").encode()),
        ("tabs.tsv", csv_text("\t").encode()),
        ("tabs.csv", csv_text("\t").encode()),
        ("commas.tsv", csv_text(",").encode()),
        ("mark.csv", csv_text().encode("utf-8-sig")),
        ("utf16.csv", csv_text().encode("utf-16")),
        ("utf32.jsonl", LINES.encode("utf-32")),
        ("crlf.csv", csv_text(end="\r\n").encode()),
        ("mac.csv", csv_text(end="\r").encode()),
        ("blank lines.csv", csv_text(end="\n\n").encode() + b",,,\n  \n"),
        ("case.csv", csv_text(header=("Text", " TARGETS ", "Correct", "template")).encode()),
        ("quoted header.csv", csv_text(header=('"text"', '"targets"', '"correct"', '"template"')).encode()),
        ("more.csv", csv_text(header=("text", "targets", "correct", "template")).replace("\n", ",\n").encode()),
        ("numbered.csv", pd.DataFrame(ROWS).assign(targets="him|her").to_csv().encode()),
        ("semicolons, numbered.csv", pd.DataFrame(ROWS).assign(targets="him|her").to_csv(sep=";").encode()),
        ("lines.JSONL", LINES.replace("\n", "\r\n\n").encode()),
        ("list.json", json.dumps(ROWS, indent=2).encode()),
        ("list.jsonl", json.dumps(ROWS).encode()),
        ("pretty.json", "\n".join(json.dumps(row, indent=1) for row in ROWS).encode()),
        ("packed.csv.gz", gzip.compress(csv_text().encode())),
        ("packed.jsonl.gz", gzip.compress(LINES.encode())),
    ],
)
def test_every_form_of_a_table_gives_the_same_prompts(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    prompts = read_prompts(tmp_path / name)
    assert [prompt.text for prompt in prompts] == TEXTS
    assert [prompt.targets for prompt in prompts] == [TARGETS] * 2
    assert [prompt.correct for prompt in prompts] == ["her"] * 2
    assert [prompt.group for prompt in prompts] == ["0", "1"]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_separator_of_unicode_inside_a_text_ends_no_line(end, tmp_path):
    text = f"One{end}two [MASK]."
    (tmp_path / "x.csv").write_text(f"text,targets\n{text},him\n", encoding="utf-8")
    assert [prompt.text for prompt in read_prompts(tmp_path / "x.csv")] == [text]
    if end not in "\x0b\x0c\x1c":  # JSON escapes control characters.
        line = json.dumps({"text": text, "targets": ["him"]}, ensure_ascii=False)
        (tmp_path / "x.jsonl").write_text(f"{line}\n{line}\n", encoding="utf-8")
        assert [prompt.text for prompt in read_prompts(tmp_path / "x.jsonl")] == [text] * 2
    (tmp_path / "x.txt").write_text(f"a{end}b\r\n\r\nc\rd\n", encoding="utf-8")
    assert read_lines(tmp_path / "x.txt", otherwise="give a text file") == [f"a{end}b", "c", "d"]


def test_quotes_and_line_breaks_inside_a_quoted_field_are_kept(tmp_path):
    (tmp_path / "x.csv").write_text(
        'text,targets\n"He said ""now"",\nand thanked [MASK].",him\nHe said "so" [MASK].,her\n'
    )
    assert [prompt.text for prompt in read_prompts(tmp_path / "x.csv")] == [
        'He said "now",\nand thanked [MASK].',
        'He said "so" [MASK].',
    ]


HEAD = "text,targets\nShe saw [MASK].,him|her\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("comma.csv", HEAD + "Robert, too, saw [MASK].,him|her\n", "line 3 has 4 fields, and the header has 2"),
        ("every.csv", "text,targets\nOh, [MASK].,him|her\nAh, [MASK].,him|her\n", "line 2 has 3 fields"),
        ("few.csv", HEAD + "\nShe saw [MASK].\n", "line 4 has 1 fields"),
        ("tail.csv", HEAD + "She saw [MASK].,him|her,\n", "line 3 has 3 fields"),
        ("optional.csv", "text,targets,correct\nRobert, she saw [MASK].,him|her\n", r"row 1 of .* \(line 2\)"),
        ("quote.csv", HEAD + '"She saw [MASK].,him|her\n', "line 3: unexpected end of data"),
        ("after.csv", HEAD + '"She" saw [MASK].,him|her\n', "line 3: ',' expected after '\"'"),
        ("spaced.csv", HEAD + 'She saw [MASK]., "him|her"\n', "line 3: a quote after a space"),
        ("twice.csv", "text,targets,text\na [MASK],him,b [MASK]\n", "the column 'text' stands there twice"),
        ("cases.csv", "text,targets,Text\na [MASK],him,b [MASK]\n", "has the column 'text' twice"),
        ("first.csv", ",text,targets\nWell, a [MASK],him|her\n", "line 2: 'Well' stands in a column without a name"),
        ("nameless.csv", "text,targets,\na [MASK],him,her\n", "line 2: 'her' stands in a column without a name"),
        ("headless.csv", "She saw [MASK].,him|her\nHe saw [MASK].,him|her\n", r"has no text in \['text', 'targets'\]"),
        ("blank.csv", HEAD + ",him|her\n", r"row 2 .*has no text in \['text'\].*\(line 3\)"),
        ("near.csv", "text,targets,corect\na [MASK],him,him\n", "'corect', which is not read; did you mean 'correct'"),
        ("group.csv", "text,targets,group\na [MASK],him,1\n", "'group', which is not read; did you mean 'template'"),
        ("space.csv", HEAD + "She saw [MASK].,him||her\n", r"row 2 .*target '' is empty.*\(line 3\)"),
        ("wrong.csv", "text,targets,correct\na [MASK],him|her,it\n", r"correct 'it' is unknown.*\(line 2\)"),
        ("sep.csv", "sep=;\ntext;targets\na [MASK];him\n", "cannot be read|has no text"),
        ("nul.csv", "text,targets\na\0b,him\n", "line 2 holds a NUL character"),
        ("open.json", '[{"text": "a [MASK]", "targets": ["him"]},\n', "line 2: the list has no end"),
        ("after.json", '[{"text": "a [MASK]", "targets": ["him"]}]\n\n{}', "line 3: something follows the end"),
        ("gap.json", '[{"text": "a [MASK]", "targets": ["him"]}\n{"text": "b"}]', "line 2: a list goes on with"),
        ("broken.jsonl", '{"text": "a [MASK]", "targets": ["him"]}\n{"text": }\n', "line 2: Expecting value"),
        ("cut.jsonl", '{"text": "a\nb [MASK]", "targets": ["him"]}\n', "line 1: Invalid control character"),
        ("nan.jsonl", '{"text": "a [MASK]", "targets": ["him"], "template": NaN}\n', "line 1: NaN is no JSON value"),
        ("keys.jsonl", '\n{"text": "a", "text": "b", "targets": ["him"]}\n', "line 2: the column 'text' stands"),
        ("deep.jsonl", "[" * 100_000, "has no rows|cannot be read"),
        ("half.jsonl", r'{"text": "a \ud800 [MASK]", "targets": ["him"]}', "half a character"),
        ("null.jsonl", '{"text": "a [MASK]", "targets": [null]}', r"a NoneType, None among its targets.*\(line 1\)"),
        ("nest.jsonl", '{"text": "a [MASK]", "targets": [["him"]]}', "a list, .* among its targets"),
        ("label.jsonl", '{"text": "a [MASK]", "targets": ["him"], "template": [1]}', r"group \[1\].* is no label"),
        ("values.jsonl", '"text"\n', "has no rows: line 1 holds a str"),
        ("csv.json", HEAD, "line 1: Expecting value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_line(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_prompts(tmp_path / name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "text,targets\nNaïve [MASK],him\n".encode("latin-1"),
            r"line 2 is not UTF-8 text \(byte 0xef\); save the file as",
        ),
        ("text,targets\na [MASK],him\n“b” [MASK],him\n".encode("cp1252"), "line 3 is not UTF-8 text"),
        (csv_text().encode("utf-16-le"), "is not UTF-8 text|holds a NUL character"),
        (csv_text().encode("utf-16")[:-1], "is not UTF-16 text"),
        (gzip.compress(csv_text().encode())[:-9], "cannot be read: "),
        (b"PK\x03\x04rest of a workbook", "an archive or a workbook; save the sheet as CSV"),
    ],
)
def test_other_encodings_and_damaged_files_are_refused(data, message, tmp_path):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / "x.csv")


@pytest.mark.parametrize("targets", ['["1914", "1920"]', "[1914, 1920]", '"1914|1920"'])
@pytest.mark.parametrize("correct", ['"1920"', "1920", "1"])
def test_numbers_are_words_and_a_right_answer_may_be_an_index(targets, correct, tmp_path):
    (tmp_path / "x.jsonl").write_text(f'{{"text": "From 19", "targets": {targets}, "correct": {correct}}}')
    (prompt,) = read_prompts(tmp_path / "x.jsonl")
    assert (prompt.targets, prompt.correct) == (("1914", "1920"), "1920")


PAIRS = [("We saw him here.", "We saw her here."), ("Ask him now.", "Ask her now."), ("Like him!", "Like her!")]


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_templates_of_pairs_may_be_numbers_from_zero(start, suffix, tmp_path):
    file = tmp_path / f"pairs.{suffix}"
    rows = [{"a": a, "b": b, "template": start + i} for i, (a, b) in enumerate(PAIRS)]
    if suffix == "csv":
        file.write_text("a,b,template\n" + "".join(f"{row['a']},{row['b']},{row['template']}\n" for row in rows))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    assert read_pairs(file, words=("him", "her")).groups == tuple(str(start + i) for i in range(3))


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,b,template\nSaw him.,Saw her.,x\nAsk him.,Ask her.,\n", {"words": TARGETS}, r"has no template.*\(line 3\)"),
        ("a,b\nSaw him.,Saw her.\nAsk him, too.,Ask her.\n", {"words": TARGETS}, "line 3 has 3 fields"),
        ("a,b\nSaw him.,Saw her.\nAsk him.,Ask it.\n", {"words": TARGETS}, r"not contain the word 'her'.*\(line 3\)"),
        ("a,b,word_a,word_b\nSaw him.,Saw her.,him,her\n", {"words": ("it", "her")}, "has 'him' in 'word_a'"),
        ("a,b\nSaw him.,Saw her.\n", {"words": ()}, r"words \(\) are not two words"),
        ("a,b\nSaw him.,Saw her.\n", {"words": ""}, "words '' are not two words"),
        ("a,b\nSaw him.,Saw her.\n", {}, r"has no text in \['word_a', 'word_b'\].*\(line 2\)"),
    ],
)  # fmt: skip
def test_pairs_that_do_not_fit_are_refused_with_their_line(content, options, message, tmp_path):
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / "pairs.csv", **options)
