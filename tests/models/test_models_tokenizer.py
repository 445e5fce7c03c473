"""A loaded model's tokenizer: BOS, padding, vocabularies without special tokens, none at all."""

import shutil
from typing import Any

import pytest
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tlesion.models import load_model

WORDS = ["a", "cat", "sat", "there", "he", "saw", "it"]


@pytest.fixture
def wordy(checkpoints):
    """A tokenizer in memory whose vocabulary has words and nothing else."""
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.mark.parametrize(("family", "by_default"), [("gpt2", True), ("gpt-neo", True), ("gpt-neox", False)])
def test_bos_is_prepended_as_transformer_lens_has_it(checkpoint_folder, family, by_default):
    model: Any = load_model(checkpoint_folder(family))
    bare = model.to_tokens("We saw him", prepend_bos=False)[0].tolist()
    with_bos = model.to_tokens("We saw him", prepend_bos=True)[0].tolist()
    assert with_bos == [model.tokenizer.bos_token_id, *bare]
    assert model.to_tokens("We saw him")[0].tolist() == (with_bos if by_default else bare)


def test_llama_brings_its_own_bos(checkpoint_folder, checkpoints):
    model: Any = load_model(checkpoint_folder("llama"))
    theirs = checkpoints.make_tokenizer("llama")
    assert model.to_tokens("We saw him")[0].tolist() == theirs("We saw him")["input_ids"]
    bare = theirs("We saw him", add_special_tokens=False)["input_ids"]
    assert model.to_tokens("We saw him", prepend_bos=False)[0].tolist() == bare


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_batches_are_padded_on_the_right_with_a_real_token(checkpoint_folder, family):
    model: Any = load_model(checkpoint_folder(family))
    tokens = model.to_tokens(["We saw him in the garden", "We"])
    assert tokens.shape[0] == 2
    assert tokens[1, -1] == model.tokenizer.pad_token_id == model.tokenizer.eos_token_id
    assert tokens[1, 1] == model.to_tokens("We")[0, 1]


def test_bert_tokens_come_with_types_and_mask(checkpoint_folder):
    model: Any = load_model(checkpoint_folder("bert"))
    tokens, types, mask = model.to_tokens(["We saw [MASK] .", "We saw [MASK] in the garden ."])
    assert (tokens == model.tokenizer.mask_token_id).sum() == 2
    assert types.eq(0).all()
    assert mask.sum(1).tolist() == [6, 9]


def test_generic_tokenizer_class_on_bert(checkpoint_folder, checkpoints):
    """Checkpoints saved with a generic class leave out token types, which HookedEncoder reads."""
    backend = checkpoints.make_tokenizer("bert").backend_tokenizer
    generic = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", mask_token="[MASK]", model_input_names=["input_ids"]
    )
    model: Any = load_model(checkpoint_folder("bert"), tokenizer=generic)
    assert model.to_tokens("We saw him.")[1].eq(0).all()
    assert generic.model_input_names == ["input_ids"], "the caller's tokenizer stays as it was"


def test_vocabulary_without_special_tokens(checkpoints, wordy):
    """TransformerLens would prepend the letters of "<|endoftext|>" and could not pad."""
    model: Any = load_model(hf_model=checkpoints.make_model("gpt2", len(WORDS)), tokenizer=wordy)
    tokens = model.to_tokens(["a cat sat there", "he saw it"])
    assert tokens.tolist() == [[0, 1, 2, 3], [4, 5, 6, 0]]
    assert model.tokenizer.bos_token is None
    assert model.tokenizer.pad_token == "a"
    assert wordy.pad_token is None, "the caller's tokenizer stays as it was"


def test_added_tokens_survive(checkpoints):
    tokenizer = checkpoints.make_tokenizer("gpt2")
    tokenizer.add_tokens(["<blank>"])
    model: Any = load_model(hf_model=checkpoints.make_model("gpt2", len(tokenizer)), tokenizer=tokenizer)
    text = "We saw <blank> today"
    assert model.to_tokens(text, prepend_bos=False)[0].tolist() == tokenizer(text)["input_ids"]
    assert len(tokenizer) - 1 in tokenizer(text)["input_ids"]


def test_padding_side_is_kept(checkpoint_folder):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_folder("gpt2"), padding_side="left")
    model: Any = load_model(checkpoint_folder("gpt2"), tokenizer=tokenizer)
    assert model.tokenizer.padding_side == "left"


def test_tokenizer_given_wins_over_the_folders(checkpoint_folder, wordy):
    model: Any = load_model(checkpoint_folder("gpt2"), tokenizer=wordy)
    assert model.to_tokens("he saw it").tolist() == [[4, 5, 6]]


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_folder_without_tokenizer_takes_tokens(checkpoint_folder, tmp_path, family):
    folder = shutil.copytree(checkpoint_folder(family), tmp_path / "bare")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    model: Any = load_model(folder)
    assert model.tokenizer is None
    whole: Any = load_model(checkpoint_folder(family))
    tokens = whole.to_tokens("We saw him")
    tokens = tokens if family == "gpt2" else tokens[0]
    assert model(tokens).shape == (*tokens.shape, model.cfg.d_vocab_out)


def test_tokenizer_is_called_after_where_it_came_from(checkpoint_folder):
    folder = checkpoint_folder("gpt2")
    tokenizer: Any = load_model(folder).tokenizer
    assert tokenizer.name_or_path == tokenizer.init_kwargs["name_or_path"] == str(folder)
