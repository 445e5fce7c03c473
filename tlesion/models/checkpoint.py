"""Read a local Hugging Face folder: configuration, weights, tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertForPreTraining,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Checkpoint:
    """What a folder held."""

    hf_model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    absent: frozenset[str]
    """Parameters of `hf_model` that the folder did not have: a head that this checkpoint was saved without."""


def read_checkpoint(folder: Path, *, dtype: torch.dtype) -> Checkpoint:
    """Load what a folder holds, as Hugging Face has it.

    Args:
        folder: A folder with config.json, weights, and a tokenizer unless text is not needed.
        dtype: To load the weights in.

    Raises:
        ValueError: If the folder is no checkpoint, or one of a kind that is not supported, or incomplete.
    """
    _require_files(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    loader = _model_class(config, folder)
    hf_model, report = loader.from_pretrained(
        folder, config=config, dtype=dtype, local_files_only=True, output_loading_info=True
    )
    absent = frozenset(report["missing_keys"])
    lost = sorted(key for key in absent if not key.startswith(("cls.", "lm_head.", "bert.pooler.")))
    if lost:
        raise ValueError(
            f"the weights in {str(folder)!r} lack {len(lost)} of the tensors that its config.json calls for "
            f"({', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}); save the checkpoint again"
        )
    return Checkpoint(hf_model, _tokenizer(folder), absent)


def _require_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"the folder {str(folder)!r} has no config.json, so it is no Hugging Face checkpoint; "
            "save one there with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)"
        )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ValueError(
            f"the folder {str(folder)!r} has a config.json but no weights; looked for {', '.join(_WEIGHTS)}"
        )


def _model_class(config: PretrainedConfig, folder: Path) -> Any:
    if config.model_type == "bert":
        return BertForPreTraining
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ValueError(
            f"the checkpoint in {str(folder)!r} is of type {config.model_type!r}, which is neither BERT nor a causal "
            "language model"
        )
    return AutoModelForCausalLM


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    # Without any of these files, transformers may answer with a tokenizer of no words at all.
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return None
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)
