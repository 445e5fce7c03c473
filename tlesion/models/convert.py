"""Turn a Hugging Face model into TransformerLens' HookedEncoder or HookedTransformer, number for number.

TransformerLens provides the converters. What they do not read from a configuration (a BERT whose activation is not
GELU, an MLP that is not four times as wide as the model, the base of GPT-NeoX's rotary embedding, heads of another
width) is corrected here. Whether the result is right is then measured, not assumed.
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
from transformer_lens.utilities.activation_functions import SUPPORTED_ACTIVATIONS
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from tlesion.anatomy.model import Model, is_masked
from tlesion.keep.writing import write_whole
from tlesion.models import bert
from tlesion.models import tokenizer as tokenizers
from tlesion.models.checkpoint import BY_NAME, Checkpoint, first_line, way_out
from tlesion.models.probe import check_agreement


def convert(checkpoint: Checkpoint, *, name: str, dtype: torch.dtype) -> Model:
    """Build the hooked model with the weights of a checkpoint, on the device where they are.

    Args:
        checkpoint: Model and tokenizer of Hugging Face; they are left as they are.
        name: What to call the model.
        dtype: Of the new model's weights.

    Returns:
        The model, unprocessed and in eval mode. Heads that the checkpoint lacks hold NaN.

    Raises:
        ValueError: If TransformerLens has no counterpart for the model, or one that computes something else.
    """
    tokenizer = checkpoint.tokenizer
    with _explaining(name, checkpoint.hf_model), neutral_folder() as folder:
        cfg = _hooked_config(checkpoint.hf_model, folder, name=name, dtype=dtype)
        model = _empty_model(cfg, tokenizer, checkpoint.hf_model.config)
        _fill(model, checkpoint, folder)
        model.eval()
        check_agreement(model, checkpoint.hf_model, name=name, logits=has_language_head(checkpoint))
    return model


def has_language_head(checkpoint: Checkpoint) -> bool:
    """Tell whether the checkpoint has what turns hidden states into logits."""
    if checkpoint.hf_model.config.model_type == "bert":
        return bert.has_language_head(checkpoint.hf_model, checkpoint.absent)
    return not any(name.startswith(("lm_head.", "embed_out.")) for name in checkpoint.absent)


@contextmanager
def neutral_folder() -> Iterator[Path]:
    """Make a temporary folder whose path cannot mislead TransformerLens.

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


@contextmanager
def _explaining(name: str, hf_model: PreTrainedModel) -> Iterator[None]:
    """Turn whatever TransformerLens raises for a model that it cannot convert into one error that says so."""
    architecture = type(hf_model).__name__
    try:
        yield
    except ValueError:
        raise
    except NotImplementedError:
        kind = hf_model.config.model_type
        lacks = "cannot convert" if kind in BY_NAME else "has no converter for"
        raise ValueError(
            f"TransformerLens {lacks} the architecture {architecture!r} of {name!r}; {way_out(kind)}"
        ) from None
    except Exception as error:
        raise ValueError(
            f"TransformerLens' converter for {architecture} fails on {name!r}: {first_line(error)}"
        ) from error


def _hooked_config(
    hf_model: PreTrainedModel, folder: Path, *, name: str, dtype: torch.dtype
) -> HookedTransformerConfig:
    architecture = "BertForMaskedLM" if hf_model.config.model_type == "bert" else type(hf_model).__name__
    config = copy.deepcopy(hf_model.config)
    config.architectures = [architecture]
    if architecture == "GPT2LMHeadModel":
        config.n_ctx = config.n_positions  # Configurations of transformers 5 no longer say it.
    write_whole(folder / "config.json", config.to_json_string())
    common: dict[str, Any] = {
        "model_name": Path(name).name,
        "tokenizer_name": None,  # No path of this machine; the tokenizer itself is at hand.
        "init_weights": False,
        "dtype": dtype,
        "device": str(hf_model.device),
    }
    fields = {"default_prepend_bos": True, **loading.convert_hf_model_config(str(folder))}
    fields = fields | common | _corrections(hf_model.config)
    if fields["act_fn"] not in SUPPORTED_ACTIVATIONS:
        raise ValueError(
            f"the activation function {fields['act_fn']!r} of {name!r} has no counterpart in TransformerLens, "
            f"which has {', '.join(SUPPORTED_ACTIVATIONS)}"
        )
    return HookedTransformerConfig.from_dict(fields)


def _fill(model: Model, checkpoint: Checkpoint, folder: Path) -> None:
    is_bert = is_masked(model)
    weights = bert.complete(checkpoint.hf_model, checkpoint.absent) if is_bert else checkpoint.hf_model
    state = loading.get_pretrained_state_dict(str(folder), model.cfg, weights, dtype=model.cfg.dtype)
    # Not strict: some converters add biases that a norm has not. A weight that is missing raises here.
    model.load_state_dict(loading.fill_missing_keys(model, state), strict=False)
    if not is_bert and not has_language_head(checkpoint):
        model.unembed.W_U.data.fill_(torch.nan)


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
) -> Model:
    if config.model_type == "bert":
        own = copy.deepcopy(tokenizer)
        if own is not None:
            tokenizers.mark_token_types(own)
        encoder = HookedEncoder(cfg, own, move_to_device=False)
        bert.fit_modules(encoder, config)
        return encoder
    model = HookedTransformer(cfg, move_to_device=False)
    if tokenizer is not None:
        tokenizers.give(model, tokenizer)
    return model
