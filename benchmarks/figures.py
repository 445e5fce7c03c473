"""The figures of the README, drawn anew from the shipped models: ``python -m benchmarks.figures``.

Needs kaleido (in the ``docs`` extra) and a Chrome or Chromium. Each figure is one study with the settings that its
command has by default. ``python -m benchmarks.readme`` then brings the README's text in line with them.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

import tlesion
from benchmarks.static import browser
from tlesion import plots
from tlesion.drawing.style import Figure
from tlesion.studies.verdict import words as verdict_words

FOLDER = Path(__file__).parents[1] / "notebooks" / "figures"
VERDICT = Path(__file__).parent / "results" / "readme_verdict.json"
TEXT = "Robert helped Lucy with her project and she thanked him for his hard work. The teacher gave the boy an apple."
TOP = 50
"""Neurons per word and layer, a tenth of them: random sets of that size hold little of each other."""


def neurons() -> dict[str, Figure]:
    """Which neurons tell him from her."""
    model = tlesion.load_model("toy-bert")
    found = tlesion.select_neurons(model, tlesion.contrasts.him_her_in_context(), position="mask", test="paired")
    return {"neurons": plots.selective_share(found)}


def laminar() -> dict[str, Figure]:
    """The profile of the README's first figure, and its verdict in words beside it."""
    model = tlesion.load_model("toy-bert")
    contrast = tlesion.contrasts.him_her_in_context()
    selection = tlesion.select_neurons(model, contrast, position="mask", test="paired", top_k=TOP)
    masks = {word: selection.mask(word) for word in ("him", "her")}
    smallest = tlesion.smallest_effect(model, contrast)
    profile = tlesion.laminar_profile(model, masks, tlesion.prompts.him_her(), smallest=smallest, selected_on=selection)
    verdict = tlesion.verdict(profile)
    said = [*verdict_words.chance(verdict), *verdict_words.found(verdict)]
    VERDICT.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    drawn = {f"verdict-{word}": plots.verdict(verdict, profile, mask=word) for word in masks}
    return {"laminar": plots.laminar_profile(profile), **drawn}


def subspace() -> dict[str, Figure]:
    """What cutting the leading direction does, layer by layer."""
    result = tlesion.subspace_removal(tlesion.load_model("toy-gpt"), TEXT, rank=1)
    return {"subspace": plots.drift_map(result)}


def replacement() -> dict[str, Figure]:
    """What each head's keys are worth."""
    model = tlesion.load_model("toy-bert")
    result = tlesion.replacement(model, tlesion.prompts.him_her()[:20], tlesion.head_variants(model))
    return {"replace": plots.head_map(result)}


def context() -> dict[str, Figure]:
    """How far activations in context agree with those of the same token alone."""
    result = tlesion.context_modulation(tlesion.load_model("toy-gpt"), TEXT)
    return {"context": plots.correlation_by_layer(result)}


STUDIES: tuple[Callable[[], dict[str, Figure]], ...] = (neurons, laminar, subspace, replacement, context)
SIZES = {"laminar": (920, 460), "verdict-him": (760, 480), "verdict-her": (760, 480)}
"""Width and height in pixels, where a figure is more than a thumbnail."""
THUMBNAIL = (560, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    known = [study.__name__ for study in STUDIES]
    parser.add_argument("studies", nargs="*", help=f"which of {', '.join(known)}; default: all")
    options = parser.parse_args()
    if unknown := set(options.studies) - set(known):
        parser.error(f"no study is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    torch.set_num_threads(options.threads)
    FOLDER.mkdir(exist_ok=True)
    chosen = [study for study in STUDIES if not options.studies or study.__name__ in options.studies]
    drawn = {name: figure for study in chosen for name, figure in study().items()}
    with browser() as render:
        for name, figure in drawn.items():
            path = FOLDER / f"{name}.png"
            width, height = SIZES.get(name, THUMBNAIL)
            path.write_bytes(render(figure.to_dict(), width=width, height=height))
            print(f"{path.relative_to(FOLDER.parents[1])}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
