"""Models of the usual shapes with random weights: speed depends on shape, and no weights can be downloaded here."""

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import tlesion

# Their ids are 0 to 4. No special token may begin a made-up word: it would be cut off as a token of its own.
SPECIAL = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
HIM, HER = 5, 6


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; ``masked`` is BERT's architecture, otherwise GPT-2's."""

    name: str
    masked: bool
    n_layers: int
    d_model: int
    n_heads: int
    d_vocab: int

    @property
    def d_mlp(self) -> int:
        return 4 * self.d_model


SHAPES = {
    "gpt2-medium": Shape("gpt2-medium", False, 24, 1024, 16, 50257),
    "gpt2-xl": Shape("gpt2-xl", False, 48, 1600, 25, 50257),
    "bert-large": Shape("bert-large", True, 24, 1024, 16, 30522),
}
TINY = {
    "gpt2-medium": Shape("tiny causal", False, 4, 64, 4, 307),
    "gpt2-xl": Shape("tiny causal", False, 6, 64, 4, 307),
    "bert-large": Shape("tiny masked", True, 4, 64, 4, 307),
}


def tokenizer_of(shape: Shape) -> PreTrainedTokenizerFast:
    """A tokenizer of made-up words, "him" and "her": some libraries refuse a model without one."""
    names = [*SPECIAL.values(), "him", "her"]
    names += [f"w{i}" for i in range(len(names), shape.d_vocab)]
    tokenizer = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


def hugging_face(shape: Shape) -> Any:
    """A Hugging Face model of that shape, weights drawn with seed 0 without touching the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if shape.masked:
            sizes = {"hidden_size": shape.d_model, "intermediate_size": shape.d_mlp, "vocab_size": shape.d_vocab}
            counts = {"num_hidden_layers": shape.n_layers, "num_attention_heads": shape.n_heads}
            model = BertForMaskedLM(BertConfig(**sizes, **counts))
        else:
            sizes = {"n_embd": shape.d_model, "n_layer": shape.n_layers, "n_head": shape.n_heads}
            model = GPT2LMHeadModel(GPT2Config(**sizes, vocab_size=shape.d_vocab, bos_token_id=2, eos_token_id=3))
    return model.eval().requires_grad_(False)


def hooked(shape: Shape, hf_model: Any) -> Any:
    """The same weights as TransformerLens has them."""
    return tlesion.load_model(hf_model=hf_model, tokenizer=tokenizer_of(shape)).requires_grad_(False)


def plain_layout(tl: Any) -> Any:
    """TransformerLens' weights stored as TransformerLens itself stores them."""
    for parameter in tl.parameters():
        parameter.data = parameter.data.contiguous()
    return tl
