"""The public names, for `lazy_loader` and for type checkers."""

from . import planted as planted
from .planted import Planted as Planted
from .planted import PlantedLanguage as PlantedLanguage
from .planted import PlantedTruth as PlantedTruth
from .planted import planted_model as planted_model
