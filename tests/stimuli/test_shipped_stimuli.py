"""The sentences that ship with the package: how many, balanced, readable by both toy tokenizers, never trained on."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import tlesion.toy
from benchmarks.toy_models.lexicon import FEMALE_NAMES, MALE_NAMES
from benchmarks.toy_models.people import PRONOUNS
from benchmarks.toy_models.reserved import reserved_sentences

DATA = Path(tlesion.toy.__file__).parent.parent / "data"
PAIR_FILES = ("him_her", "him_her_in_context", "singular_plural", "noun_verb")
PROMPT_FILES = ("him_her_prompts", "example_prompts")
# A word with the space before it, as GPT-2's tokenizer sees it.
SPACED_WORD = re.compile(r"(?:^| )\w+")


def read_rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def all_sentences() -> list[str]:
    pairs = [row[side] for name in PAIR_FILES for row in read_rows(name) for side in ("a", "b")]
    prompts = [row["text"].replace("[MASK]", t) for n in PROMPT_FILES for row in read_rows(n) for t in row["targets"]]
    return pairs + prompts + (DATA / "corpus.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def bert_tokenizer():
    return AutoTokenizer.from_pretrained(DATA.parent / "toy" / "toy-bert")


@pytest.fixture(scope="module")
def gpt_tokenizer():
    return AutoTokenizer.from_pretrained(DATA.parent / "toy" / "toy-gpt")


@pytest.mark.parametrize("name", PAIR_FILES)
def test_at_least_54_distinct_pairs(name):
    rows = read_rows(name)
    assert len(rows) >= 54
    sentences = [row[side] for row in rows for side in ("a", "b")]
    assert len(set(sentences)) == len(sentences)
    assert len({row["template"] for row in rows}) == len(rows)


@pytest.mark.parametrize("name", PAIR_FILES)
def test_each_sentence_has_its_word_once_and_not_the_other(name):
    for row in read_rows(name):
        word_a, word_b = row.get("word_a", "him"), row.get("word_b", "her")
        assert words_of(row["a"]).count(word_a) == 1
        assert words_of(row["b"]).count(word_b) == 1
        if word_a != word_b:
            assert word_b not in words_of(row["a"])
            assert word_a not in words_of(row["b"])


def test_him_her_pairs_differ_in_nothing_but_the_word():
    rows = read_rows("him_her")
    assert len(rows) == 54
    for row in rows:
        assert re.sub(r"\bhim\b", "her", row["a"]) == row["b"]


def test_her_is_the_object_form_in_the_pairs():
    """'him' is never a possessive, so its sentence shows that 'her' is none; no other pronoun helps."""
    others = {word for form in PRONOUNS.values() for word in form.values()} - {"him", "her"}
    for name in ("him_her", "him_her_in_context"):
        for row in read_rows(name):
            assert words_of(row["a"]).count("him") == words_of(row["b"]).count("her") == 1
            assert not others & {*words_of(row["a"]), *words_of(row["b"])}


def test_pairs_vary_in_length_and_in_the_word_s_place():
    places = [words_of(row["a"]).index("him") / (len(words_of(row["a"])) - 1) for row in read_rows("him_her")]
    lengths = {len(words_of(row["a"])) for row in read_rows("him_her")}
    assert len(lengths) >= 8
    assert sum(place == 1 for place in places) >= 10
    assert sum(0.25 < place < 0.75 for place in places) >= 10
    assert sum(place <= 0.25 for place in places) >= 4
    assert len({row["a"].split()[0] for row in read_rows("him_her")}) >= 20


def test_pairs_in_context_hold_the_same_words_and_balanced_roles():
    """A sentence and its partner swap their two names (and the word), so the bag of words tells nothing."""
    referent_first = 0
    men, women = set(MALE_NAMES), set(FEMALE_NAMES)
    for row in read_rows("him_her_in_context"):
        a, b = (Counter(re.findall(r"\w+", row[side])) for side in ("a", "b"))
        assert a - b == Counter(["him"])
        assert b - a == Counter(["her"])
        names = [word for word in re.findall(r"\w+", row["a"]) if word in men | women]
        assert len(names) == 2
        assert len(set(names) & men) == 1
        assert [word for word in re.findall(r"\w+", row["b"]) if word in men | women] == names[::-1]
        referent_first += names[0] in men
    assert referent_first * 2 == len(read_rows("him_her_in_context"))


def test_prompts_are_many_balanced_and_disjoint_from_the_pairs():
    rows = read_rows("him_her_prompts")
    assert len(rows) >= 100
    assert Counter(row["correct"] for row in rows) == {"him": len(rows) // 2, "her": len(rows) // 2}
    by_template: dict[str, set[str]] = {row["template"]: set() for row in rows}
    for row in rows:
        by_template[row["template"]].add(row["correct"])
    assert set(map(frozenset, by_template.values())) == {frozenset({"him", "her"})}
    assert len(by_template) >= 50
    filled = {row["text"].replace("[MASK]", target) for row in rows for target in row["targets"]}
    for name in PAIR_FILES:
        assert not filled & {row[side] for row in read_rows(name) for side in ("a", "b")}


@pytest.mark.parametrize("name", PROMPT_FILES)
def test_prompts_have_one_mask_and_name_both_genders_before_it(name):
    for row in read_rows(name):
        assert row["text"].count("[MASK]") == 1
        assert row["targets"] == ["him", "her"]
        assert row["correct"] in row["targets"]
        before = set(re.findall(r"\w+", row["text"].split("[MASK]")[0]))
        assert len(before & set(MALE_NAMES)) == len(before & set(FEMALE_NAMES)) == 1


def test_robert_and_lucy_are_among_the_prompts():
    texts = [row["text"] for row in read_rows("him_her_prompts")]
    assert "Robert helped Lucy with her project and she thanked [MASK] for his hard work." in texts


def test_every_word_is_one_token_in_both_models(bert_tokenizer, gpt_tokenizer):
    for text in all_sentences():
        for word in words_of(text):
            assert bert_tokenizer.tokenize(word) == [word], text
        for word in SPACED_WORD.findall(text):
            assert len(gpt_tokenizer.tokenize(word)) == 1, text


def test_common_nouns_are_one_token_with_and_without_a_space(gpt_tokenizer, bert_tokenizer):
    nouns = (DATA / "common_nouns.txt").read_text().split()
    assert len(nouns) == len(set(nouns)) == 100
    assert "apple" in nouns
    for noun in nouns:
        assert gpt_tokenizer.tokenize(noun) == [noun]
        assert gpt_tokenizer.tokenize(f" {noun}") == [f"Ġ{noun}"]
        assert bert_tokenizer.tokenize(noun) == [noun]


def test_openings_and_corpus(bert_tokenizer):
    openings = (DATA / "openings.txt").read_text().splitlines()
    assert "I think the world could be better if" in openings
    for opening in openings:
        assert bert_tokenizer.unk_token not in bert_tokenizer.tokenize(opening)
        assert not any(token.startswith("##") for token in bert_tokenizer.tokenize(opening))
    for text in (DATA / "corpus.txt").read_text().splitlines():
        assert 100 <= len(bert_tokenizer.tokenize(text)) <= 250


def test_shipped_sentences_are_reserved():
    reserved = reserved_sentences()
    assert {row["a"] for row in read_rows("him_her")} <= reserved
    assert "Robert helped Lucy with her project and she thanked him for his hard work." in reserved
    assert len(reserved) > 500


def test_example_files_have_the_columns_that_users_need():
    with (DATA / "example_pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    assert list(pairs[0]) == ["a", "b", "word_a", "word_b"]
    for row in pairs:
        assert words_of(row["a"]).count(row["word_a"]) == words_of(row["b"]).count(row["word_b"]) == 1
    assert set(read_rows("example_prompts")[0]) == {"text", "targets", "correct"}
