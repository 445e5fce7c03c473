"""Small Hugging Face checkpoints with random weights and a real tokenizer, written to disk for tests."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

SENTENCES = (
    "Robert helped Lucy with her project and she thanked him for his hard work.",
    "We saw him in the garden today, and we saw her by the river yesterday.",
    "The old teacher gave the boy an apple and told him to share it with the girl.",
    "If the nurse had called her brother, he would have brought the blue cup himself.",
    "I think the world could be better if people listened to each other more often.",
)
"""What the tokenizers are made from; their words are single tokens."""

END = "<|endoftext|>"


def make_tokenizer(family: str) -> PreTrainedTokenizerBase:
    """Build a tokenizer of the kind that the family is published with."""
    if family.startswith("bert"):
        return _word_pieces()
    bytes_ = _byte_pairs()
    if family == "llama":
        return PreTrainedTokenizerFast(tokenizer_object=bytes_, bos_token="<s>", eos_token="</s>", add_bos_token=True)
    kind = PreTrainedTokenizerFast if family == "gpt-neox" else GPT2Tokenizer
    return kind(tokenizer_object=bytes_, bos_token=END, eos_token=END, unk_token=END)


def _word_pieces() -> PreTrainedTokenizerBase:
    words = sorted({word for text in SENTENCES for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *words])
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})


def _byte_pairs() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[END, "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def make_checkpoint(family: str, folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """Write config, random weights and tokenizer of a small model of this family into `folder`.

    Args:
        family: "bert", "bert-base-model" (no heads), "gpt2", "gpt-neo", "gpt-neox" or "llama".
        folder: Where to; made if need be.
        seed: Of the weights. They are drawn wide enough for attention to be far from uniform.
        sizes: Fields of the configuration to set otherwise.
    """
    tokenizer = make_tokenizer(family)
    model = make_model(family, len(tokenizer), seed=seed, **sizes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def make_model(family: str, d_vocab: int, *, seed: int = 0, **sizes: Any) -> PreTrainedModel:
    """Build the model alone, in eval mode."""
    model_class, config_class, fields = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        model = model_class(config_class(vocab_size=d_vocab, **(fields | sizes)))
    draw_weights(model, seed=seed)
    return model.eval()


@torch.no_grad()
def draw_weights(model: PreTrainedModel, *, seed: int) -> None:
    """Draw every parameter anew: no bias is zero and no scale is one, as they would be in a fresh model."""
    generator = np.random.default_rng(seed)  # the same weights on every processor, as torch does not promise
    for name, parameter in model.named_parameters():
        drawn = torch.from_numpy(generator.standard_normal(tuple(parameter.shape), dtype=np.float32))
        is_scale = parameter.ndim == 1 and name.endswith("weight")
        parameter.copy_(1 + 0.2 * drawn if is_scale else 0.2 * drawn)


_ENDS = {"bos_token_id": 0, "eos_token_id": 0}

FAMILIES: dict[str, tuple[type[PreTrainedModel], type, dict[str, Any]]] = {
    "bert": (
        BertForMaskedLM,
        BertConfig,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 64,
        },
    ),
    "gpt2": (GPT2LMHeadModel, GPT2Config, {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, **_ENDS}),
    "gpt-neo": (
        GPTNeoForCausalLM,
        GPTNeoConfig,
        {
            "hidden_size": 32,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 4,
            "max_position_embeddings": 64,
            **_ENDS,
        },
    ),
    "gpt-neox": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            "rotary_pct": 0.5,
            **_ENDS,
        },
    ),
    "llama": (
        LlamaForCausalLM,
        LlamaConfig,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
}
FAMILIES["bert-base-model"] = (BertModel, *FAMILIES["bert"][1:])
