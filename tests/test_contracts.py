"""Types and shapes of the package's functions are checked in tests, whether a function states a shape or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from tlesion.hooks.points import layer_of
from tlesion.stats import EffectSize

checked = jaxtyping.jaxtyped(typechecker=beartype)
FOUND = TypeError  # jaxtyping's, and beartype's as tests/contracts.py has it


@checked
def plain(number: int, *, factor: float = 1.0) -> str:
    return str(number * factor) if number else 0  # type: ignore[return-value]


@checked
def shaped(a: Float[Tensor, " n"], b: Float[Tensor, " n"] | None) -> Float[Tensor, " n"]:
    return a[:2] if b is None else b


@checked
@dataclass
class Part:
    name: str
    count: int | None = None

    @property
    @checked
    def size(self) -> int:
        return self.name  # type: ignore[return-value]


@checked
@dataclass
class Shaped:
    a: Float[Tensor, "row unit"]
    b: Float[Tensor, " unit"]


def wrong_calls() -> Iterator[tuple[str, Callable[[], Any]]]:
    two, three = torch.zeros(2), torch.zeros(3)
    yield "argument", lambda: plain("1")  # type: ignore[arg-type]
    yield "option", lambda: plain(1, factor="2")  # type: ignore[arg-type]
    yield "result", lambda: plain(0)
    yield "field", lambda: Part(3)  # type: ignore[arg-type]
    yield "property", lambda: Part("three").size
    yield "two shapes", lambda: shaped(two, three)
    yield "shape of the result", lambda: shaped(three, None)
    yield "shapes of fields", lambda: Shaped(torch.zeros(4, 2), three)
    yield "the package's, without a shape", lambda: layer_of(3)  # type: ignore[arg-type]
    ends = {"lower": two.double(), "upper": three.double()}
    yield "the package's, with shapes", lambda: EffectSize(estimate=two.double(), level=0.95, **ends)


@pytest.mark.parametrize("call", [pytest.param(call, id=what) for what, call in wrong_calls()])
def test_what_a_signature_does_not_allow_is_found(call):
    with pytest.raises(FOUND):
        call()


def test_what_a_signature_allows_passes():
    assert plain(2, factor=0.5) == "1.0"
    assert shaped(torch.zeros(3), torch.zeros(3)).shape == (3,)
    assert shaped(torch.zeros(2), None).shape == (2,)
    assert Part("three", 3).count == 3
    assert Shaped(torch.zeros(4, 2), torch.zeros(2)).a.shape == (4, 2)
