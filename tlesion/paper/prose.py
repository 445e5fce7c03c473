"""Pieces of sentences that every report's words are made of."""

import math
import re
from collections.abc import Sequence

from torch import Tensor


def listed(parts: Sequence[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> listed(["him", "her", "it"])
        'him, her and it'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def true_minus(text: str) -> str:
    """A sentence with true minus signs before its numbers; hyphens within words stay.

    Example:
        >>> true_minus("a drop of -0.2 in a pre-norm model")
        'a drop of −0.2 in a pre-norm model'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


def interval(low: float | Tensor, high: float | Tensor) -> str:
    """``−0.10 to 0.35``, as tables and sentences give it."""
    return f"{_number(low)} to {_number(high)}"


def p_value(p: float) -> str:
    """A p as tables give it: two digits, "–" where there is none.

    Example:
        >>> p_value(0.0499), p_value(0.0001), p_value(float("nan"))
        ('0.050', '0.0001', '–')
    """
    if math.isnan(p):
        return "–"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def signed(value: float | Tensor) -> str:
    """A number with its sign, two decimals."""
    return f"{float(value):+.2f}".replace("-", "−")


def _number(value: float | Tensor) -> str:
    text = f"{float(value):.2f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def percent(share: float | Tensor) -> str:
    """A share as ``25 %``, with a decimal below ten percent.

    Example:
        >>> percent(0.25), percent(0.043), percent(0.0)
        ('25 %', '4.3 %', '0 %')
    """
    value = 100 * float(share)
    return f"{value:.0f} %" if value in (0, 100) or value >= 10 else f"{value:.1f} %"


def whole_percent(share: float) -> str:
    """A share as ``25 %``."""
    return f"{100 * share:.0f} %"


def layer_list(layers: Sequence[int]) -> str:
    """``layers 2 to 4, 6 and 7``: three neighbours and more together."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"layer{'s' if len(layers) > 1 else ''} {listed(parts)}"
