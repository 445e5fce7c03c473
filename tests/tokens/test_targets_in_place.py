"""Targets in their place: the token is the one that stands there when the whole text is cut, with the word in it."""

import pytest
import torch

import tlesion
from tlesion import Prompt, Sentence
from tlesion import interventions as iv
from tlesion.encoding import encode_prompt, encode_sentence
from tlesion.inference.folds import prompts_of, template_groups
from tlesion.tokens import target_token

GLUED = [
    'She said "[MASK]" to the boy.',
    "Who was it?\n[MASK] was it.",
    "She thanked [MASK].",
    "She thanked  [MASK].",
    "She thanked ([MASK]) today.",
    "It was a well-[MASK] friend.",
    "She thanked him/[MASK] today.",
    "She thanked\t[MASK] today.",
    "She thanked “[MASK]”, he said.",
    "She thanked\n [MASK] today.",
    "She thanked [MASK]'s friend.",
    "She thanked\u00a0[MASK].",
]


@pytest.fixture(scope="module")
def gpt(make, toy_gpt):
    return make.causal(make.byte_level(toy_gpt, bos_token="<|endoftext|>", eos_token="<|endoftext|>"))


@pytest.fixture(scope="module")
def roberta(make, toy_gpt):
    return make.masked(make.masked_byte_level(toy_gpt))


def token_in_place(tokenizer, text, word):
    """By the tokenizer's own offsets: the ids before the word, and those of the word, in the whole text."""
    start = text.index("[MASK]")
    found = tokenizer(text.replace("[MASK]", word), return_offsets_mapping=True, add_special_tokens=False)
    end = start + len(word)
    place = [i for i, (first, last) in enumerate(found.offset_mapping) if first < end and last > start]
    return found.input_ids[: place[0]], [found.input_ids[i] for i in place]


