"""A text of the model's own: tokens sampled from it after an opening."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from tlesion.anatomy.assumptions import as_long, assumptions_of
from tlesion.anatomy.cache import Cache, empty_cache
from tlesion.anatomy.model import device_of
from tlesion.checks import shown
from tlesion.hooks import Model
from tlesion.models import require_logits
from tlesion.public import public
from tlesion.stimuli.files import shipped
from tlesion.studies.common.walk import inference
from tlesion.tokens import encode, is_masked


def openings() -> tuple[str, ...]:
    """Openings of texts that ship with the package, for :func:`generate_tokens`.

    Returns:
        The openings, in a fixed order.

    Example:
        >>> openings()[0]
        'I think the world could be better if'
    """
    return tuple(shipped("openings.txt").read_text(encoding="utf-8").splitlines())


@public
def generate_tokens(
    model: Model,
    opening: str,
    n_tokens: int = 200,
    *,
    temperature: float | int = 1.0,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> Int[Tensor, " pos"]:
    """Let a causal model continue an opening.

    Args:
        model: A causal model.
        opening: The first words.
        n_tokens: How many tokens to add. The end-of-text token is never drawn, so exactly this many are added.
        temperature: What logits are divided by before sampling; 0 always takes the likeliest token (greedy).
        seed: Of the sampling. No global random state is read or set.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Token ids of opening and continuation: ids, because the same text may be cut into other tokens when it is
        read again. They go straight into :func:`tlesion.context_modulation`.

    Raises:
        ValueError: A masked model; an empty opening; more tokens than the model's context holds; a negative
            temperature or seed.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> tokens = tlesion.generate_tokens(model, "I think the world could be better if", 10, seed=1)
        >>> tokens.shape == (len(model.to_tokens("I think the world could be better if")[0]) + 10,)
        True
    """
    if is_masked(model):
        raise ValueError(
            "a masked model does not continue texts; give a causal model, or a text of your own in place of an opening"
        )
    require_logits(model, "generating a text")
    if not isinstance(opening, str):
        raise TypeError(f"the opening is a {shown(opening)}; give the first words, such as {openings()[0]!r}")
    if temperature < 0 or seed < 0 or n_tokens < 1:
        raise ValueError(
            f"temperature {temperature}, seed {seed} and n_tokens {n_tokens}: temperature and seed are 0 or more, "
            "and at least one token is generated"
        )
    ids = encode(model, opening, prepend_bos=prepend_bos).ids
    if len(ids) + n_tokens > model.cfg.n_ctx:
        raise ValueError(
            f"an opening of {len(ids)} tokens and {n_tokens} more are longer than this model's context of "
            f"{model.cfg.n_ctx}; generate at most {model.cfg.n_ctx - len(ids)}"
        )
    return _continued(model, ids, n_tokens, temperature=temperature, generator=torch.Generator().manual_seed(seed))


def _continued(
    model: Model, ids: Int[Tensor, " pos"], n_tokens: int, *, temperature: float | int, generator: torch.Generator
) -> Int[Tensor, " longer"]:
    device = device_of(model)
    # Keys and values are kept from token to token only where that gives what a pass over the whole text gives.
    holds = assumptions_of(model, [as_long(ids, len(ids) + n_tokens)])
    cache = None if holds.against or holds.prefix else empty_cache(model)
    end = getattr(model.tokenizer, "eos_token_id", None)
    drawn, new = ids, ids
    with inference(model):
        # disable=None: a bar on a terminal, nothing in a log file.
        for _ in tqdm(range(n_tokens), desc="generating", unit="token", disable=None, leave=False):
            logits = _next_logits(model, drawn[None].to(device), new[None].to(device), cache)
            if end is not None and end < len(logits):
                logits[end] = -torch.inf
            new = _draw(logits, temperature, generator)
            drawn = torch.cat([drawn, new])
    return drawn


def _next_logits(
    model: Model, drawn: Int[Tensor, "1 pos"], new: Int[Tensor, "1 few"], cache: Cache | None
) -> Float[Tensor, " token"]:
    """Logits of what comes next, on the CPU: after the new tokens beside what is kept, or after the whole text."""
    logits: Tensor
    if cache is None:
        logits = model.run_with_hooks(drawn, fwd_hooks=[])
    else:
        # Without a mask TransformerLens makes one with a cache, and leaves out whatever looks like padding.
        mask = torch.ones_like(new)
        logits = model.run_with_hooks(new, fwd_hooks=[], past_kv_cache=cache, attention_mask=mask)
    return logits[0, -1].float().cpu()


def _draw(logits: Float[Tensor, " token"], temperature: float | int, generator: torch.Generator) -> Int[Tensor, " one"]:
    if temperature == 0:
        return logits.argmax()[None]
    return torch.multinomial((logits.double() / temperature).softmax(dim=0), 1, generator=generator)
