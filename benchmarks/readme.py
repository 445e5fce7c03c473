"""The parts of the README that are made from files: ``python -m benchmarks.readme``.

Each stands between two comments, ``<!-- name: begin -->`` and ``<!-- name: end -->``. A test fails when the README and
the files disagree. :mod:`benchmarks.contributing` does the same for CONTRIBUTING.md.
"""

import json
import re
from collections.abc import Mapping
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
    return {"verdict": verdict(), "studies": studies(), "speed": speed()}


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
    record = measured("sweep")
    lines = [f"| {' | '.join(SHOWN)} |", "|" + " --- |" * len(SHOWN)]
    lines += [f"| {' | '.join(_shown(row.get(column, '')) for column in SHOWN)} |" for row in record["rows"]]
    on = record["machine"]
    about = [
        f"Measured on {on['processor']}, {on['cores']} cores, {on['threads']} threads, torch {on['torch']}, with",
        "random weights. [The whole table](benchmarks/results/sweep.md) has every peer;",
        "[a figure](benchmarks/results/scaling.png) shows cost against layers, prompts, tokens and lesions.",
    ]
    also = [
        *(
            f"- [selection](benchmarks/results/selection.md), {row['what']}: {_shown(row['reached'])}"
            for row in measured("selection")["rows"]
        ),
        *(
            f"- [subspace removal](benchmarks/results/subspace_removal.md), {row['shape']}, {row['tokens']} tokens, "
            f"× loop: {_shown(row['× loop'])}"
            for row in measured("subspace_removal")["rows"]
        ),
    ]
    return "\n".join([*lines, "", *about, "", *also])


SHOWN = ("work", "shape", "lesions", "tlesion [s]", "loop [s]", "× loop", "× fastest peer")
"""Columns of the sweep's table that the README has; targets and the rest stand in CONTRIBUTING.md and in the table."""


def measured(name: str) -> dict[str, Any]:
    """What a benchmark wrote into benchmarks/results/."""
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def filled(text: str, parts: Mapping[str, str], *, page: str = "README.md") -> str:
    """A page with its generated sections brought up to date.

    Raises:
        ValueError: A section has no place in the text, or more than one.
    """
    for name, content in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{page} needs exactly one {begin} and one {end}")
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
        whole = f"{begin}\n\n{content}\n\n{end}"
        text = pattern.sub(lambda _, whole=whole: whole, text)
    return text


def _shown(value: Any) -> str:
    """A cell: numbers to three digits, what was reached without what was aimed at."""
    return f"{value:.3g}" if isinstance(value, float) else re.sub(r" \(target[^)]*\)", "", str(value))


def main() -> None:
    README.write_text(filled(README.read_text(encoding="utf-8"), sections()), encoding="utf-8")


if __name__ == "__main__":
    main()
