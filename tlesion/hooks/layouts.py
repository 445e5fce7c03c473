"""What the axes of an activation are at each hook point: the one place where that is declared.

Most activations are ``[batch, pos, unit]`` or ``[batch, pos, head, unit]``: an edit can address their units and
positions, and a selection has a row for each sentence. Others are not: attention patterns have no units, the norms'
scales no more than one, and what the experts of a mixture see has lost both batch and positions.
"""

from dataclasses import dataclass

from tlesion.anatomy.model import Model, first_norm_reads_heads, mlp_width

_ONE = ("batch", "pos", "unit")
_HEADS = ("batch", "pos", "head", "unit")


@dataclass(frozen=True)
class Layout:
    """The axes of an activation.

    Attributes:
        axes: Their names, ``("batch", "pos", "unit")``; empty for a point that is not TransformerLens' own.
        heads: How many heads it has, or None.
        units: How many units; 0 where it has no such axis.
    """

    axes: tuple[str, ...]
    heads: int | None = None
    units: int = 0

    @property
    def has_units(self) -> bool:
        """Whether it is ``[batch, pos, unit]`` or ``[batch, pos, head, unit]``."""
        return self.axes in (_ONE, _HEADS)

    @property
    def by_prompt(self) -> bool:
        """Whether a prompt's part of it is a row: only then can several runs share a batch, each with its own rows."""
        return self.axes[:1] == ("batch",)


UNKNOWN = Layout(())
_PATTERN = Layout(("batch", "head", "query", "key"))
_SCALE = Layout(("batch", "pos", "divisor"))
_ROUTED = Layout(("routed token", "unit"))
_TOKENS = Layout(("batch", "pos"))
_VECTORS = Layout(("head vector", "unit"))
_SEVERAL = Layout(("batch", "pos", "head of queries or keys", "unit"))
_WHOLE_TEXT = Layout(("batch", "of the text"))
_REASONS = {
    _PATTERN.axes: " (it is [batch, head, query, key])",
    _SCALE.axes: " (it is a norm's divisor, one number for each token)",
    _ROUTED.axes: " (its rows are the tokens that a router sends to an expert, of all prompts together)",
    _TOKENS.axes: " (it is the token ids)",
    _VECTORS.axes: " (its rows are the heads of all tokens of all prompts)",
    _SEVERAL.axes: " (it has the heads of queries at one call, and those of keys and values at the next)",
    _WHOLE_TEXT.axes: " (it is one vector for a whole text)",
}
_BY_NAME = {
    "hook_attn_scores": _PATTERN,
    "hook_pattern": _PATTERN,
    "hook_scale": _SCALE,
    "hook_expert_weights": _ROUTED,
    "hook_expert_indices": _ROUTED,
    "hook_tokens": _TOKENS,
    "hook_pooler_out": _WHOLE_TEXT,
    "hook_nsp_out": _WHOLE_TEXT,
}
_OF_QUERIES = {"hook_q", "hook_z", "hook_rot_q"}
_OF_KEYS = {"hook_k", "hook_v", "hook_rot_k"}
_INTO_QUERIES = {"hook_q_input", "hook_attn_in", "hook_result"}
_INTO_KEYS = {"hook_k_input", "hook_v_input"}
_NEURONS = {"mlp.hook_pre", "mlp.hook_post", "mlp.hook_pre_linear", "mlp.hook_mid", "mlp.ln.hook_normalized"}
_OF_THE_STREAM = {
    *(f"hook_resid_{place}" for place in ("pre", "mid", "post")),
    *("hook_normalized_resid_post", "hook_attn_out", "hook_mlp_out", "hook_mlp_in", "attn.hook_attn_input"),
    *(f"{norm}.hook_normalized" for norm in ("ln1", "ln2", "ln1_post", "ln2_post", "ln_final", "mlm_head.ln")),
    *(f"embed.{point}" for point in ("hook_embed", "hook_pos_embed", "hook_token_type_embed", "ln.hook_normalized")),
    *("hook_embed", "hook_pos_embed", "hook_full_embed"),
}


