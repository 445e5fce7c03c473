"""Read a Hugging Face checkpoint, from a folder or from the hub: configuration, weights, tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertForPreTraining,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_HEADS = ("cls.", "lm_head.", "embed_out.", "bert.pooler.")

CAUSAL_TYPES = (
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "bloom",
    "gptj",
    "opt",
    "phi3",
    "apertus",
)
"""Causal language models that TransformerLens converts correctly, by the `model_type` of their configuration."""

BY_NAME = {
    "gemma": "google/gemma-2b",
    "gemma2": "google/gemma-2-2b",
    "gemma3": "google/gemma-3-4b-pt",
    "gemma3_text": "google/gemma-3-1b-pt",
    "olmo": "allenai/OLMo-1B-hf",
    "olmo2": "allenai/OLMo-2-0425-1B",
}
"""Types that TransformerLens converts for models of its list alone, with one of them."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as Hugging Face has it.

    Attributes:
        hf_model: With every part that its class has, whether the checkpoint had it or not.
        tokenizer: None if there is none.
        architecture: The Hugging Face class that it was saved from.
        absent: Parameters of `hf_model` that the checkpoint lacked: heads that it was saved without.
    """

    hf_model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    architecture: str
    absent: frozenset[str] = frozenset()


def read_folder(folder: Path, *, dtype: torch.dtype) -> Checkpoint:
    """Read a local folder.

    Raises:
        ValueError: If the folder is not a checkpoint, or the checkpoint is incomplete or of a kind that is not
            supported.
    """
    _require_files(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"config.json in {str(folder)!r} cannot be read: {first_line(error)}") from None
    # Without any of these files, transformers may answer with a tokenizer of no words at all.
    has_tokenizer = any((folder / name).is_file() for name in _TOKENIZERS)
    try:
        return read(str(folder), config, dtype=dtype, has_tokenizer=has_tokenizer)
    except OSError as error:
        raise ValueError(f"the checkpoint in {str(folder)!r} cannot be read: {first_line(error)}") from None


def read(source: str, config: PretrainedConfig, *, dtype: torch.dtype, has_tokenizer: bool = True) -> Checkpoint:
    """Read weights and tokenizer from a folder or a repository of the hub.

    Args:
        source: Folder, or the repository's name.
        config: The contents of its config.json.
        dtype: To load the weights in.
        has_tokenizer: Whether there is one to read.

    Raises:
        ValueError: If the checkpoint is of a kind that is not supported, or incomplete.
        OSError: If it cannot be fetched from the hub.
    """
    loader, local = _model_class(config, source), Path(source).is_dir()
    try:
        hf_model, report = loader.from_pretrained(
            source,
            config=config,
            dtype=dtype,
            local_files_only=local,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"the weights in {source!r} cannot be read: {first_line(error)}") from None
    absent = frozenset(report["missing_keys"])
    _require_tensors(absent, report["mismatched_keys"], source)
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local) if has_tokenizer else None
    architecture = (config.architectures or [type(hf_model).__name__])[0]
    return Checkpoint(hf_model, tokenizer, architecture, absent)


def way_out(model_type: str) -> str:
    """Say, for an error message, how a model of a type that cannot be converted can be loaded, or which can."""
    if model_type in BY_NAME:
        return (
            "TransformerLens takes its settings from the name of a model on the hub, not from a configuration: load "
            f"one by that name, such as load_model({BY_NAME[model_type]!r})"
        )
    return supported_types()


def supported_types() -> str:
    """Say, for an error message, which models can be loaded."""
    return f"supported are 'bert' encoders and, with their language-model head, {', '.join(map(repr, CAUSAL_TYPES))}"


def first_line(error: Exception) -> str:
    """Shorten another library's error message to what fits into one of ours."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _require_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"the folder {str(folder)!r} has no config.json, so it is not a Hugging Face checkpoint; "
            "save one there with model.save_pretrained(folder) and tokenizer.save_pretrained(folder), or, if you "
            "meant a name, load it from a directory that has no folder of that name"
        )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ValueError(
            f"the folder {str(folder)!r} has a config.json but no weights; looked for {', '.join(_WEIGHTS)}"
        )


def _require_tensors(absent: frozenset[str], mismatched: set[Any], source: str) -> None:
    lost = sorted(key for key in absent if not key.startswith(_HEADS))
    if lost:
        raise ValueError(
            f"the weights in {source!r} lack {len(lost)} of the tensors that its config.json calls for "
            f"({', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}); save the checkpoint again"
        )
    for key, found, expected in sorted(mismatched, key=str):
        raise ValueError(
            f"the weights in {source!r} do not fit its config.json: {key} is {list(found)}, and the configuration "
            f"calls for {list(expected)}; save the checkpoint again"
        )


def _model_class(config: PretrainedConfig, source: str) -> Any:
    if getattr(config, "quantization_config", None):
        raise ValueError(
            f"the checkpoint {source!r} is quantized, and TransformerLens reads plain weights only; "
            "load a version of it that is not quantized"
        )
    if config.model_type == "bert" and not config.is_decoder:
        return BertForPreTraining
    if config.model_type not in CAUSAL_TYPES:
        kind = "'bert' with is_decoder" if config.model_type == "bert" else repr(config.model_type)
        raise ValueError(f"the checkpoint {source!r} is of type {kind}; {way_out(config.model_type)}")
    return AutoModelForCausalLM
