"""Every public name says what it is: arguments, result, errors, shapes, and an example that runs as a doctest."""

import ast
import dataclasses
import inspect
import operator
import re
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

import tlesion
from notebooks.reference import public

NAMES = [name for names in public.pages().values() for name in names]
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Source", "Note")
# These refuse a value on their caller's behalf: who calls one of them raises.
REFUSING = re.compile(r"one_of|check_\w+|require_\w+|_?require\w*")
# A tensor is written with its shape, Float[Tensor, "layer neuron"], or the text says the shape in brackets.
BARE_TENSOR = re.compile(r"\b(?:torch\.)?Tensor\b(?!, ['\"])")


def thing(name: str) -> Any:
    """The object behind a dotted public name."""
    return operator.attrgetter(name.removeprefix("tlesion."))(tlesion)


def sections(doc: str) -> dict[str, str]:
    """A Google docstring by section; the text before the first one stands under ""."""
    found, current = {"": ""}, ""
    for line in inspect.cleandoc(doc).splitlines():
        heading = re.fullmatch(rf"({'|'.join(SECTIONS)}):", line)
        # An unindented line ends a section: what follows is text again.
        current = heading[1] if heading else "" if line[:1].strip() else current
        found[current] = found.get(current, "") + ("" if heading else line + "\n")
    return found


def entries(section: str) -> dict[str, str]:
    """The names of an Args or Attributes section with their texts; "a, b: ..." documents both."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(section).splitlines():
        entry = re.match(r"(\*{0,2}\w+(?:, \w+)*): ?(.*)", line)
        if entry:
            names = entry[1].split(", ")
        for name in names:
            found[name.lstrip("*")] = found.get(name.lstrip("*"), "") + (entry[2] if entry else line) + "\n"
    return found


def raises(function: Callable[..., Any]) -> bool:
    """Whether a function raises by itself, or by a private function of its own module or one that refuses values."""
    module = sys.modules[function.__module__]
    functions = {key: value for key, value in vars(module).items() if inspect.isfunction(value)}
    seen: set[str] = set()
    open_: list[Callable[..., Any]] = [function]
    while open_:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(open_.pop()))))
        if any(isinstance(node, ast.Raise) for node in ast.walk(tree)):
            return True
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
        if any(REFUSING.fullmatch(name) for name in called):
            return True
        fresh = {name for name in called - seen if name.startswith("_") and name in functions}
        seen |= fresh
        open_ += [functions[name] for name in fresh]
    return False


def written_annotations(function: Callable[..., Any]) -> dict[str, str]:
    """Annotations as the source has them, aliases unresolved; the result's under "return"."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    every = [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs]
    found = {one.arg: ast.unparse(one.annotation) if one.annotation else "" for one in every}
    return found | {"return": ast.unparse(tree.returns) if tree.returns else ""}


def faults_of_function(function: Callable[..., Any], *, needs_example: bool = True) -> list[str]:
    """What a function's docstring lacks; a method needs no example of its own."""
    doc = sections(function.__doc__ or "")
    if not doc[""].strip():
        return ["no docstring"]
    annotations = written_annotations(function)
    arguments = [name for name in annotations if name not in ("self", "cls", "return")]
    documented = entries(doc.get("Args", ""))
    together = set(re.findall(r"``(\w+)``", doc.get("Args", "")))  # "likewise ``test``, ``alpha``" in an entry
    documented |= {name: "" for name in arguments if name in together and name not in documented}
    if not needs_example:  # the sentence of a small method may name what it takes
        named = set(re.findall(r"\w+", doc[""]))
        documented |= {name: doc[""] for name in arguments if name in named and name not in documented}
    found = [f"Args: {name} is missing" for name in arguments if name not in documented]
    found += [
        f"Args: {name} is no argument" for name in documented if name not in inspect.signature(function).parameters
    ]
    for name in arguments:
        if BARE_TENSOR.search(annotations[name]) and "[" not in documented.get(name, ""):
            found.append(f"Args: {name} is a tensor without a shape")
    if BARE_TENSOR.search(annotations["return"]) and "[" not in doc.get("Returns", "") + doc[""]:
        found.append("Returns: a tensor without a shape")
    # One line may say both what a method without arguments does and what it returns.
    if needs_example and annotations["return"] != "None" and not {"Returns", "Yields"} & set(doc):
        found.append("Returns is missing")
    if raises(function) and "Raises" not in doc:
        found.append("Raises is missing")
    if needs_example and ">>>" not in doc.get("Example", ""):
        found.append("Example is missing")
    return found


def faults_of_class(kind: type) -> list[str]:
    """What a class lacks: its own docstring, one for every field, and those of the methods it defines."""
    doc = sections(kind.__doc__ or "")
    if not doc[""].strip() or doc[""].startswith(f"{kind.__name__}("):
        return ["no docstring"]
    documented = entries(doc.get("Attributes", "") + doc.get("Args", ""))
    own = [name for name in vars(kind).get("__annotations__", {}) if not name.startswith("_")]
    fields = [name for name in own if dataclasses.is_dataclass(kind)]
    found = [f"Attributes: {name} is missing" for name in fields if name not in documented]
    for name in fields:
        text = annotation_of(kind, name)
        if BARE_TENSOR.search(text) and "[" not in documented.get(name, ""):
            found.append(f"Attributes: {name} is a tensor without a shape")
    for name, member in vars(kind).items():
        method = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        inherited = not getattr(method, "__doc__", None) and any(hasattr(base, name) for base in kind.__bases__)
        if not name.startswith("_") and inspect.isfunction(method) and not inherited:
            found += [f"{name}: {fault}" for fault in faults_of_function(method, needs_example=False)]
    return found


def annotation_of(kind: type, field: str) -> str:
    """A field's annotation as the source has it."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    nodes = [node for node in body.body if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == field]
    return ast.unparse(nodes[0].annotation)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_is(name):
    value = thing(name)
    if inspect.isfunction(value):
        assert not faults_of_function(value), name
    elif inspect.isclass(value):
        assert not faults_of_class(value), name


def test_public_names_are_many():
    """A reader of sources that finds nothing would let everything pass."""
    functions = [name for name in NAMES if inspect.isfunction(thing(name))]
    assert len(functions) > 80
    assert {"tlesion.laminar_profile", "tlesion.plots.volcano", "tlesion.hooks.scoped"} <= set(functions)


def test_faults_are_found():
    def bare(values: Tensor, n: int) -> int:
        """Counts.

        Args:
            values: Some.
            m: Not there.
        """
        if n < 0:
            raise ValueError(n)
        return n

    assert faults_of_function(bare) == [
        "Args: n is missing",
        "Args: m is no argument",
        "Args: values is a tensor without a shape",
        "Returns is missing",
        "Raises is missing",
        "Example is missing",
    ]

    @dataclasses.dataclass
    class Result:
        """A result.

        Attributes:
            t, p: The test, ``[neuron]``.
        """

        t: Tensor
        p: Tensor
        n: int

        def mask(self, direction: str) -> Tensor:
            return self.t > float(direction)

    assert faults_of_class(Result) == ["Attributes: n is missing", "mask: no docstring"]
