"""Docstrings as the site shows them: griffe's section names, links for Sphinx roles, one line per name."""

import re
import sys
from pathlib import Path
from typing import Any

import griffe
import latex2mathml.converter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from notebooks.reference import public

_ROLE = re.compile(r":(?:func|mod|class|meth):`~?([^`]+)`")
_MATH = re.compile(r":math:`([^`]+)`")
_MATH_BLOCK = re.compile(r"^\.\. math::(?P<inline>.*)\n(?P<block>(?:\n| +\S.*\n?)*)", re.M)
_GROUP = re.compile(r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+): (?P<text>.*)$")
_SECTION = re.compile(r"^(\w+):\s*$")


class Docstrings(griffe.Extension):
    """Rewrites every docstring of the package before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """One docstring.

    Example:
        >>> print(rewritten("One.\\n\\nArgs:\\n    a, b: Both, see :func:`tlesion.sweep`."))
        One.
        <BLANKLINE>
        Args:
            a: Both, see [`tlesion.sweep`][tlesion.sweep].
            b: Likewise.
    """
    text = in_markdown(re.sub(r"^Example:\s*$", "Examples:", text, flags=re.M))
    lines, section = [], ""
    pending: list[str] = []
    for line in text.splitlines():
        heading, group = _SECTION.match(line), _GROUP.match(line)
        if not line.startswith(" " * 8):  # the group's own text goes on while it is indented further
            lines += pending
            pending = []
        section = heading[1] if heading else section if line.startswith(" ") or not line else ""
        if group and section in ("Args", "Attributes"):
            first, *others = group["names"].split(", ")
            lines.append(f"{group['indent']}{first}: {group['text']}")
            pending = [f"{group['indent']}{name}: Likewise." for name in others]
        else:
            lines.append(line)
    return "\n".join([*lines, *pending])


def in_markdown(text: str) -> str:
    """Sphinx roles, formulas and double backquotes as Markdown has them; a public name becomes a link to its place.

    Example:
        >>> in_markdown("See :func:`tlesion.sweep` and :mod:`tlesion.drawing.style`, ``x``.")
        'See [`tlesion.sweep`][tlesion.sweep] and `tlesion.drawing.style`, `x`.'
    """
    linked = {name for names in public.pages().values() for name in names}
    text = _MATH_BLOCK.sub(
        lambda match: f"\n{mathml(match['inline'] + ' ' + match['block'], display='block')}\n\n", text
    )
    # In a span, or Markdown would make a block of a formula that begins a line.
    text = _MATH.sub(lambda match: f"<span>{mathml(match[1])}</span>", text)
    text = _ROLE.sub(lambda match: f"[`{match[1]}`][{match[1]}]" if match[1] in linked else f"`{match[1]}`", text)
    return text.replace("``", "`")


def mathml(formula: str, *, display: str = "inline") -> str:
    """A LaTeX formula as MathML, which browsers draw by themselves: no script has to be fetched.

    Example:
        >>> mathml("a / b").startswith("<math")
        True
    """
    return latex2mathml.converter.convert(" ".join(formula.split()), display=display)
