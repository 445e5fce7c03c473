"""Fetch a model by name from the Hugging Face hub or its cache, and say clearly when that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_session, try_to_load_from_cache
from transformer_lens import HookedTransformer
from transformer_lens import loading_from_pretrained as loading
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL_LM_NAMES

from tlesion.models import names
from tlesion.models.checkpoint import Checkpoint, first_line, read

_CONVERTED = ("bert", "gpt2", "gpt_neo", "gpt_neox", "llama")
"""Types of model that the conversion is tested with: from the hub they are loaded the same way as from a folder."""

_NOT_ON_TRANSFORMERS = ("NeelNanda/", "ArthurConmy/", "Baidicoot/")
"""Owners of models that exist in TransformerLens' own format only."""


def fetch(name: str, *, dtype: torch.dtype) -> Checkpoint | None:
    """Fetch a model that transformers can load.

    Args:
        name: A name or alias of TransformerLens, or any repository of the hub.
        dtype: To load the weights in.

    Returns:
        The checkpoint; None if TransformerLens has to load this one itself.

    Raises:
        ValueError: If there is no such model, or it cannot be fetched.
    """
    official = names.official_name(name)
    repository = official or name
    if repository.startswith((*_NOT_ON_TRANSFORMERS, *loading.NEED_REMOTE_CODE_MODELS)):
        return None
    with _reaching(name, repository):
        try:
            config = AutoConfig.from_pretrained(repository)
        except ValueError as error:
            raise ValueError(
                f"{repository!r} on the hub is not a model that transformers can load: {first_line(error)}"
            ) from None
        if official and config.model_type not in _CONVERTED and config.model_type in CAUSAL_LM_NAMES:
            return None
        return read(repository, config, dtype=dtype)


def load_by_transformer_lens(name: str, *, tokenizer: Any, dtype: torch.dtype, device: str | None) -> HookedTransformer:
    """Have TransformerLens fetch and convert one of its own models, without processing.

    Raises:
        ValueError: If it cannot.
    """
    repository = names.official_name(name) or name
    with _reaching(name, repository):
        try:
            model: HookedTransformer = HookedTransformer.from_pretrained_no_processing(
                repository, tokenizer=tokenizer, dtype=dtype, device=device
            )
            return model
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"TransformerLens cannot load {name!r}: {first_line(error)}") from error


def revision(name: str) -> str | None:
    """Return the commit that was fetched under this name, as the cache records it."""
    config = try_to_load_from_cache(names.official_name(name) or name, "config.json")
    return Path(config).parent.name if isinstance(config, str) else None


@contextmanager
def _reaching(name: str, repository: str) -> Iterator[None]:
    """Turn whatever the hub's libraries raise into one error; without a network, use the cache straight away.

    Each of their requests would be retried for half a minute, and a model takes many.
    """
    chosen, answers = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or _hub_answers()
    constants.HF_HUB_OFFLINE = chosen or not answers
    try:
        yield
    except OSError as error:
        if chosen:
            reason = "offline mode is set (HF_HUB_OFFLINE) and the cache has no complete copy"
        elif not answers:
            reason = "it did not answer, and the cache has no complete copy"
        else:
            reason = first_line(error)
        raise ValueError(
            f"cannot load {name!r}: there is no such folder, and {repository!r} could not be fetched from "
            f"{constants.ENDPOINT} ({reason}); {names.alternatives(name)}"
        ) from None
    finally:
        constants.HF_HUB_OFFLINE = chosen


def _hub_answers() -> bool:
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # Whichever HTTP library is in use, its errors share no base but this.
        return False
    return True
