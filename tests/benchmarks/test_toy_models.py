"""The shipped models: ordinary small Hugging Face folders that resolve pronouns, and the program that trains them."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from benchmarks.toy_models import batches, tokenization, train
from benchmarks.toy_models.architectures import build_bert, build_gpt, masked_loss
from benchmarks.toy_models.batches import stream_batches
from benchmarks.toy_models.card import render_card, render_table
from benchmarks.toy_models.grammar import sample_items
from benchmarks.toy_models.measure import (
    RESULTS,
    TOY,
    Question,
    Subject,
    from_items,
    from_pairs,
    from_prompts,
    load_subject,
    measure_margins,
    read_rows,
    share_right,
)

pytestmark = pytest.mark.slow

KINDS = ("bert", "gpt")
ROBERT = "Robert helped Lucy with her project and she thanked him for his hard work."


@pytest.fixture
def few_texts(monkeypatch):
    """Draw fewer texts at a time: the pools' sizes do not matter to what is tested."""
    monkeypatch.setattr(tokenization, "SURVEY", 100)
    monkeypatch.setattr(batches, "POOL", 250)


@pytest.fixture(scope="module", params=KINDS)
def subject(request) -> Subject:
    return load_subject(TOY / f"toy-{request.param}", masked=request.param == "bert")


@pytest.fixture(scope="module")
def held_out() -> list[Question]:
    return from_items(sample_items(600, seed=77))


@pytest.fixture(scope="module")
def clean(subject, held_out) -> torch.Tensor:
    return measure_margins(subject, held_out)


