"""Models with planted neurons: weights set by hand, so that what statistics should find is known."""

from tlesion.toy.planted.language import PlantedLanguage
from tlesion.toy.planted.model import Planted, planted_model
from tlesion.toy.planted.truth import PlantedTruth

__all__ = ["Planted", "PlantedLanguage", "PlantedTruth", "planted_model"]
