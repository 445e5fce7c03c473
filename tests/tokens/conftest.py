"""Small tokenizers of many kinds, and untrained models that read with them."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import tlesion

WORDS = "she thanked him her for the apple we saw today in garden . , said to boy was it who".split()


class Pair(NamedTuple):
    """A model, and the Hugging Face model and tokenizer that it was made from."""

    model: Any
    hf: Any
    tokenizer: Any

    def logits(self, ids: list[int]) -> torch.Tensor:
        """Hugging Face's logits after (causal) or at (masked) every token."""
        with torch.no_grad():
            return self.hf(torch.tensor([ids])).logits[0].double()


def words_tokenizer(template: str | None = None, **special: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words; ``template`` is what it puts around a text, such as ``"<s> $A </s>"``."""
    names = dict.fromkeys(["[PAD]", "[UNK]", "<s>", "</s>", "[CLS]", "[SEP]", *special.values(), *WORDS])
    ids = {name: i for i, name in enumerate(names)}
    backend = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        around = [(name, ids[name]) for name in template.split() if name != "$A"]
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", **special)


def pieces_tokenizer(pieces: list[str], *, scheme: str = "always", **special: Any) -> PreTrainedTokenizerFast:
    """A SentencePiece-like tokenizer: the likeliest pieces, with the space before a word as ``▁``."""
    letters = sorted({letter for piece in pieces for letter in piece} | {"▁"})
    vocabulary = [("<unk>", 0.0), *((piece, -2.0) for piece in pieces), *((letter, -10.0) for letter in letters)]
    vocabulary = list(dict(vocabulary).items())
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", **special)


def byte_level_tokenizer(toy_gpt: Any, **special: Any) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer of the shipped causal model, without its special tokens' rules."""
    backend = copy.deepcopy(toy_gpt.tokenizer.backend_tokenizer)
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def masked_byte_level_tokenizer(toy_gpt: Any) -> PreTrainedTokenizerFast:
    """A tokenizer like RoBERTa's: its mask token takes the space before it along."""
    mask = AddedToken("<mask>", lstrip=True, special=True)
    tokenizer = byte_level_tokenizer(toy_gpt, mask_token=mask, cls_token="<cls>", sep_token="<sep>", pad_token="<pad>")
    around = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<cls>", "<sep>")]
    template = processors.TemplateProcessing(single="<cls> $A <sep>", special_tokens=around)
    tokenizer.backend_tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), template]
    )
    return tokenizer


def wordpiece_tokenizer(pieces: list[str], *, uncased: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer like BERT's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = {name: i for i, name in enumerate(dict.fromkeys([*special, *pieces]))}
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=uncased, strip_accents=uncased)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def causal(tokenizer: Any, *, size: int | None = None, n_positions: int = 32) -> Pair:
    """An untrained GPT-2 with a tokenizer."""
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=size or len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=n_positions,
        initializer_range=0.5, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    hf = GPT2LMHeadModel(config).eval()
    torch.random.set_rng_state(torch_state)
    return Pair(tlesion.load_model(hf_model=hf, tokenizer=tokenizer), hf, tokenizer)


def masked(tokenizer: Any, *, size: int | None = None) -> Pair:
    """An untrained BERT with a tokenizer."""
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size or len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    hf = BertForMaskedLM(config).eval()
    torch.random.set_rng_state(torch_state)
    return Pair(tlesion.load_model(hf_model=hf, tokenizer=tokenizer), hf, tokenizer)


class Make(NamedTuple):
    """The makers above, for tests that cannot import this file."""

    words: Callable[..., Any] = words_tokenizer
    pieces: Callable[..., Any] = pieces_tokenizer
    byte_level: Callable[..., Any] = byte_level_tokenizer
    masked_byte_level: Callable[..., Any] = masked_byte_level_tokenizer
    wordpiece: Callable[..., Any] = wordpiece_tokenizer
    causal: Callable[..., Pair] = causal
    masked: Callable[..., Pair] = masked


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