@pytest.mark.parametrize("kind", KINDS)
def test_folder_is_small_and_ordinary(kind):
    folder = TOY / f"toy-{kind}"
    files = {file.name: file.stat().st_size for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= set(files)
    assert sum(files.values()) < 12e6


def test_architectures_are_as_promised():
    bert = AutoConfig.from_pretrained(TOY / "toy-bert")
    assert bert.architectures == ["BertForMaskedLM"]
    assert (bert.num_hidden_layers, bert.hidden_size, bert.num_attention_heads) == (12, 128, 4)
    assert (bert.intermediate_size, bert.hidden_act) == (512, "gelu")
    gpt = AutoConfig.from_pretrained(TOY / "toy-gpt")
    assert gpt.architectures == ["GPT2LMHeadModel"]
    assert (gpt.n_layer, gpt.n_embd, gpt.n_head, gpt.n_inner) == (12, 128, 4, 512)
    assert gpt.activation_function == "gelu_new"


@pytest.mark.parametrize(("kind", "family"), [("bert", AutoModelForMaskedLM), ("gpt", AutoModelForCausalLM)])
def test_loads_whole_and_without_a_word(kind, family, capfd):
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model, info = family.from_pretrained(TOY / f"toy-{kind}", output_loading_info=True)
            AutoTokenizer.from_pretrained(TOY / f"toy-{kind}")
    finally:
        transformers_logging.enable_progress_bar()
    assert not any(info.values())
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_tokenizers_are_those_that_the_code_builds(kind, tmp_path):
    """In a process of its own: drawing 20,000 texts is slow where every call is type-checked."""
    made = f"build_{kind}_tokenizer().save_pretrained({str(tmp_path)!r})"
    code = f"from benchmarks.toy_models.tokenization import *; {made}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    shipped = AutoTokenizer.from_pretrained(TOY / f"toy-{kind}")
    built = AutoTokenizer.from_pretrained(tmp_path)
    assert shipped.get_vocab() == built.get_vocab()
    text = f"{ROBERT} An extraordinary gnu!"
    assert shipped(text)["input_ids"] == built(text)["input_ids"]


def test_any_text_can_be_read():
    bert = AutoTokenizer.from_pretrained(TOY / "toy-bert")
    assert bert.unk_token_id not in bert("Extraordinary gnus, 42 of them (really)!")["input_ids"]
    assert bert.decode(bert("him")["input_ids"]) == "[CLS] him [SEP]"
    gpt = AutoTokenizer.from_pretrained(TOY / "toy-gpt")
    text = "Extraordinary gnüs, 42 of them: \n“really”!"
    assert gpt.decode(gpt(text)["input_ids"]) == text
    for word in (" him", " her", " apple", "apple"):
        assert len(gpt(word)["input_ids"]) == 1
    assert gpt.bos_token_id == gpt.eos_token_id == gpt.pad_token_id


def test_right_pronoun_in_99_percent_of_600_held_out_sentences(clean):
    assert share_right(clean) >= 0.99


@pytest.mark.parametrize("form", ["he", "his", "himself"])
def test_the_other_pronouns_are_resolved_too(subject, form):
    """95 %: fewer patterns have these forms, and nothing but him and her was promised."""
    questions = from_items(sample_items(200, seed=78, form=form))
    assert share_right(measure_margins(subject, questions)) >= 0.95


def test_shipped_prompts_and_pairs_in_context_are_answered(subject):
    """These sentences were written by hand; training never draws them, but has patterns like most of them."""
    assert share_right(measure_margins(subject, from_prompts(read_rows("him_her_prompts")))) >= 0.95
    assert share_right(measure_margins(subject, from_pairs(read_rows("him_her_in_context")))) >= 0.95


def test_every_pronoun_of_robert_and_lucy(subject):
    swap = {"her": "his", "she": "he", "him": "her", "his": "her"}
    questions = []
    for word, wrong in swap.items():
        before, after = ROBERT.split(f" {word} ")
        questions.append(Question(f"{before} ", f" {after}", word, wrong))
    assert (measure_margins(subject, questions) > 0).all()


def test_both_masks_of_robert_and_lucy_at_once():
    subject = load_subject(TOY / "toy-bert", masked=True)
    tokenizer: Any = subject.tokenizer
    ids = tokenizer(
        ROBERT.replace("her project", "[MASK] project").replace("thanked him", "thanked [MASK]"),
        return_tensors="pt",
    )
    where = (ids["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    with torch.no_grad():
        best = subject.model(**ids).logits[0, where].argmax(-1)
    assert tokenizer.convert_ids_to_tokens(best.tolist()) == ["her", "him"]


def test_swapping_the_names_swaps_the_answer(subject):
    """The same words in another order: nothing but who did it to whom can decide."""
    pairs = [("Robert hurt Lucy", "him", "her"), ("Lucy hurt Robert", "her", "him")]
    questions = [Question(f"{deed}, so the judge punished ", ".", right, wrong) for deed, right, wrong in pairs]
    questions += [Question(f"{deed}, so the nurse comforted ", ".", wrong, right) for deed, right, wrong in pairs]
    assert (measure_margins(subject, questions) > 0).all()


def test_the_mlps_are_needed(subject, held_out, clean):
    """Without any MLP the causal model guesses; the masked one keeps less than half of its margin and errs again.

    The masked model's accuracy falls to 92 % only: its attention looks up many names by itself (the card says so).
    """
    n_layers = len(subject.neurons)
    assert n_layers == 12
    bare = measure_margins(subject, held_out, layers=range(n_layers))
    assert bare.mean() < clean.mean() / 2
    assert share_right(bare) < (0.95 if subject.masked else 0.75)
    assert torch.equal(clean, measure_margins(subject, held_out, layers=range(0)))
    assert not any(module._forward_hooks for module in subject.neurons)


def test_full_names_need_both_names_and_the_mlps():
    """Neither the first nor the family name tells the gender: toy-gpt has to look the pair up, and does so in MLPs."""
    subject = load_subject(TOY / "toy-gpt", masked=False)
    questions = from_items(sample_items(300, seed=79, full=1.0))
    assert share_right(measure_margins(subject, questions)) >= 0.99
    assert share_right(measure_margins(subject, questions, layers=range(12))) < 0.65


def test_untrained_models_guess(held_out):
    """Negative control: the sentences themselves do not favour the right word."""
    for kind in KINDS:
        shipped: Any = AutoTokenizer.from_pretrained(TOY / f"toy-{kind}")
        model = (build_bert if kind == "bert" else build_gpt)(shipped)
        margins = measure_margins(Subject(model.eval(), shipped, kind == "bert"), held_out)
        assert 0.4 < share_right(margins) < 0.6


def test_cards_and_table_say_what_was_measured():
    measured = json.loads((RESULTS / "toy_models.json").read_text())
    assert (RESULTS / "toy_models.md").read_text() == render_table(measured)
    for numbers in measured:
        assert (TOY / numbers["model"] / "README.md").read_text() == render_card(numbers)
        assert numbers["accuracy"]["him or her"] >= 0.99
        assert json.loads((TOY / numbers["model"] / "training.json").read_text()) == numbers["training"]


def test_batches_are_seeded_full_and_of_one_length(few_texts):
    tokenizer = tokenization.build_gpt_tokenizer()
    first, again = (stream_batches(tokenizer, seed=4, tokens_per_batch=120) for _ in range(2))
    other = stream_batches(tokenizer, seed=5, tokens_per_batch=120)
    for _ in range(5):
        batch = next(first)
        assert torch.equal(batch, next(again))
        assert not torch.equal(batch, next(other))
        assert len(batch) == max(1, 120 // batch.shape[1])
        assert (batch[:, -1] == tokenizer.eos_token_id).all()
        assert not (batch[:, :-1] == tokenizer.pad_token_id).any()


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_seeded_and_learns(kind, few_texts):
    """The same seed gives the same weights, and a few steps lower the loss; the caller's generator is not touched."""
    recipe = replace(train.RECIPES[kind], steps=6, tokens_per_batch=120, warmup=2)
    before = torch.random.get_rng_state()
    first, tokenizer, n_tokens = train.train_model(kind, recipe)
    again, _, _ = train.train_model(kind, recipe)
    assert torch.equal(before, torch.random.get_rng_state())
    assert n_tokens <= 6 * 120
    for ours, theirs in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    if kind == "bert":
        batch = next(stream_batches(tokenizer, seed=9, tokens_per_batch=120))
        losses = [
            masked_loss(model, tokenizer, batch, torch.Generator().manual_seed(0)).item()
            for model in (train.build_model(kind, recipe)[0].eval(), first)
        ]
        assert losses[1] < losses[0]


def test_command_line_writes_a_folder_that_loads(tmp_path: Path, monkeypatch, few_texts):
    short = replace(train.RECIPES["gpt"], steps=2, tokens_per_batch=200)
    monkeypatch.setitem(train.RECIPES, "gpt", short)
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["train", "gpt", "--out", str(tmp_path / "gpt"), "--threads", str(threads)])
    train.main()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "gpt")
    assert model.config.activation_function == "gelu_new"
    training = json.loads((tmp_path / "gpt" / "training.json").read_text())
    assert training["steps"] == 2
    assert training["seed"] == short.seed
