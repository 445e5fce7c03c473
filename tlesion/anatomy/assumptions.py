"""What a shortcut through a model relies on, measured on the model at hand instead of inferred from its class.

Blocks that are run one after the other have to give what the model's own forward pass gives. Beyond that, padding on
the right of a causal model needs that a later token changes nothing before it, and to run the end of a text alone needs
keys and values that can be kept. A few rows of one text tell; what was found is kept until the model's settings or
weights change: with output weights of zero, as training may begin, nothing that attention sees shows.
"""

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor
from transformer_lens.utilities.tokenize_utils import get_attention_mask

from tlesion.anatomy.evaluating import in_eval_mode
from tlesion.anatomy.foreign import foreign_change, replaced_method, user_hooks
from tlesion.anatomy.measuring import Assumptions, differ, measured
from tlesion.anatomy.model import Model, is_masked
from tlesion.anatomy.settings import settings_hash
from tlesion.anatomy.weights import known_fingerprint

LENGTH = 24
"""Tokens of a text that are looked at, where nothing in the model's settings asks for more."""

_KNOWN: "WeakKeyDictionary[Model, dict[tuple[str, int], Assumptions]]" = WeakKeyDictionary()


def assumptions_of(model: Model, sequences: Sequence[Int[Tensor, " _"]]) -> Assumptions:
    """What shortcuts a model allows, as it is now, for some texts.

    Hooks and changes of the user's allow none: what they do may depend on the batch, or on the input. Otherwise it is
    measured, once for the model's settings and weights.

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
        'the model has a PyTorch hook on blocks.3.mlp, and only its own forward pass is sure to follow that'
        >>> handle.remove()
    """
    seen = _seen(model, sequences)
    if seen:
        return Assumptions(chain=seen, padding=seen, later=seen, prefix=seen)
    length = _length(model, max(len(ids) for ids in sequences))
    known = _KNOWN.setdefault(model, {})
    replaced = replaced_method(model)
    key = f"{settings_hash(model)} {known_fingerprint(model)} {replaced}", length
    if key not in known:
        known[key] = measured(model, _probe(model, sequences, length), short=_short(model, length))
    if not replaced:
        return known[key]
    doubt = f"there is {replaced}, which may depend on the batch or the text"
    return replace(known[key], doubt=doubt, padding=known[key].padding or doubt, later=known[key].later or doubt)


@torch.no_grad()
def looks_ahead(model: Model, sequences: Sequence[Int[Tensor, " _"]], holds: Assumptions | None = None) -> bool:
    """Whether what comes later in a text changes what is before it, hooks and changes of the user's included.

    Args:
        model: The model.
        sequences: Token ids of the texts at hand. Where the model's own forward pass has to be asked, the longest of
            them is run, its second half replaced, and its first half alone.
        holds: What `assumptions_of` has found for them, where it has been asked already.
    """
    holds = assumptions_of(model, sequences) if holds is None else holds
    if is_masked(model) or not holds.against:
        return is_masked(model) or bool(holds.later)
    ids = max(sequences, key=len)
    short = max(1, len(ids) // 2)
    other = torch.cat([ids[:short], (ids[short:] + 1) % model.cfg.d_vocab])
    with in_eval_mode(model):
        whole, changed, alone = (
            model.run_with_hooks(text[None].to(model.cfg.device), fwd_hooks=[])[:, :short]
            for text in (ids, other, ids[:short])
        )
    return differ(changed, whole) or differ(alone, whole) or not bool(whole.isfinite().all())


def as_long(ids: Int[Tensor, " pos"], length: int) -> Int[Tensor, " length"]:
    """A text of another length: cut off, or over and over again."""
    return ids.repeat(-(-length // len(ids)))[:length]


def _seen(model: Model, sequences: Sequence[Int[Tensor, " _"]]) -> str:
    """A reason against any shortcut that shows without running anything."""
    hooked = user_hooks(model)
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
    return as_long(ids, length).cpu()


def _short(model: Model, length: int) -> int:
    """How long a text is of which the probe is the continuation."""
    return max(1, min([length // 2, *(limit for limit in _limits(model) if limit < length)]))