@pytest.mark.parametrize("text", GLUED)
def test_a_causal_target_continues_the_whole_text(gpt, text):
    prompt = Prompt(text, ("him", "her")).before_mask()
    found = encode_prompt(gpt.model, prompt)
    for word, target in zip(prompt.targets, found.targets.tolist(), strict=True):
        before, token = token_in_place(gpt.tokenizer, text, word)
        assert [target] == token
        assert found.ids.tolist() == [gpt.tokenizer.bos_token_id, *before]
    result = tlesion.sweep(gpt.model, [prompt], [[iv.zero("blocks.0.mlp.hook_post")]])
    true = gpt.logits(found.ids.tolist())[-1, found.targets]
    torch.testing.assert_close(result.clean_logits[0], true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", [*GLUED, "[MASK] was it.", '"[MASK]" she said'])
def test_a_masked_target_stands_where_the_mask_stands(roberta, text):
    found = encode_prompt(roberta.model, Prompt(text, ("him", "her")))
    tokenizer = roberta.tokenizer
    assert found.ids.tolist() == tokenizer(text.replace("[MASK]", "<mask>")).input_ids
    assert found.ids[found.readout] == tokenizer.mask_token_id
    for word, target in zip(("him", "her"), found.targets.tolist(), strict=True):
        assert [target] == token_in_place(tokenizer, text, word)[1]


def test_byte_level_masked_models_tell_him_from_him_with_its_space(roberta):
    spaced, bare = (
        encode_prompt(roberta.model, Prompt(text, ("him",))).targets for text in ("We saw [MASK].", '"[MASK]"')
    )
    assert roberta.tokenizer.convert_ids_to_tokens([*spaced, *bare]) == ["Ġhim", "him"]
    swept = tlesion.sweep(
        roberta.model, [Prompt("We saw [MASK].", ("him", "her"))], [[iv.zero("blocks.0.mlp.hook_post")]]
    )
    ids = roberta.tokenizer("We saw<mask>.").input_ids
    targets = roberta.tokenizer.convert_tokens_to_ids(["Ġhim", "Ġher"])
    true = roberta.logits(ids)[ids.index(roberta.tokenizer.mask_token_id), targets]
    torch.testing.assert_close(swept.clean_logits[0], true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", ["We saw [MASK]self today.", "We saw the [MASK]s today.", "We saw him[MASK] today."])
def test_a_target_that_is_a_part_of_a_longer_token_or_cuts_one_is_refused(make, text):
    tokenizer = make.wordpiece(
        ["we", "saw", "today", "the", "him", "her", "hims", "hers", "himself", "herself", "##hi"]
    )
    pair = make.masked(tokenizer)
    message = "cut together with what stands beside it|not in this model's vocabulary|is 2 tokens"
    with pytest.raises(ValueError, match=message):
        encode_prompt(pair.model, Prompt(text, ("him", "her")))


@pytest.mark.parametrize("text", ["We saw [MASK]self today.", "We saw un[MASK] today"])
def test_a_causal_target_that_is_a_part_of_a_longer_token_is_refused(make, text):
    pieces = ["▁we", "▁saw", "▁him", "▁her", "▁himself", "▁herself", "▁un", "him", "her", "▁unhim", "▁unher", "▁today"]
    pair = make.causal(make.pieces(pieces))
    prompt = Prompt(text, ("him", "her")).before_mask()
    with pytest.raises(
        ValueError, match=r"cut together with what stands beside it|does not continue .* changes the tokens"
    ):
        encode_prompt(pair.model, prompt)


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
@pytest.mark.parametrize(
    "text", ["we saw [MASK] today", 'we saw "[MASK]" today', "[MASK] saw today", "we saw\n[MASK] today"]
)
def test_pieces_with_the_space_before_them(make, scheme, text):
    pieces = ["▁we", "▁saw", "▁him", "▁her", "him", "her", "▁today", '▁"', '"', "saw", "we"]
    tokenizer = make.pieces(pieces, scheme=scheme, bos_token="<s>", mask_token="<mask>")
    causal, masked = make.causal(tokenizer), make.masked(tokenizer)
    prompt = Prompt(text, ("him", "her"))
    before, him = token_in_place(tokenizer, text, "him")
    if prompt.before_mask().text:
        found = encode_prompt(causal.model, prompt.before_mask())
        assert found.ids.tolist() == [tokenizer.bos_token_id, *before]
        assert found.targets[0] == him[0]
    assert encode_prompt(masked.model, prompt).targets[0] == him[0]


def test_scripts_without_spaces(make):
    texts = ("我们看见[MASK]了。", "彼女は[MASK]を見た。", "他说[MASK]来了")
    bert = make.wordpiece(["他", "她", *sorted(set("".join(texts)) - set("[MASK]"))])
    for pair in (make.causal(bert), make.masked(bert)):
        is_masked = tlesion.tokens.is_masked(pair.model)
        for text in texts:
            prompt = Prompt(text, ("他", "她"))
            found = encode_prompt(pair.model, prompt if is_masked else prompt.before_mask())
            assert bert.convert_ids_to_tokens(found.targets) == ["他", "她"]
            if not is_masked:
                again = encode_prompt(pair.model, Prompt(prompt.before_mask().text, ("他", "她")))
                assert torch.equal(again.targets, found.targets)
                assert torch.equal(again.ids, found.ids)


@pytest.mark.parametrize("end", ['"', "(", "-", "'", "“", "=", "/", "—", "$"])
def test_where_a_word_may_follow_with_a_space_or_without_the_text_has_to_say_which(gpt, end):
    text = f"She said {end}"
    with pytest.raises(ValueError, match=r"may follow .* with a space or without one, .* say which: tlesion\.Prompt\("):
        encode_prompt(gpt.model, Prompt(text, ("him", "her")))
    spaced = encode_prompt(gpt.model, Prompt(f"{text} [MASK]", ("him", "her")).before_mask())
    glued = encode_prompt(gpt.model, Prompt(f"{text}[MASK]", ("him", "her")).before_mask())
    assert gpt.tokenizer.convert_ids_to_tokens(spaced.targets) == ["Ġhim", "Ġher"]
    assert gpt.tokenizer.convert_ids_to_tokens(glued.targets) == ["him", "her"]


@pytest.mark.parametrize(
    "text", ["She thanked", "She thanked him,", "Who was it?", "The answer (a)", "It was 1984", "naïveté"]
)
def test_a_word_follows_a_word_or_a_closing_mark_after_a_space(gpt, text):
    found = encode_prompt(gpt.model, Prompt(text, ("him", "her")))
    assert gpt.tokenizer.convert_ids_to_tokens(found.targets) == ["Ġhim", "Ġher"]
    assert found.ids.tolist()[1:] == gpt.tokenizer(text).input_ids


def test_a_trailing_space_that_would_be_cut_with_the_word_is_refused(gpt):
    for text in ("We saw ", "We saw\n "):
        with pytest.raises(ValueError, match=r"does not continue .* without trailing spaces"):
            encode_prompt(gpt.model, Prompt(text, ("him", "her")))


def test_unknown_targets_are_refused_in_every_kind_of_model(make):
    tokenizer = make.words("<s> $A", bos_token="<s>", mask_token="[MASK]")
    for pair, text in ((make.causal(tokenizer), "she thanked"), (make.masked(tokenizer), "she thanked [MASK]")):
        with pytest.raises(ValueError, match="target 'zebra' is not in this model's vocabulary"):
            encode_prompt(pair.model, Prompt(text, ("him", "zebra")))
        with pytest.raises(ValueError, match="has no token of its own in this model's vocabulary"):
            encode_sentence(pair.model, Sentence("she thanked zebra today", "zebra"), position="word")


@pytest.mark.parametrize("targets", [("Him", "him"), ("naive", "naïve")])
def test_one_token_twice_is_refused_in_every_kind_of_model(make, targets):
    tokenizer = make.wordpiece(["she", "thanked", "him", "naive"])
    for pair, text in ((make.causal(tokenizer), "she thanked"), (make.masked(tokenizer), "she thanked [MASK]")):
        with pytest.raises(ValueError, match=r"targets .* and .* are the same token, '\w+', to this model's tokenizer"):
            encode_prompt(pair.model, Prompt(text, targets))


@pytest.mark.parametrize("text", ["[MASK] thanked [MASK]", "she thanked", "she [MASK] [MASK]"])
def test_a_masked_prompt_has_one_mask(make, text):
    pair = make.masked(make.wordpiece(["she", "thanked", "him"]))
    with pytest.raises(ValueError, match=r"holds \d mask tokens; a masked model's prompt holds exactly one"):
        encode_prompt(pair.model, Prompt(text, ("him",)))


def test_a_tokenizer_without_a_mask_token_says_so(make):
    pair = make.masked(make.words(None))
    with pytest.raises(ValueError, match=r"this model's tokenizer has no mask token; tell it which"):
        encode_prompt(pair.model, Prompt("she thanked [MASK]", ("him",)))


@pytest.mark.parametrize("text", ['she said "him" today', "she (him) today", "she/him today"])
def test_a_sentences_word_is_its_own_token_or_refused(make, text):
    pieces = ["▁she", "▁said", "▁today", '▁"him', "▁(", "him", '"', ")", "/him"]
    pair = make.causal(make.pieces(pieces, bos_token="<s>"))
    sentence = Sentence(text, "him")
    if "(" in text:
        found = encode_sentence(pair.model, sentence)
        assert pair.tokenizer.convert_ids_to_tokens(found.ids[list(found.positions)]) == ["him"]
        return
    with pytest.raises(ValueError, match=r"has no token of its own: this model's tokenizer cuts it together with"):
        encode_sentence(pair.model, sentence)


def test_a_mask_elsewhere_in_a_sentence_does_not_move_its_word(make, toy_gpt):
    tokenizer = make.pieces(["▁we", "▁saw", "▁him"], mask_token="<a longer mask>")
    pair = make.masked(tokenizer)
    found = encode_sentence(pair.model, Sentence("[MASK] we saw him", "him"), position="word")
    assert tokenizer.convert_ids_to_tokens(found.ids[list(found.positions)]) == ["▁him"]


def test_prompts_of_a_contrast_are_read_as_its_sentences_are(gpt):
    """Cross-fitting makes its prompts from sentences: the answer stands where the word stood."""
    pairs = [(f'{name} said "him" once.', f'{name} said "her" once.') for name in ("Robert", "Lucy")]
    contrast = tlesion.Contrast.from_pairs(pairs, ("him", "her"))
    prompts = prompts_of(contrast, template_groups(contrast, causal=True), [0, 1], causal=True)
    for prompt, (text, _) in zip(prompts, pairs, strict=True):
        found = encode_prompt(gpt.model, prompt)
        before, token = token_in_place(gpt.tokenizer, text.replace("him", "[MASK]"), "him")
        assert found.ids.tolist()[1:] == before
        assert found.targets[0] == token[0]


def test_the_text_that_a_prompt_was_cut_from_has_to_begin_with_it():
    with pytest.raises(ValueError, match=r"'We see' is not what stands before \[MASK\] in 'We saw \[MASK\]"):
        Prompt("We see", ("him",), whole="We saw [MASK].")


def test_target_token_needs_the_mask(make):
    pair = make.masked(make.wordpiece(["she", "him"]))
    with pytest.raises(ValueError, match=r"holds no \[MASK\]"):
        target_token(pair.model, "him", text="she")
