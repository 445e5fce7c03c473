"""The two shipped architectures, at their first random weights, and what each is trained to predict."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from benchmarks.toy_models.tokenization import CONTEXT

# BERT and GPT-2 draw their first weights with 0.02.
INITIAL_SCALE = 0.02
LAYERS, D_MODEL, HEADS, D_MLP = 12, 128, 4, 512
PRONOUNS = ("he", "she", "him", "her", "his", "himself", "herself")
# GPT-2's GELU; training uses the same function in one fused step instead of eight.
GPT_ACTIVATION, GPT_TRAINING_ACTIVATION = "gelu_new", "gelu_pytorch_tanh"
# Masked language model: share of the pronouns and of the other words that are hidden.
MASK_PRONOUN, MASK_WORD = 0.6, 0.10
# How much more a pronoun counts in the loss than another word.
PRONOUN_WEIGHT = 8.0
# Share of the causal model's training texts that begin with <|endoftext|>.
WITH_BOS = 0.7
# How far from 0 the positions of a batch may start.
FARTHEST = 100


def build_bert(tokenizer: PreTrainedTokenizerFast, *, initial_scale: float = INITIAL_SCALE) -> BertForMaskedLM:
    """A BERT with random weights (drawn from torch's current generator) for this tokenizer."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=D_MODEL,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=D_MLP,
            max_position_embeddings=CONTEXT,
            initializer_range=initial_scale,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_gpt(tokenizer: PreTrainedTokenizerFast, *, initial_scale: float = INITIAL_SCALE) -> GPT2LMHeadModel:
    """A GPT-2 with random weights (drawn from torch's current generator) for this tokenizer."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=D_MODEL,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=D_MLP,
            initializer_range=initial_scale,
            activation_function=GPT_TRAINING_ACTIVATION,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def pronoun_ids(tokenizer: PreTrainedTokenizerFast) -> Int[Tensor, " pronoun"]:
    """The token ids of he, she, him, her, his, himself, herself inside a text."""
    space = "Ġ" if tokenizer.mask_token is None else ""
    return torch.tensor(tokenizer.convert_tokens_to_ids([space + word for word in PRONOUNS]))


def masked_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Int[Tensor, "text token"],
    generator: torch.Generator,
    shifted: float = 0.0,
) -> Float[Tensor, ""]:
    """Weighted cross-entropy of hidden words: the masked language model's loss on texts of one length."""
    is_pronoun = torch.isin(tokens, pronoun_ids(tokenizer))
    chance = torch.where(is_pronoun, MASK_PRONOUN, MASK_WORD)
    inner = torch.zeros_like(is_pronoun)
    inner[:, 1:-1] = True
    hidden = (torch.rand(tokens.shape, generator=generator) < chance) & inner
    visible = tokens.masked_fill(hidden, tokenizer.mask_token_id)
    positions = _draw_positions(tokens.shape[1], generator, shifted)
    states = model.bert(visible, position_ids=positions).last_hidden_state
    return _weighted_loss(model.cls(states[hidden]), tokens[hidden], is_pronoun[hidden])


def causal_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Int[Tensor, "text token"],
    generator: torch.Generator,
    shifted: float = 0.0,
) -> Float[Tensor, ""]:
    """Weighted cross-entropy of each next word: the causal language model's loss on texts of one length."""
    if torch.rand((), generator=generator) < WITH_BOS:
        tokens = F.pad(tokens, (1, 0), value=tokenizer.bos_token_id)
    positions = _draw_positions(tokens.shape[1] - 1, generator, shifted)
    logits = model(tokens[:, :-1], position_ids=positions).logits
    is_pronoun = torch.isin(tokens, pronoun_ids(tokenizer))
    return _weighted_loss(logits.flatten(0, 1), tokens[:, 1:].flatten(), is_pronoun[:, 1:].flatten())


def _draw_positions(n_tokens: int, generator: torch.Generator, shifted: float) -> Int[Tensor, "1 token"]:
    start = 0
    if torch.rand((), generator=generator) < shifted:
        start = int(torch.randint(max(1, min(FARTHEST, CONTEXT - n_tokens)), (), generator=generator))
    return torch.arange(start, start + n_tokens)[None]


def _weighted_loss(
    logits: Float[Tensor, "word vocabulary"], targets: Int[Tensor, " word"], is_pronoun: Tensor
) -> Float[Tensor, ""]:
    weights = torch.where(is_pronoun, PRONOUN_WEIGHT, 1.0)
    losses = F.cross_entropy(logits, targets, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)
