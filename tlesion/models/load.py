"""Load a model by name, from a folder, or from a Hugging Face object, unprocessed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedTransformer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tlesion.anatomy.layout import lay_out_
from tlesion.anatomy.model import Model
from tlesion.models import hub, names, provenance
from tlesion.models import tokenizer as tokenizers
from tlesion.models.checkpoint import Checkpoint, read_folder
from tlesion.models.convert import convert, has_language_head, neutral_folder
from tlesion.models.quiet import quiet
from tlesion.public import public

DTYPES = ("float32", "bfloat16", "float16", "float64")


@public
def load_model(
    name: str | os.PathLike[str] | None = None,
    *,
    hf_model: Any = None,
    tokenizer: Any = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
) -> Model:
    """Load a model so that its logits and hidden states equal Hugging Face's.

    Nothing is folded or centred, and the model is in eval mode. A BERT becomes a `HookedEncoder`, a causal language
    model a `HookedTransformer`. Nothing is printed; only a download shows its progress, on a terminal.

    Args:
        name: A local Hugging Face folder (config.json, weights, tokenizer); a shipped model ("toy-bert", "toy-gpt");
            any name that TransformerLens knows ("gpt2-xl", "bert-large-uncased"); or another repository of the hub.
            They are tried in this order: a folder takes precedence over a name.
        hf_model: Instead of a name: a model that transformers has loaded. It is not changed.
        tokenizer: Replaces the one that comes with the name or folder; with `hf_model` there is no other. Without a
            tokenizer the model takes tokens, not text. It is not changed.
        dtype: Of the weights: "float32", "bfloat16", "float16", "float64", or torch's. None: `hf_model`'s own, else
            float32.
        device: Where to load it, as torch names devices. None: `hf_model`'s own, else CUDA if there is one, else CPU.

    Returns:
        The model. `tlesion.models.info(model)` says what it is.

    Raises:
        ValueError: If the name is unknown or cannot be fetched, a folder holds no complete checkpoint of a supported
            kind, or TransformerLens' version of it would compute something other than the original.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> type(model).__name__, model.cfg.n_layers
        ('HookedEncoder', 12)
    """
    _require_one(name, hf_model, tokenizer)
    precision = _dtype(getattr(hf_model, "dtype", "float32") if dtype is None else dtype)
    place = _device(getattr(hf_model, "device", None) if device is None else device)
    with quiet(), torch.random.fork_rng(devices=[]):
        if hf_model is not None:
            given = Checkpoint(hf_model, tokenizer, type(hf_model).__name__)
            label = hf_model.name_or_path or type(hf_model).__name__
            model = _hooked(given, label, "Hugging Face model", dtype=precision, device=place)
        else:
            model = _named(name, tokenizer, dtype=precision, device=place)
        # The same numbers in the order in which they are read: without it every call copies the attention weights.
        lay_out_(model)
        return model


def _named(name: str | os.PathLike[str] | None, tokenizer: Any, *, dtype: torch.dtype, device: str) -> Model:
    """A model by folder, shipped name, or name on the hub."""
    label, folder, source = _locate(name)
    checkpoint = read_folder(folder, dtype=dtype) if folder else hub.fetch(label, dtype=dtype)
    if checkpoint is None:
        return _by_transformer_lens(label, tokenizer, dtype=dtype, device=device)
    if tokenizer is not None:
        checkpoint = replace(checkpoint, tokenizer=tokenizer)
    return _hooked(checkpoint, label, source, dtype=dtype, device=device)


def _require_one(name: object, hf_model: object, tokenizer: object) -> None:
    if (name is None) == (hf_model is None):
        received = "neither" if name is None else f"name {name!r} and a {type(hf_model).__name__}"
        raise ValueError(f"load_model takes either a name or hf_model=; received {received}")
    for argument, value, kind in (
        ("hf_model", hf_model, PreTrainedModel),
        ("tokenizer", tokenizer, PreTrainedTokenizerBase),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{argument} is a {type(value).__name__}; pass an object that transformers has loaded, "
                f"a {kind.__name__}" + ("" if argument == "tokenizer" else ", or pass a name or folder as the name")
            )


def _dtype(dtype: object) -> torch.dtype:
    key = str(dtype).removeprefix("torch.")
    if key not in DTYPES:
        raise ValueError(f"dtype {str(dtype)!r} is not supported; allowed: {', '.join(map(repr, DTYPES))}")
    found: torch.dtype = getattr(torch, key)
    return found


def _device(device: torch.device | str | None) -> str:
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), "")[:120]
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({reason}); try 'cpu', or 'cuda' where torch sees a GPU"
        ) from None
    return str(device)


def _locate(name: str | os.PathLike[str] | None) -> tuple[str, Path | None, str]:
    """Return the name as text, the folder that it names, if any, and what kind of thing it is."""
    if name is not None and not isinstance(name, str | os.PathLike):
        way = "it is loaded already" if isinstance(name, Model) else "pass a model of transformers as hf_model="
        raise TypeError(f"the name is a {type(name).__name__}; pass a name or a folder, such as 'toy-bert' ({way})")
    label = os.fspath(name) if name is not None else ""
    if not label.strip():
        raise ValueError(f"the name is empty ({label!r}); pass a folder or a name, such as 'toy-bert'")
    path = Path(label).expanduser()
    if path.is_dir():
        return label, path, "folder"
    if label in names.SHIPPED:
        return label, names.SHIPPED[label], "shipped"
    if path.is_file() or path.is_absolute() or label.startswith((".", "~")):
        what = "a file" if path.is_file() else "not there"
        raise ValueError(f"the path {label!r} is {what}; pass a folder with config.json, weights and tokenizer")
    return label, None, "hub"


def _hooked(checkpoint: Checkpoint, name: str, source: str, *, dtype: torch.dtype, device: str) -> Model:
    model: Model = convert(checkpoint, name=name, dtype=dtype)
    provenance.record(
        model,
        name=name,
        source=source,
        revision=hub.revision(name) if source == "hub" else None,
        architecture=checkpoint.architecture,
        has_logits=has_language_head(checkpoint),
    )
    model.to(device, print_details=False)
    return model


def _by_transformer_lens(name: str, tokenizer: Any, *, dtype: torch.dtype, device: str) -> HookedTransformer:
    with neutral_folder() as folder:
        own = None if tokenizer is None else tokenizers.private_copy(tokenizer, folder)
        model = hub.load_by_transformer_lens(name, tokenizer=own, dtype=dtype, device=device)
    if tokenizer is not None:
        tokenizers.give(model, tokenizer)
    elif model.tokenizer is not None:
        tokenizers.settle(model)
    architecture = str(model.cfg.original_architecture)
    provenance.record(model, name=name, source="hub", revision=hub.revision(name), architecture=architecture)
    return model.eval()
