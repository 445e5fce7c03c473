"""Word borders in any script: a word is found as a whole only, and is the same word however its accents are coded."""

import inspect
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion import Contrast, Prompt, Sentence
from tlesion.keep.hashing import stimulus_hash
from tlesion.tokens import equal_words, find_word, require_span


def nfd(text):
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (nfd("We saw the café today."), "cafe"),  # its accent is left outside
        ("लड़का आया", "लड़क"),  # a vowel sign
        ("किताब", "क"),
        ("שָׁלוֹם", "ש"),  # a point
        ("كِتَاب", "ك"),
        ("தமிழ்", "தமிழ"),
        ("isn't it", "isn"),
        ("l’homme est là", "homme"),
        ("we don’t", "don"),
        ("him_her", "him"),
        ("him2 and 2him", "him"),
        ("3.5 kg", "3"),
        ("1,000 words", "000"),
        ("a hi\u00adm here", "hi"),  # a soft hyphen
        ("him\u200dx", "him"),
        ("him\u2060self", "him"),
        ("👩\u200d💻 works", "👩"),
        ("❤\ufe0f here", "❤"),
        ("我喜欢你", "喜欢"),
        ("彼女を見た", "彼女"),
        ("アイスを食べた", "アイス"),
        ("ผมรักคุณ", "รัก"),
        ("각하", "각"),
        (nfd("각하"), "가"),
        ("Straße", "Stra"),
        ("himself", "him"),
    ],
)
def test_a_part_of_a_word_is_refused_with_the_way_out(text, word):
    with pytest.raises(ValueError, match="as a whole word") as refusal:
        Sentence(text, word)
    if "span=(" in str(refusal.value):
        start, end = map(int, regex.search(r"span=\((\d+), (\d+)\)", str(refusal.value)).groups())
        found = Sentence(text, word, span=(start, end))
        assert found.span == (start, end)
        assert equal_words(text[start:end], word)


@pytest.mark.parametrize(
    ("text", "word", "span"),
    [
        ("We saw him.", "him", (7, 10)),
        ("'him'", "him", (1, 4)),
        ("“him” (her)", "him", (1, 4)),
        ("\ufeffhim we saw", "him", (1, 4)),
        ("we saw him\u200e.", "him", (7, 10)),
        ("him\u200bher", "him", (0, 3)),  # a space of no width is a space
        ("mother-in-law", "law", (10, 13)),
        ("❤️him", "him", (2, 5)),
        ("the U.S. today", "U.S.", (4, 8)),
        ("in C++ today", "C++", (3, 6)),
        ("it isn't so", "isn't", (3, 8)),
        ("👩\u200d💻 works", "👩\u200d💻", (0, 3)),
        ("लड़का आया", "लड़का", (0, 5)),
        ("我 喜欢 你", "喜欢", (2, 4)),
        ("him himself him's", "him", (0, 3)),
    ],
)
def test_a_whole_word_is_found(text, word, span):
    start, end = find_word(text, word)
    assert text[start:end] == word
    if "लड़का" not in text:  # whose length depends on how this file was coded
        assert (start, end) == span


