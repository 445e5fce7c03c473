"""Measurements of what a shortcut through a model relies on: a few rows of one text through its blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tlesion.anatomy.attention import attending_to_prefix
from tlesion.anatomy.cache import empty_layer, repeated
from tlesion.anatomy.evaluating import in_eval_mode
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import Model, blocks
from tlesion.anatomy.runners import CausalRunner, Runner, runner_for, unembed

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 1e-1}
"""Largest difference at a position, relative to the root mean square: of another batch, or another order of sums."""

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)


@dataclass(frozen=True)
class Assumptions:
    """Why a shortcut would not be exact for a model; empty where it is.

    Attributes:
        chain: Blocks one after the other, several rows at once, in place of the model's own forward pass.
        padding: Rows of different lengths in one batch.
        later: In a causal model, that what comes later in a text changes nothing before it.
        prefix: In a causal model, the end of a text run alone, beside kept keys and values of its beginning.
        doubt: Something that may work on other texts than the one that was looked at: a shortcut that is not asked for
            by name is not taken.
    """

    chain: str = ""
    padding: str = ""
    later: str = ""
    prefix: str = ""
    doubt: str = ""

    @property
    def against(self) -> str:
        """Why the model's own forward pass is the only one to be sure of; empty where blocks can stand for it."""
        return self.chain or self.doubt


@torch.no_grad()
def measured(model: Model, ids: Int[Tensor, " pos"], *, short: int) -> Assumptions:
    """Measure what holds of a model.

    Args:
        model: The model, without hooks and changes of the user's.
        ids: A text.
        short: How many of its tokens make a text of which the rest is the continuation.
    """
    runner = runner_for(model)
    tokens = ids[None]
    with in_eval_mode(model):
        own = model.run_with_hooks(tokens.to(model.cfg.device), fwd_hooks=[])
        chain = _found(lambda: _chain(runner, tokens, own))
        if chain:
            return Assumptions(chain=chain, padding=chain, later=chain, prefix=chain)
        if not isinstance(runner, CausalRunner):
            return Assumptions(padding=_found(lambda: _padded(runner, tokens, short)))
        later = _found(lambda: _changed_by_later(runner, tokens, short))
        prefix = later or _found(lambda: _beside_prefix(runner, tokens))
        return Assumptions(padding=later, later=later, prefix=prefix)


def _found(measure: Callable[[], str]) -> str:
    try:
        return measure()
    except torch.OutOfMemoryError:
        raise
    except _FAILURES as error:
        message = next(iter(str(error).splitlines()), "")[:120]
        return f"its blocks cannot be run by themselves ({type(error).__name__}: {message})"


def _chain(runner: Runner, tokens: Int[Tensor, "1 pos"], own: Float[Tensor, "1 pos vocab"]) -> str:
    hidden = _through_blocks(runner, tokens)
    if differ(unembed(runner, hidden[0])[None], own):
        return "its blocks, one after the other, do not give what its own forward pass gives"
    other = (tokens + 1) % runner.model.cfg.d_vocab
    if differ(_rows(runner, torch.cat([other, tokens]))[1:], hidden):
        return "the rows of a batch change each other"
    return ""


def _changed_by_later(runner: Runner, tokens: Int[Tensor, "1 pos"], short: int) -> str:
    other = (tokens + 1) % runner.model.cfg.d_vocab
    both = torch.cat([tokens, torch.cat([tokens[:, :short], other[:, short:]], dim=1)])
    alone = _through_blocks(runner, tokens[:, :short])
    if differ(_rows(runner, both)[:, :short], alone.expand(2, -1, -1)):
        return "what comes later in a text changes what is before it"
    return ""


def _padded(runner: Runner, tokens: Int[Tensor, "1 pos"], short: int) -> str:
    real = torch.ones(2, tokens.shape[1], dtype=torch.bool)
    real[0, short:] = False
    padded = _through_blocks(runner, tokens.expand(2, -1).masked_fill(~real, 0), real)
    alone = _through_blocks(runner, tokens[:, :short])
    return "padding changes its activations" if differ(padded[:1, :short], alone) else ""


def _beside_prefix(runner: CausalRunner, tokens: Int[Tensor, "1 pos"]) -> str:
    start = tokens.shape[1] // 2
    clean = runner.embed(tokens)
    rows = clean[:, start:].clone()
    for layer, block in enumerate(blocks(runner.model)):
        with streamlined(block):
            cache = empty_layer(runner.model, 1)
            clean = runner.block(layer, clean, cache=cache)
            keys, values = cache.past_keys[:, :start], cache.past_values[:, :start]
            with attending_to_prefix(block, keys, values) as written_out:
                rows = runner.block(layer, rows, cache=None if written_out else repeated(keys, values, 1))
    if differ(rows, clean[:, start:]):
        return "the end of a text run beside kept keys and values is not what it is in the whole text"
    return ""


def _rows(runner: Runner, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos d_model"]:
    """Rows together, or one by one where that fails: a plan makes its batches smaller when memory runs out."""
    try:
        return _through_blocks(runner, tokens)
    except _FAILURES:
        return torch.cat([_through_blocks(runner, row[None]) for row in tokens])


def _through_blocks(
    runner: Runner, tokens: Int[Tensor, "row pos"], real: Bool[Tensor, "row pos"] | None = None
) -> Float[Tensor, "row pos d_model"]:
    hidden = runner.embed(tokens, real)
    for layer, block in enumerate(blocks(runner.model)):
        with streamlined(block):
            hidden = runner.block(layer, hidden)
    return hidden


def differ(found: Float[Tensor, "row pos column"], expected: Float[Tensor, "row pos column"]) -> bool:
    """Whether two results differ by more than rounding explains, at any position."""
    allowed = TOLERANCE[expected.dtype]
    if expected.device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32:
        allowed = max(allowed, TOLERANCE[torch.float16])
    a, b = found.cpu().double(), expected.cpu().double()
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite):
        return True
    a, b = a.where(finite, 0.0), b.where(finite, 0.0)
    difference = (a - b).square().mean(dim=-1).sqrt().max()
    return bool(difference > allowed * b.square().mean().sqrt())
