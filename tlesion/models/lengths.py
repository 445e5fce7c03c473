"""From which length on a Hugging Face model works in another way, by its configuration."""

from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

_BY_LENGTH = ("dynamic", "longrope")
"""Scalings of the rotary embedding that depend on how long a text is."""


@dataclass(frozen=True)
class Lengths:
    """Lengths that matter to a model.

    Attributes:
        windows: How many positions each layer attends to; None: all of them. Empty if no layer has a window.
        scaled_rotary: The kind of its rotary embedding, where that is scaled; else empty.
        rotary_limit: The length beyond which that is another one; None if it is the same for every text.
    """

    windows: tuple[int | None, ...]
    scaled_rotary: str
    rotary_limit: int | None

    @property
    def limits(self) -> list[int]:
        """Lengths beyond which the model works in another way."""
        found = {*self.windows, self.rotary_limit} - {None}
        return sorted(limit for limit in found if limit is not None)


def lengths_of(config: PretrainedConfig) -> Lengths:
    """Read them from a model's configuration; of a model of several parts, from that of its text model."""
    config = config.get_text_config()
    kinds = [kind for kind in _rotary(config) if kind.get("rope_type", kind.get("type", "default")) != "default"]
    names = sorted({str(kind.get("rope_type", kind.get("type"))) for kind in kinds})
    by_length = [kind for kind in kinds if kind.get("rope_type", kind.get("type")) in _BY_LENGTH]
    limits = [_original(kind, config) for kind in by_length]
    return Lengths(
        windows=_windows(config), scaled_rotary=", ".join(names), rotary_limit=min(limits) if limits else None
    )


def _windows(config: PretrainedConfig) -> tuple[int | None, ...]:
    n_layers = int(config.num_hidden_layers)
    if config.model_type == "gpt_neo":
        kinds = config.attention_layers
        return tuple(config.window_size if kind == "local" else None for kind in kinds)
    window = getattr(config, "sliding_window", None)
    if not window or not getattr(config, "use_sliding_window", True):
        return ()
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * n_layers
    return tuple(int(window) if kind == "sliding_attention" else None for kind in kinds)


def _rotary(config: PretrainedConfig) -> list[dict[str, Any]]:
    """The settings of the rotary embedding; there may be one for each type of layer."""
    given = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [value for value in given.values() if isinstance(value, dict)]
    return nested or [given]


def _original(kind: dict[str, Any], config: PretrainedConfig) -> int:
    own = kind.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    return int(own or config.max_position_embeddings)
