"""Turn a Hugging Face model into TransformerLens' HookedEncoder or HookedTransformer, number for number.

TransformerLens brings the converters. What it does not read from a configuration (a BERT whose activation is not
GELU, an MLP that is not four times as wide as the model, the base of GPT-NeoX's rotary embedding, heads of another
width) is corrected here. Whether the outcome is right is not taken on trust: see `tlesion.models.probe`.
"""

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedEncoder, HookedTransformer
from transformer_lens import loading_from_pretrained as loading
from transformer_lens.config.hooked_transformer_config import HookedTransformerConfig
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from tlesion.models import bert
from tlesion.models import tokenizer as tokenizers

_SUPPORTED = "BERT, GPT-2, GPT-Neo, GPT-NeoX (Pythia), Llama, GPT-J, OPT, Mistral, Bloom, Qwen2, Qwen3, Phi"


def convert(
    hf_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    name: str,
    dtype: torch.dtype,
    absent: frozenset[str] = frozenset(),
) -> HookedEncoder | HookedTransformer:
    """Build the hooked model with the weights of `hf_model`, on the same device.

    Args:
        hf_model: A model of Hugging Face; it is left as it is.
        tokenizer: Its tokenizer, or None: the model then takes tokens only. It is left as it is.
        name: What to call the model.
        dtype: Of the new model's weights.
        absent: Parameters that `hf_model` has and its checkpoint had not.

    Returns:
        The model, unprocessed and in eval mode. Heads that the checkpoint lacks hold NaN.

    Raises:
        ValueError: If TransformerLens has no converter for the model.
    """
    is_bert = hf_model.config.model_type == "bert"
    with neutral_folder() as folder:
        cfg = _hooked_config(hf_model, folder, name=name, dtype=dtype)
        own = None if tokenizer is None else tokenizers.private_copy(tokenizer, folder / "tokenizer")
        model = _empty_model(cfg, own, hf_model.config)
        weights = bert.complete(hf_model, absent) if is_bert else hf_model
        state = loading.get_pretrained_state_dict(str(folder), cfg, weights, dtype=dtype)
    model.load_state_dict(loading.fill_missing_keys(model, state), strict=True)
    if tokenizer is not None:
        tokenizers.name_after(model.tokenizer, tokenizer.name_or_path)
    return model.eval()


@contextmanager
def neutral_folder() -> Iterator[Path]:
    """Make a temporary folder whose path misleads nobody.

    TransformerLens looks for names of architectures in the path of a configuration before it reads it: a GPT-2 in
    `~/llama-experiments/` would be taken for a Llama.
    """
    with tempfile.TemporaryDirectory(prefix="tlesion-") as path:
        traps = [trap for trap in ("llama", "gemma", "hubert", "wav2vec2") if trap in path.lower()]
        if traps:
            raise ValueError(
                f"the folder for temporary files, {tempfile.gettempdir()!r}, has {traps[0]!r} in its path, from which "
                "TransformerLens would infer an architecture; set the environment variable TMPDIR to another folder"
            )
        yield Path(path)


def _hooked_config(
    hf_model: PreTrainedModel, folder: Path, *, name: str, dtype: torch.dtype
) -> HookedTransformerConfig:
    architecture = "BertForMaskedLM" if hf_model.config.model_type == "bert" else type(hf_model).__name__
    config = copy.deepcopy(hf_model.config)
    config.architectures = [architecture]
    if architecture == "GPT2LMHeadModel":
        config.n_ctx = config.n_positions  # Configurations of transformers 5 no longer say it.
    (folder / "config.json").write_text(config.to_json_string(), encoding="utf-8")
    try:
        fields = loading.convert_hf_model_config(str(folder))
    except NotImplementedError:
        raise ValueError(
            f"TransformerLens has no converter for the architecture {architecture!r} of {name!r}; "
            f"it has one for {_SUPPORTED}"
        ) from None
    common: dict[str, Any] = {
        "model_name": Path(name).name,
        "tokenizer_name": None,  # No path of this machine; the tokenizer itself is at hand.
        "init_weights": False,
        "dtype": dtype,
        "device": str(hf_model.device),
    }
    prepends = fields.get("default_prepend_bos", True)
    return HookedTransformerConfig.from_dict(
        fields | {"default_prepend_bos": prepends} | common | _corrections(hf_model.config)
    )


def _corrections(config: PretrainedConfig) -> dict[str, Any]:
    """Read what TransformerLens 3.9 assumes instead of reading."""
    match config.model_type:
        case "bert":
            return {"act_fn": config.hidden_act}
        case "gpt2":
            return {"d_mlp": config.n_inner or 4 * config.n_embd}
        case "gpt_neo":
            return {"d_mlp": config.intermediate_size or 4 * config.hidden_size}
        case "gpt_neox":
            return {"rotary_base": config.rope_parameters["rope_theta"]}
        case "llama":
            return {"d_head": config.head_dim, "rotary_dim": config.head_dim}
    return {}


def _empty_model(
    cfg: HookedTransformerConfig, tokenizer: PreTrainedTokenizerBase | None, config: PretrainedConfig
) -> HookedEncoder | HookedTransformer:
    if config.model_type == "bert":
        if tokenizer is not None:
            tokenizers.mark_token_types(tokenizer)
        encoder = HookedEncoder(cfg, tokenizer, move_to_device=False)
        bert.fit_modules(encoder, config)
        return encoder
    if tokenizer is not None:
        tokenizers.make_paddable(tokenizer)
    model = HookedTransformer(cfg, tokenizer, move_to_device=False)
    if tokenizer is not None:
        tokenizers.forget_invented_tokens(model)
    return model
