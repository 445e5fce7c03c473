"""What a shortcut through a model relies on, measured on the model at hand instead of inferred from its class.

Blocks that are run one after the other have to give what the model's own forward pass gives. Beyond that, padding on
the right of a causal model needs that a later token changes nothing before it, and to run the end of a text alone needs
keys and values that can be kept. A few rows of one text tell; what was found is kept until the model's settings change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.utilities.tokenize_utils import get_attention_mask

from tlesion.anatomy.attention import attending_to_prefix
from tlesion.anatomy.cache import empty_layer, repeated
from tlesion.anatomy.evaluating import in_eval_mode
from tlesion.anatomy.foreign import foreign_change, hooked_points, replaced_method
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import Model, blocks, is_masked
from tlesion.anatomy.runners import CausalRunner, Runner, runner_for
from tlesion.anatomy.settings import settings_hash

LENGTH = 24
"""Tokens of a text that are looked at, where nothing in the model's settings asks for more."""

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


_KNOWN: "WeakKeyDictionary[Model, dict[tuple[str, int], Assumptions]]" = WeakKeyDictionary()


def assumptions_of(model: Model, sequences: Sequence[Int[Tensor, " _"]]) -> Assumptions:
    """What shortcuts a model allows, as it is now, for some texts.

    Hooks and changes of the user's allow none: what they do may depend on the batch, or on the input. Otherwise it is
    measured, once for the model's settings.

    Args:
        model: The model.
        sequences: Token ids of the texts at hand. The first of them that is long enough is looked at.

    Returns:
        What was found.

    Example:
        >>> import torch, tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> assumptions_of(model, [torch.arange(12)]).prefix
        ''
        >>> handle = model.blocks[3].mlp.register_forward_hook(lambda module, inputs, output: 2 * output)
        >>> assumptions_of(model, [torch.arange(12)]).prefix
        "the model has a PyTorch hook on blocks.3.mlp, and only its own forward pass is sure to follow that"
        >>> handle.remove()
    """
    seen = _seen(model, sequences)
    if seen:
        return Assumptions(chain=seen, padding=seen, later=seen, prefix=seen)
    length = _length(model, max(len(ids) for ids in sequences))
    known = _KNOWN.setdefault(model, {})
    replaced = replaced_method(model)
    key = f"{settings_hash(model)} {replaced}", length
    if key not in known:
        known[key] = _measured(model, _probe(model, sequences, length))
    if not replaced:
        return known[key]
    doubt = f"there is {replaced}, which may depend on the batch or the text"
    return replace(known[key], doubt=doubt, padding=known[key].padding or doubt, later=known[key].later or doubt)


def _seen(model: Model, sequences: Sequence[Int[Tensor, " _"]]) -> str:
    """A reason against any shortcut that shows without running anything."""
    hooked = hooked_points(model)
    if hooked:
        return f"the model carries hooks of its own (at {hooked[0]}), which may look at the whole batch"
    changed = foreign_change(model)
    if changed:
        return f"the model has {changed}, and only its own forward pass is sure to follow that"
    if any(_begins_with_masked_padding(model, ids) for ids in sequences):
        return "its tokenizer pads on the left, and a text begins with the padding token, which the model leaves out"
    return ""


def _begins_with_masked_padding(model: Model, ids: Int[Tensor, " pos"]) -> bool:
    tokenizer = model.tokenizer
    if is_masked(model) or tokenizer is None or tokenizer.padding_side != "left":
        return False
    if tokenizer.pad_token_id is None or int(ids[0]) != tokenizer.pad_token_id:
        return False
    return not bool(get_attention_mask(tokenizer, ids[None], model.cfg.default_prepend_bos).all())


def _length(model: Model, longest: int) -> int:
    """How many tokens to look at: past the limits that a text of this length passes, and no others."""
    limits = _limits(model)
    wanted = max([LENGTH, *(limit + LENGTH for limit in limits if limit < longest)])
    return min([wanted, model.cfg.n_ctx, *(limit for limit in limits if limit >= longest)])


def _limits(model: Model) -> list[int]:
    """Lengths from which on a model works in another way."""
    cfg = model.cfg
    limits = [cfg.window_size] if cfg.use_local_attn else []
    if cfg.use_dynamic_ntk_rope or cfg.use_logn_attn:
        limits.append(cfg.train_seq_length or cfg.n_ctx)
    return [limit for limit in limits if limit is not None]


def _probe(model: Model, sequences: Sequence[Int[Tensor, " _"]], length: int) -> Int[Tensor, " pos"]:
    """The first text that is long enough, cut off; or the longest of them, more than once."""
    ids = next((ids for ids in sequences if len(ids) >= length), max(sequences, key=len))
    return ids.repeat(-(-length // len(ids)))[:length].cpu()


@torch.no_grad()
def _measured(model: Model, ids: Int[Tensor, " pos"]) -> Assumptions:
    runner = runner_for(model)
    tokens, short = ids[None], _short(model, len(ids))
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


def _short(model: Model, length: int) -> int:
    """How long a text is of which the probe is the continuation."""
    return max(1, min([length // 2, *(limit for limit in _limits(model) if limit < length)]))


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
    weight, bias = runner.model.unembed.W_U, runner.model.unembed.b_U
    logits = runner.cap(torch.addmm(bias, runner.head(hidden[0]), weight))
    if differ(logits[None], own):
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