@pytest.mark.parametrize("word", ["café", "Überbrückung", "Việt", "ñandú", "각", "が", "ἄνθρωπος", "लड़का", "שָׁלוֹם"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_a_word_is_the_same_however_its_accents_are_coded(word, form, asked):
    there = unicodedata.normalize(form, word)
    text = f"we saw {there} today"
    found = Sentence(text, unicodedata.normalize(asked, word))
    assert text[slice(*found.span)] == there
    assert found.masked == "we saw [MASK] today"
    assert stimulus_hash(text) == stimulus_hash(f"we saw {unicodedata.normalize(asked, word)} today")


def test_one_word_in_two_codings_is_no_two_targets():
    with pytest.raises(ValueError, match="give one or more different words"):
        Prompt("We saw the [MASK].", ("café", nfd("café")))


# Letters, marks, joiners, signs and spaces of many scripts, put together at random.
ATOMS = st.sampled_from(
    ["him", "he", "é", "e\u0301", "\u0301", "ü", "ß", "क", "\u093f", "\u094d", "ש", "\u05b8", "我", "你", "ก", "\u0e31",
     "ア", "각", "\u1100\u1161", "\u11a8", "7", "_", "-", "'", "’", ".", ",", ":", '"', " ", "  ", "\n",
     "\u200b", "\u200c", "\u200d", "\u00ad", "\ufeff", "\ufe0f", "👩", "💻", "🇩", "🇪"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    before=st.lists(ATOMS, max_size=5), word=st.lists(ATOMS, min_size=1, max_size=3), after=st.lists(ATOMS, max_size=5)
)
def test_what_is_found_is_the_word_and_has_no_letter_beside_it(before, word, after):
    word = "".join(word)
    text = "".join(before) + word + "".join(after)
    try:
        start, end = find_word(text, word)
    except ValueError:
        return
    assert equal_words(text[start:end], word)
    # Looked at one letter at a time, invisible formatting characters left out: nothing of a word stands beside it.
    visible = regex.compile(r"[\p{Cf}--\u200b]", regex.V1)
    left, right = visible.sub("", text[:start]), visible.sub("", text[end:])
    kinds = [unicodedata.category(one) for one in (left[-1:], right[:1]) if one]
    assert not any(kind[0] in "LN" or kind == "Pc" for kind in kinds)
    assert not right[:1] or unicodedata.category(right[0])[0] != "M"
    joined = unicodedata.normalize("NFC", text[:start]) + unicodedata.normalize("NFC", text[start:])
    assert joined == unicodedata.normalize("NFC", text), "no letter is cut off its accent"
    cut = unicodedata.normalize("NFC", text[:end]) + unicodedata.normalize("NFC", text[end:])
    assert cut == unicodedata.normalize("NFC", text)


@settings(max_examples=100, deadline=None)
@given(
    before=st.lists(st.sampled_from(["we", "saw", "né", "का", "說"]), max_size=4),
    word=st.sampled_from(["him", "café", "लड़का", "שָׁלוֹם", "ไทย", "我们", "각하"]),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_a_word_between_spaces_is_always_found(before, word, form):
    text = unicodedata.normalize(form, " ".join([*before, word, "and", "more"]))
    assert equal_words(text[slice(*find_word(text, word))], word)


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_refused(word):
    with pytest.raises(ValueError, match=r"the word '.*' of the sentence .* is empty"):
        Sentence("We saw him.", word)


def test_refusals_say_what_is_there_instead():
    with pytest.raises(ValueError, match="upper and lower case count"):
        Sentence("Him we saw.", "him")
    with pytest.raises(
        ValueError, match=r"2 times; .* or say which one is meant: tlesion\.Sentence\(.*span=\(7, 10\)\)"
    ):
        Sentence("We saw him and him.", "him")
    with pytest.raises(ValueError, match=r"once$"):
        Sentence("We saw her.", "him")


@pytest.mark.parametrize(
    ("text", "word", "span", "error", "message"),
    [
        ("We saw him.", "him", (0, 3), ValueError, r"holds 'We ', and the word is 'him'"),
        ("We saw him.", "him", (7, 30), ValueError, "holds None"),
        ("We saw him.", "him", (-4, -1), ValueError, "holds None"),
        (nfd("We saw the café."), "cafe", (11, 15), ValueError, "cuts through a letter"),
    ],
)
def test_a_span_has_to_hold_the_word(text, word, span, error, message):
    with pytest.raises(error, match=message):
        Sentence(text, word, span)


@pytest.mark.parametrize("span", [(7,), (7.0, 10.0), 7, "ab", (7, 8, 9)])
def test_a_span_is_two_whole_numbers(span):
    unchecked = inspect.unwrap(require_span)  # without the check of types that the tests add
    with pytest.raises(
        TypeError, match=r"no place in a text; give its characters as two whole numbers, \(start, end\)"
    ):
        unchecked("We saw him.", "him", span)


def test_sentences_with_spans_make_a_contrast():
    pairs = [("我喜欢他们", "我喜欢她们"), ("你看见他了", "你看见她了")]
    a, b = (tuple(Sentence(pair[i], "他她"[i], span=(3, 4)) for pair in pairs) for i in (0, 1))
    contrast = Contrast(a=a, b=b, conditions=("he", "she"))
    assert [one.masked for one in contrast.a] == ["我喜欢[MASK]们", "你看见[MASK]了"]
    assert contrast.subset([0, 1]).a[0].span == (3, 4)
