"""Stimuli: a `Contrast` to select neurons with, a `Prompt` to measure effects on."""

from tlesion.keep.hashing import combined_hash, stimulus_hash
from tlesion.stimuli import contrasts, prompts
from tlesion.stimuli.contrast import SUBWORDS, Contrast
from tlesion.stimuli.labels import check_conditions
from tlesion.stimuli.prompt import Prompt, require_one_mask
from tlesion.stimuli.sentence import Sentence

__all__ = [
    "SUBWORDS",
    "Contrast",
    "Prompt",
    "Sentence",
    "check_conditions",
    "combined_hash",
    "contrasts",
    "prompts",
    "require_one_mask",
    "stimulus_hash",
]
