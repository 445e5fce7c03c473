"""Load a model by name, from a folder or from Hugging Face's object, unprocessed."""

import os
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedEncoder, HookedTransformer

from tlesion.models import bert, names, provenance
from tlesion.models.checkpoint import read_checkpoint
from tlesion.models.convert import convert
from tlesion.models.probe import check_agreement
from tlesion.models.quiet import quiet

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64)
}


def load_model(
    name: str | os.PathLike[str] | None = None,
    *,
    hf_model: Any = None,
    tokenizer: Any = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
) -> HookedEncoder | HookedTransformer:
    """Load a model so that its logits and hidden states equal Hugging Face's.

    Nothing is folded or centred, and the model is in eval mode. A BERT becomes a `HookedEncoder`, a causal language
    model a `HookedTransformer`. A folder of that name wins over a name.

    Args:
        name: A shipped model ("toy-bert", "toy-gpt"), any name of TransformerLens ("gpt2-xl", "bert-large-uncased"),
            or a local Hugging Face folder (config.json, weights, tokenizer).
        hf_model: Instead of a name: a model that transformers has loaded. It stays as it is.
        tokenizer: The tokenizer, in place of the one that the name or folder brings; needed beside `hf_model` if the
            model is to read text. It stays as it is.
        dtype: Of the weights: "float32", "bfloat16", "float16", "float64", or torch's. None: `hf_model`'s own, else
            float32.
        device: Where to, as torch names it. None: `hf_model`'s own, else CUDA if there is one, else CPU.

    Returns:
        The model. What it is stands in `tlesion.models.info(model)`.

    Raises:
        ValueError: If the name is unknown or cannot be fetched, a folder is no complete checkpoint of a supported
            kind, or TransformerLens' version would differ from the original.
    """
    if (name is None) == (hf_model is None):
        raise ValueError(f"load_model takes a name or hf_model=, one of the two; received {name!r} and {hf_model!r}")
    with quiet(), torch.random.fork_rng(devices=[]):
        if hf_model is not None:
            return _convert(
                hf_model,
                tokenizer,
                frozenset(),
                name=hf_model.name_or_path,
                source="Hugging Face model",
                dtype=_dtype(dtype or hf_model.dtype),
                device=device or hf_model.device,
            )
        folder, source = _find_folder(name)
        if folder is None:
            raise ValueError(f"there is no folder or model {name!r}; {names.alternatives(str(name))}")
        checkpoint = read_checkpoint(folder, dtype=_dtype(dtype or "float32"))
        return _convert(
            checkpoint.hf_model,
            tokenizer or checkpoint.tokenizer,
            checkpoint.absent,
            name=str(name),
            source=source,
            dtype=_dtype(dtype or "float32"),
            device=device,
        )


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    key = str(dtype).removeprefix("torch.")
    if key not in _DTYPES:
        raise ValueError(f"dtype {dtype!r} is not one of {', '.join(_DTYPES)}")
    return _DTYPES[key]


def _find_folder(name: str | os.PathLike[str] | None) -> tuple[Path | None, str]:
    path = Path(str(name)).expanduser()
    if path.is_dir():
        return path, "folder"
    if str(name) in names.SHIPPED:
        return names.SHIPPED[str(name)], "shipped"
    return None, "TransformerLens"


def _convert(
    hf_model: Any,
    tokenizer: Any,
    absent: frozenset[str],
    *,
    name: str,
    source: str,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> HookedEncoder | HookedTransformer:
    model = convert(hf_model, tokenizer, name=name, dtype=dtype, absent=absent)
    if hf_model.config.model_type == "bert":
        logits = bert.has_language_head(hf_model, absent)
    else:
        logits = "lm_head.weight" not in absent
    check_agreement(model, hf_model, name=name, logits=logits)
    provenance.record(model, name=name, source=source, architecture=type(hf_model).__name__, has_logits=logits)
    if device is None and torch.cuda.is_available():
        device = "cuda"
    if device is not None:
        model.to(str(device), print_details=False)
    return model
