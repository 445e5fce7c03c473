"""Load models and say what they are."""

from tlesion.models.load import load_model
from tlesion.models.provenance import ModelInfo, has_logits, info, require_logits

__all__ = ["ModelInfo", "has_logits", "info", "load_model", "require_logits"]