def layout_without_model(name: str) -> Layout | None:
    """The layout of a point whose name alone tells that it has no units; None for all others.

    Args:
        name: A full hook name, or a short form.

    Returns:
        The layout, or None where only a model can tell.

    Example:
        >>> layout_without_model("blocks.3.attn.hook_pattern").axes, layout_without_model("blocks.3.mlp.hook_post")
        (('batch', 'head', 'query', 'key'), None)
    """
    if ".experts." in name:
        return _ROUTED
    return _BY_NAME.get(name.rsplit(".", 1)[-1])


def layout_of(model: Model, name: str) -> Layout:
    """The axes of the activation at a hook point, and how many heads and units it has.

    Args:
        model: The model.
        name: A full hook name.

    Returns:
        The layout; one without axes where the point is not TransformerLens' own (of an autoencoder put into the model,
        say), so that nothing is known of it.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> layout_of(model, "blocks.3.attn.hook_z")
        Layout(axes=('batch', 'pos', 'head', 'unit'), heads=4, units=32)
    """
    cfg = model.cfg
    inner = name.split(".", 2)[2] if name.startswith("blocks.") else name
    point = inner.rsplit(".", 1)[-1]
    if inner.startswith(("attn.q_norm.", "attn.k_norm.")):
        return _norm_of_heads(model, inner)
    known = layout_without_model(name)
    if known is not None:
        return known
    if inner in _NEURONS:
        return Layout(_ONE, None, mlp_width(model))
    if inner == "ln1.hook_normalized" and first_norm_reads_heads(model):
        # It is called with the queries' heads, and with those of keys and values.
        return Layout(_HEADS, cfg.n_heads, cfg.d_model) if _key_heads(model) == cfg.n_heads else _SEVERAL
    if inner in _OF_THE_STREAM:
        return Layout(_ONE, None, cfg.d_model)
    if inner in {f"attn.{point}", point}:
        for names, heads, units in (
            (_OF_QUERIES, cfg.n_heads, cfg.d_head),
            (_OF_KEYS, _key_heads(model), cfg.d_head),
            (_INTO_QUERIES, cfg.n_heads, cfg.d_model),
            (_INTO_KEYS, _key_heads(model), cfg.d_model),
        ):
            if point in names:
                return Layout(_HEADS, heads, units)
    return UNKNOWN


def width(model: Model, name: str) -> tuple[int | None, int]:
    """How many heads and units an activation at a hook point has: ``(heads or None, units)``.

    Args:
        model: The model.
        name: A full hook name.

    Returns:
        ``(None, units)`` for ``[batch, pos, unit]``, ``(heads, units)`` for ``[batch, pos, head, unit]``.

    Raises:
        ValueError: The point's activation is not ``[batch, pos, unit]`` or ``[batch, pos, head, unit]``.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> width(model, "blocks.3.mlp.hook_post"), width(model, "blocks.3.attn.hook_z")
        ((None, 512), (4, 32))
    """
    layout = layout_of(model, name)
    if not layout.has_units:
        raise ValueError(without_units(name, layout))
    return layout.heads, layout.units


def without_units(name: str, layout: Layout | None = None) -> str:
    """What to say of a hook point without units.

    Args:
        name: Its name.
        layout: Its layout, where a model says more than the name alone.

    Returns:
        The message of an error: what the activation is instead, and the way out.

    Example:
        >>> without_units("blocks.0.attn.hook_pattern")[:56]
        "hook point 'blocks.0.attn.hook_pattern' has no [batch, p"
    """
    known = layout or layout_without_model(name) or UNKNOWN
    reason = _REASONS.get(known.axes, "")
    return (
        f"hook point {name!r} has no [batch, pos, unit] activation that an edit could address{reason}; "
        "pass your own hook function as (name, function) instead"
    )


def _norm_of_heads(model: Model, inner: str) -> Layout:
    """Queries and keys are normed head by head in most models, and all heads side by side in OLMo's."""
    cfg = model.cfg
    if cfg.use_qk_norm:
        return _VECTORS
    if inner.endswith("hook_scale"):
        return _SCALE
    heads = cfg.n_heads if ".q_norm." in inner else _key_heads(model)
    return Layout(_ONE, None, cfg.d_head * heads)


def _key_heads(model: Model) -> int:
    cfg = model.cfg
    if cfg.n_key_value_heads is None or cfg.ungroup_grouped_query_attention:
        return int(cfg.n_heads)
    return int(cfg.n_key_value_heads)
