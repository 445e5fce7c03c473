"""The parts of the README that are made from files: ``python -m benchmarks.readme``.

Each stands between two comments, ``<!-- name: begin -->`` and ``<!-- name: end -->``. A test fails when the README and
the files disagree.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = "notebooks/figures"

STUDIES = (
    # question, function, command, figure, notebook
    (
        "Which neurons tell two conditions apart, and how surely?",
        "select_neurons",
        "tlesion neurons",
        "neurons",
        "01_lesion_in_one_layer",
    ),
    (
        "What does cutting them cost, layer by layer, and is it more than cutting random ones costs?",
        "laminar_profile, verdict",
        "tlesion laminar",
        "verdict-him",
        "02_laminar_profile",
    ),
    (
        "What if a direction is cut instead of neurons, and where does the damage go?",
        "subspace_removal",
        "tlesion subspace",
        "subspace",
        "03_subspace_removal",
    ),
    (
        "What if a head's keys, every other neuron or a hidden state is replaced?",
        "replacement",
        "tlesion replace",
        "replace",
        "04_replacement",
    ),
    (
        "How far do neurons agree on a token in its context and alone?",
        "context_modulation, space_modulation",
        "tlesion context",
        "context",
        "05_context_modulation",
    ),
)


def sections() -> dict[str, str]:
    """The generated sections by name, as they stand in the README."""
    return {"verdict": verdict(), "studies": studies(), "speed": speed(), "floors": floors()}


def verdict() -> str:
    """The verdict on the figure above it, in the words that the report has for it."""
    said = json.loads((RESULTS / "readme_verdict.json").read_text(encoding="utf-8"))
    return "\n".join(f"> {sentence}" + ("\n>" if i + 1 < len(said) else "") for i, sentence in enumerate(said))


def studies() -> str:
    """What each study answers, with a thumbnail."""
    lines = ["| question | function and command | |", "| --- | --- | --- |"]
    for question, functions, command, figure, notebook in STUDIES:
        named = ", ".join(f"`{name}`" for name in functions.split(", "))
        image = f'<img src="{FIGURES}/{figure}.png" width="280" alt="{command}">'
        link = f"[notebook](notebooks/{notebook}.ipynb)"
        lines.append(f"| {question} | {named}<br>`{command}`<br>{link} | {image} |")
    return "\n".join(lines)


def speed() -> str:
    """The table of the sweep's benchmark, with the machine that it was measured on, and what else was measured."""
    record = _measured("sweep")
    rows = record["rows"]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(_shown(row.get(column, '')) for column in columns)} |" for row in rows]
    on = record["machine"]
    about = [
        f"Measured on {on['processor']}, {on['cores']} cores, {on['threads']} threads, torch {on['torch']}, with",
        "random weights. [The whole table](benchmarks/results/sweep.md) has every peer, and why a target is missed;",
        "[a figure](benchmarks/results/scaling.png) shows cost against layers, prompts, tokens and lesions.",
    ]
    also = [
        *(
            f"- [selection](benchmarks/results/selection.md), {row['what']}: {row['reached']}"
            for row in _measured("selection")["rows"]
        ),
        *(
            f"- [subspace removal](benchmarks/results/subspace_removal.md), {row['shape']}, {row['tokens']} tokens, "
            f"× loop: {row['× loop']}"
            for row in _measured("subspace_removal")["rows"]
        ),
    ]
    return "\n".join([*lines, "", *about, "", *also])


def _measured(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def floors() -> str:
    """The floors of the package, as tests/test_imports.py enforces them."""
    by_floor: dict[int, list[str]] = {}
    for floor, names in enforced_floors():
        by_floor.setdefault(floor, []).extend(sorted(names))
    lines = []
    for floor, names in sorted(by_floor.items(), reverse=True):
        lines += [f"{floor}  {'  '.join(names)}", f"   {ABOUT[floor]}", ""]
    return "\n".join(["```text", *lines[:-1], "```"])


ABOUT = {
    5: "parse, call, write files: no science",
    4: "a result becomes a plotly figure; nothing else imports plotly",
    3: "one file per question; results read back; the shipped models",
    2: "many lesions, exactly and fast; statistics of neurons; controls and what follows from them",
    1: "models, hook points, stimuli, edits as hook functions, results on disk",
    0: "tensor and array mathematics: no transformer_lens here",
}


def enforced_floors() -> list[tuple[int, set[str]]]:
    """The table FLOORS of the test, read without running it: (floor, modules), from the bottom up."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "FLOORS" and node.value is not None:
            return list(ast.literal_eval(node.value))
    raise ValueError("tests/test_imports.py has no table FLOORS any more; the README's diagram is made from it")


def filled(text: str) -> str:
    """A README with its generated sections brought up to date.

    Raises:
        ValueError: A section has no place in the text, or more than one.
    """
    for name, content in sections().items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the README needs exactly one {begin} and one {end}")
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
        whole = f"{begin}\n\n{content}\n\n{end}"
        text = pattern.sub(lambda _, whole=whole: whole, text)
    return text


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
