"""The table: which architectures there are, and what is refused of them. Tests and the page of results come from it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

import tlesion
from benchmarks.architectures import hand_made, published, words
from benchmarks.architectures.cells import PLANS, STUDIES
from benchmarks.architectures.lesions import KINDS
from benchmarks.architectures.subject import Subject

DTYPES = ("float32", "bfloat16")
_ANY = frozenset(DTYPES)
_OTHERWISE = "does not compute what the original computes"
NOT_LOADED: dict[str, tuple[frozenset[str], str]] = {
    "Llama, biases": (_ANY, _OTHERWISE),
    "Qwen 2, windowed": (_ANY, f"attention windows|{_OTHERWISE}"),
    "Qwen 3, windowed": (_ANY, f"attention windows|{_OTHERWISE}"),
    "Mixtral": (frozenset({"bfloat16"}), "dtype"),
    "OLMoE": (frozenset({"bfloat16"}), "dtype"),
    "Gemma": (_ANY, "GemmaForCausalLM"),
    "Gemma 2": (_ANY, "Gemma2ForCausalLM"),
    "Gemma 3": (_ANY, "Gemma3ForCausalLM"),
    "Phi": (_ANY, "PhiForCausalLM"),
    "OLMo": (_ANY, "OlmoForCausalLM"),
    "OLMo 2": (_ANY, "Olmo2ForCausalLM"),
    "StableLM": (_ANY, "StableLmForCausalLM"),
    "Granite": (_ANY, "GraniteForCausalLM"),
    "Cohere": (_ANY, "CohereForCausalLM"),
    "Falcon": (_ANY, "FalconForCausalLM"),
    "T5": (_ANY, "T5ForConditionalGeneration"),
}
"""What `tlesion.load_model` refuses, in which dtypes, and a word of the reason."""

_BOTH = "both directions|what comes later in a text changes what is before it"
REFUSED: dict[tuple[str, str], str] = {
    ("BERT", "prefix"): _BOTH,
    ("BERT with both heads", "prefix"): _BOTH,
    ("attention in both directions", "prefix"): _BOTH,
    ("dynamic rotary embedding (Qwen 1)", "prefix"): _BOTH,
    ("dynamic rotary embedding alone", "prefix"): _BOTH,
    ("attention only", "decompose_drop"): "not in this model",
}
"""Architecture and plan or study: a word of the reason for which all of it may be refused."""


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes:
        name: What it is called.
        make: Makes the model in a dtype.
        dtypes: Those that TransformerLens runs it in.
    """

    name: str
    make: Callable[[str], Any]
    dtypes: tuple[str, ...] = DTYPES

    def subject(self, dtype: str) -> Subject:
        """The model with its plain numbers; where the table says that it is not loaded, its refusal is raised."""
        return Subject(self.make(dtype), masked=self.name.startswith("BERT"))

    def not_loaded(self, dtype: str) -> str | None:
        """A word of the refusal on loading; None where it loads."""
        dtypes, word = NOT_LOADED.get(self.name, (frozenset(), ""))
        return word if dtype in dtypes else None

    def refusal(self, what: str) -> str | None:
        """A word of the refusal by a plan or study; None where it has to run."""
        return REFUSED.get((self.name, what))


def _loaded(name: str) -> Callable[[str], Any]:
    def make(dtype: str) -> Any:
        kind = words.tokenizer(masked=name.startswith("BERT"))
        return tlesion.load_model(hf_model=published.hugging_face_model(name), tokenizer=kind, dtype=dtype)

    return make


def _by_hand(name: str) -> Callable[[str], Any]:
    return lambda dtype: hand_made.hand_made_model(name, dtype=getattr(torch, dtype))


ARCHITECTURES = {
    **{name: Architecture(name, _loaded(name)) for name in published.CONFIGS},
    **{name: Architecture(name, _by_hand(name)) for name in hand_made.CONFIGS},
    "experts": Architecture("experts", _by_hand("experts"), dtypes=("float32",)),  # its router stays in float32
}


def columns() -> Iterator[tuple[str, str]]:
    """Every plan on every kind of lesion, then the studies."""
    yield from ((plan, kind) for kind in KINDS for plan in PLANS)
    yield from ((study, "") for study in STUDIES)


def stated(word: str, refusal: str) -> bool:
    """Whether a refusal says what the table says."""
    return re.search(word, refusal) is not None
