"""Make a hooked model that holds no weights yet, for those who write them in by hand."""

from transformer_lens import HookedEncoder, HookedTransformer, HookedTransformerConfig

from tlesion.anatomy.model import Model
from tlesion.models.quiet import quiet


def untrained_model(
    *,
    masked: bool,
    name: str,
    n_layers: int,
    d_model: int,
    n_heads: int,
    d_head: int,
    d_mlp: int,
    n_ctx: int,
    d_vocab: int,
    act_fn: str,
    use_attn_scale: bool = True,
) -> Model:
    """Build a model on the CPU whose every size is given and whose weights are whatever memory held.

    Args:
        masked: A `HookedEncoder` (BERT) instead of a `HookedTransformer`.
        name: What to call it.
        n_layers, d_model, n_heads, d_head, d_mlp, n_ctx, d_vocab: Sizes, as TransformerLens names them.
        act_fn: Activation function of the MLPs, by TransformerLens' name.
        use_attn_scale: Divide attention scores by the root of `d_head`.
    """
    config = HookedTransformerConfig(
        n_layers=n_layers,
        d_model=d_model,
        d_mlp=d_mlp,
        d_head=d_head,
        n_heads=n_heads,
        n_ctx=n_ctx,
        d_vocab=d_vocab,
        act_fn=act_fn,
        normalization_type="LN",
        attention_dir="bidirectional" if masked else "causal",
        use_attn_scale=use_attn_scale,
        init_weights=False,
        device="cpu",
        model_name=name,
    )
    with quiet():
        return HookedEncoder(config) if masked else HookedTransformer(config)
