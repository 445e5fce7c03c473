"""Compare a hooked model with the Hugging Face model it was made from, on one sequence.

The sequence is short, unless the configuration says that the model works in another way further on: beyond an attention
window, or beyond the context from which a rotary embedding is scaled. Then it reaches past that point, as far as that
is affordable. What the probe cannot reach has to be settled by the two configurations, or the model is refused.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from tlesion.anatomy.model import Model, attention_windows, is_masked
from tlesion.models.lengths import Lengths, lengths_of

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}
"""Largest relative difference, by the coarser of the two dtypes. Rounding alone reached 1.3e-6 in float32, 3e-3 in
float16 and 2.4e-2 in bfloat16, in random models of 24 to 36 layers; lost biases or an ignored scaling of the rotary
embedding make 0.4 and more. In float64 Hugging Face still computes parts of the attention in float32."""

LENGTH = 24
"""Tokens in the probe, and how far it reaches past a point from which on a model works in another way."""

LONGEST = 1088
"""Tokens in the longest probe."""

BUDGET = 2 * 10**11
"""Weights times tokens, at most, in a probe that is longer than `LENGTH`: seconds on a CPU."""


@torch.no_grad()
def check_agreement(model: Model, hf_model: PreTrainedModel, *, name: str, logits: bool) -> None:
    """Refuse a conversion that does not compute what the original computes.

    Compared are the last hidden states (after the final norm, if there is one) and, where there are any, the
    logits: `rms(ours - theirs) / rms(theirs)`, over all positions and over the last `LENGTH`.

    Raises:
        ValueError: If the difference exceeds `TOLERANCE`; or if the two may differ beyond what a probe can reach.
    """
    lengths = lengths_of(hf_model.config)
    tokens = _probe_tokens(model, _length(model, lengths))
    allowed = max(TOLERANCE[model.cfg.dtype], TOLERANCE[hf_model.dtype])
    # In half precision rounding hides what a window does: there the probe settles nothing that lies further on.
    exact = allowed <= TOLERANCE[torch.float32]
    _require_reached(model, lengths, reached=tokens.shape[1] if exact else 0, name=name)
    in_training = [module for module in hf_model.modules() if module.training]
    hf_model.eval()
    try:
        pairs = {"hidden states": (_last_state(model, tokens), hf_model.base_model(tokens).last_hidden_state)}
        if logits:
            pairs["logits"] = (model(tokens), _their_logits(hf_model(tokens)))
    finally:
        for module in in_training:
            module.training = True
    for what, (ours, theirs) in pairs.items():
        whole = relative_difference(ours, theirs)
        difference = max(whole, relative_difference(ours[:, -LENGTH:], theirs[:, -LENGTH:]))
        # Written so that NaN is refused as well.
        if not (whole <= allowed and difference <= allowed):
            raise ValueError(
                f"TransformerLens' version of {name!r} ({type(hf_model).__name__}) does not compute what the "
                f"original computes: its {what} differ by {difference:.2g} of their root mean square in a text of "
                f"{tokens.shape[1]} tokens (rounding explains {allowed:.0e}); something in its configuration has no "
                "counterpart there, so its results would not be this model's"
            )


def relative_difference(ours: Float[Tensor, "*shape"], theirs: Float[Tensor, "*shape"]) -> float:
    """Root mean square of the difference, relative to that of the second tensor."""
    a, b = ours.double(), theirs.double()
    return float((a - b).square().mean().sqrt() / b.square().mean().sqrt())


def _length(model: Model, lengths: Lengths) -> int:
    """The longest probe that is worth its while and affordable."""
    n_ctx, n_weights = model.cfg.n_ctx, sum(parameter.numel() for parameter in model.parameters())
    affordable = max(LENGTH, min(LONGEST, BUDGET // n_weights))
    wanted = [LENGTH, *(limit + LENGTH for limit in lengths.limits if limit < n_ctx)]
    if lengths.scaled_rotary:
        wanted.append(10 * LENGTH)  # Slow rotations turn far enough to be told apart.
    return min(n_ctx, max(length for length in wanted if length <= affordable))


def _require_reached(model: Model, lengths: Lengths, *, reached: int, name: str) -> None:
    """Refuse what lies beyond the probe, and is not the same in both configurations.

    Raises:
        ValueError: An attention window, or a scaled rotary embedding, that TransformerLens may not have.
    """
    n_ctx = model.cfg.n_ctx
    beyond = [limit for limit in lengths.limits if reached <= limit < n_ctx]
    if not beyond:
        return
    limit = min(beyond)
    way_out = (
        f"for texts of up to {limit} tokens, set its max_position_embeddings to {limit} (in config.json, or in "
        "hf_model.config), and the rest of its context is out of reach"
    )
    theirs, ours = (_effective(windows, n_ctx) for windows in (lengths.windows, attention_windows(model)))
    if theirs and theirs != ours:
        raise ValueError(
            f"attention windows of {name!r} are {_said(theirs)} in its layers, and {_said(ours)} in TransformerLens' "
            f"version, whose results beyond {limit} tokens would not be this model's; {way_out}"
        )
    if lengths.rotary_limit in beyond:
        raise ValueError(
            f"the rotary embedding of {name!r} ({lengths.scaled_rotary}) changes for texts of more than {limit} "
            f"tokens, and TransformerLens' version is compared exactly up to {reached} only; {way_out}"
        )


def _effective(windows: tuple[int | None, ...], n_ctx: int) -> tuple[int | None, ...]:
    """Windows that are shorter than the context; nothing where no layer has one."""
    shorter = tuple(window if window is not None and window < n_ctx else None for window in windows)
    return shorter if any(window is not None for window in shorter) else ()


def _said(windows: tuple[int | None, ...]) -> str:
    found = sorted({window for window in windows if window is not None})
    where = [layer for layer, window in enumerate(windows) if window is not None]
    return f"{', '.join(map(str, found))} tokens long (in layers {where})" if found else "absent"


def _probe_tokens(model: Model, length: int) -> Int[Tensor, "1 pos"]:
    """Spread tokens over the vocabulary; a prime step repeats none of them soon."""
    steps = torch.arange(length, device=model.cfg.device)
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
