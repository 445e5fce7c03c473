"""Compare a hooked model with the Hugging Face model it was made from, on one short sequence."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from tlesion.anatomy.model import Model, is_masked

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}
"""Largest relative difference, by the coarser of the two dtypes. Rounding alone reached 1.3e-6 in float32, 3e-3 in
float16 and 2.4e-2 in bfloat16, in random models of 24 to 36 layers; lost biases or an ignored scaling of the rotary
embedding make 0.4 and more. In float64 Hugging Face still computes parts of the attention in float32."""

LENGTH = 24
"""Tokens in the probe."""


@torch.no_grad()
def check_agreement(model: Model, hf_model: PreTrainedModel, *, name: str, logits: bool) -> None:
    """Refuse a conversion that does not compute what the original computes.

    Compared are the last hidden states (after the final norm, if there is one) and, where there are any, the
    logits: `rms(ours - theirs) / rms(theirs)`.

    Raises:
        ValueError: If the difference exceeds `TOLERANCE`.
    """
    tokens = _probe_tokens(model)
    in_training = [module for module in hf_model.modules() if module.training]
    hf_model.eval()
    try:
        pairs = {"hidden states": (_last_state(model, tokens), hf_model.base_model(tokens).last_hidden_state)}
        if logits:
            pairs["logits"] = (model(tokens), _their_logits(hf_model(tokens)))
    finally:
        for module in in_training:
            module.training = True
    allowed = max(TOLERANCE[model.cfg.dtype], TOLERANCE[hf_model.dtype])
    for what, (ours, theirs) in pairs.items():
        difference = relative_difference(ours, theirs)
        if not difference <= allowed:
            raise ValueError(
                f"TransformerLens' version of {name!r} ({type(hf_model).__name__}) does not compute what the "
                f"original computes: its {what} differ by {difference:.2g} of their root mean square "
                f"(rounding explains {allowed:.0e}); something in its configuration has no counterpart there, "
                "so its results would not be this model's"
            )


def relative_difference(ours: Float[Tensor, "*shape"], theirs: Float[Tensor, "*shape"]) -> float:
    """Root mean square of the difference, relative to that of the second tensor."""
    a, b = ours.double(), theirs.double()
    return float((a - b).square().mean().sqrt() / b.square().mean().sqrt())


def _probe_tokens(model: Model) -> Int[Tensor, "1 pos"]:
    """Spread tokens over the vocabulary; a prime step repeats none of them soon."""
    steps = torch.arange(min(LENGTH, model.cfg.n_ctx), device=model.cfg.device)
    return ((7919 * steps + 1) % model.cfg.d_vocab)[None]


def _last_state(model: Model, tokens: Int[Tensor, "1 pos"]) -> Float[Tensor, "1 pos d_model"]:
    if is_masked(model):
        return model.encoder_output(tokens)
    state: Tensor = model.ln_final(model(tokens, stop_at_layer=model.cfg.n_layers))
    return state


def _their_logits(output: Any) -> Float[Tensor, "1 pos d_vocab"]:
    # A BERT with both pre-training heads calls them otherwise.
    logits: Tensor = output["prediction_logits" if "prediction_logits" in output else "logits"]
    return logits
