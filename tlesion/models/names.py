"""Names of models: the shipped ones, TransformerLens' own, and the closest to a name that is neither."""

import difflib
from pathlib import Path

from transformer_lens.loading_from_pretrained import make_model_alias_map
from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES

SHIPPED = {name: Path(__file__).parents[1] / "toy" / name for name in ("toy-bert", "toy-gpt")}
"""Folders of the models that come with the package."""


def official_name(name: str) -> str | None:
    """Return the Hugging Face repository of a model that TransformerLens knows by this name or alias."""
    return make_model_alias_map().get(name.lower())


def official_names(text: str) -> list[str]:
    """Return the names on the Hugging Face hub of the models that TransformerLens knows and that hold a text."""
    return [name for name in OFFICIAL_MODEL_NAMES if text.lower() in name.lower()]


def alternatives(name: str) -> str:
    """Name, for an error message, the known names closest to `name` and the shipped models."""
    aliases = [alias for several in MODEL_ALIASES.values() for alias in several]
    spelling = {known.lower(): known for known in [*SHIPPED, *aliases, *OFFICIAL_MODEL_NAMES]}
    close = difflib.get_close_matches(name.lower(), spelling.keys() - {name.lower()}, n=4, cutoff=0.5)
    listed = ", ".join(repr(spelling[match]) for match in close) or "none"
    return (
        f"closest known names: {listed}; "
        f"shipped with the package, so that no network is needed: {', '.join(map(repr, SHIPPED))}"
    )
