"""What is asked of the verdict, row by row: a world, what to count in its studies, and the target."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tlesion
from benchmarks.verdicts.world import World, study
from tlesion.inference import bootstrap_mean
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.grid import part_of
from tlesion.studies.verdict.result import NEGLIGIBLE, OPPOSITE, SPECIFIC, Verdict

WRONG = "specific or opposite, wrongly, in a study"
DISSOCIATED = "double dissociation, wrongly, in a study"
AT_MOST = "at most 5%"
COVERED = "93% to 97%"
ENOUGH = "at least 90%"
BOUNDS = {AT_MOST: (0.0, 0.05), COVERED: (0.93, 0.97), ENOUGH: (0.9, 1.0), "at least 95%": (0.95, 1.0)}
N_PERMUTATIONS = 2000

Judge = Callable[[int], Sequence[Sequence[bool]]]
"""The study of one seed: for each row that it belongs to, whether what is counted there happened, once or more."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Rows of the table that are made from the same studies, before they are measured.

    Attributes:
        counted: What is counted in each row, and what should hold of it; "" where the number is for orientation.
        setting: In which studies.
        judge: What one study contributes.
    """

    counted: tuple[tuple[str, str], ...]
    setting: str
    judge: Judge


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured number: ``value`` of ``n`` with its standard error, the target, and whether it holds."""

    claim: str
    setting: str
    studies: int
    n: int
    value: float | None
    error: float | None
    target: str
    holds: str


def measured(claim: Claim, seeds: Sequence[int]) -> list[Row]:
    """Run the studies of some rows.

    Args:
        claim: The rows.
        seeds: One for each study.
    """
    found = [claim.judge(seed) for seed in seeds]
    return [
        _row(name, claim.setting, target, [list(one[place]) for one in found])
        for place, (name, target) in enumerate(claim.counted)
    ]


def _row(name: str, setting: str, target: str, found: list[list[bool]]) -> Row:
    counted = [one for some in found for one in some]
    n, studies = len(counted), len(found)
    head: dict[str, Any] = {"claim": name, "setting": setting, "studies": studies, "n": n, "target": target}
    if not counted:
        return Row(**head, value=None, error=None, holds="")
    value = float(np.mean(counted))
    # Several counts of one study are not independent: the error is that of the studies' means.
    means = [float(np.mean(some)) for some in found if some]
    error = max(float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else 0.0, 1 / (2 * len(means)))
    return Row(**head, value=value, error=error, holds=_holds(target, value, error))


def _holds(target: str, value: float, error: float) -> str:
    bounds = BOUNDS.get(target)
    if bounds is None:
        return ""
    low, high = bounds
    if low <= value <= high:
        return "yes"
    return "within 2 standard errors" if low - 2 * error <= value <= high + 2 * error else "NO"


def judged(profile: LaminarProfile, **options: object) -> Verdict:
    """The verdict, with fewer sign flips than usual, and without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tlesion.verdict(profile, **({"n_permutations": N_PERMUTATIONS} | options))  # type: ignore[arg-type]


def claims() -> list[Claim]:
    """All rows of simulated worlds."""
    nulls = {
        "nothing planted, random masks of 5 %": World(),
        "random masks of 20 %": World(share=0.2),
        "random masks of 50 %": World(share=0.5),
        "random masks of 90 %": World(share=0.9),
        "the busiest neurons, 5 %": World(choice="busy"),
        "read-only decoys": World(choice="decoy"),
        "10 templates of 4 prompts, ICC 0.5, labelled": World(n_templates=10),
        "10 templates of 4 prompts, ICC 0.5, not labelled": World(n_templates=10, labelled=False),
        "heavy tails (t with 3 degrees of freedom)": World(noise="t3", spread=1.0),
        "log-normal variation": World(noise="lognormal", spread=1.0),
        "8 masks": World(n_masks=8),
        "24 layers": World(n_layers=24),
        "bfloat16": World(dtype="bfloat16"),
        "12 prompts": World(n_prompts=12),
        "a model that guesses": World(right=0.5),
    }
    found = [
        Claim(counted=((WRONG, AT_MOST), (DISSOCIATED, AT_MOST)), setting=name, judge=_wrongly(world))
        for name, world in nulls.items()
    ]
    unmatched = "the busiest neurons, 5 %, controls not matched on activity"
    judge = _wrongly(World(choice="busy", match=False))
    found.append(Claim(counted=((WRONG, ""), (DISSOCIATED, "")), setting=unmatched, judge=judge))
    return [*found, *_at_the_smallest(), *_coverage(), *_planted()]


def _wrongly(world: World) -> Judge:
    def judge(seed: int) -> Sequence[Sequence[bool]]:
        return claimed(judged(study(world, seed)))

    return judge


def claimed(verdict: Verdict) -> Sequence[Sequence[bool]]:
    """Whether any lesion is called specific, of either sign, and whether a double dissociation is claimed."""
    specific = any(word in (SPECIFIC, OPPOSITE) for row in verdict.verdicts for word in row)
    return [[specific], [bool(verdict.dissociates.any())]]


def _at_the_smallest() -> list[Claim]:
    """How often an effect of exactly the smallest of interest is called negligible: either sign, several n."""
    found = []
    for noise in ("normal", "t3"):
        for n in (10, 20, 40):
            for size in (1.0, 0.5):
                asked = AT_MOST if size == 1.0 else ""
                found.append(
                    Claim(
                        counted=(("negligible", asked),),
                        setting=f"effect {size:g} times the smallest of interest, {n} prompts, {noise}",
                        judge=_negligible(noise, n, size),
                    )
                )
    return found


def _negligible(noise: str, n: int, size: float) -> Judge:
    """Effects are put in by hand: mean as told, standard deviation half the smallest effect of interest."""

    def judge(seed: int) -> Sequence[Sequence[bool]]:
        rng = np.random.default_rng([seed, n, 1])
        mean = size * (1 - 2 * (seed % 2))
        profile = study(World(n_layers=1, n_units=40, n_masks=1, n_prompts=2 * n, n_controls=19), seed)
        drop = profile.logit_drop.clone()
        drop[0, 0, :, 0] = drop[0, 0, :, 1] + mean + 0.5 * _draws(noise, 2 * n, rng)
        changed = replace(profile, logit_drop=drop, global_change=torch.full_like(profile.global_change, 0.1))
        return [[judged(changed, smallest=1.0).verdicts[0][0] == NEGLIGIBLE]]

    return judge


def _draws(noise: str, n: int, rng: np.random.Generator) -> Tensor:
    if noise == "t3":
        return torch.from_numpy(rng.standard_t(3, n) / 3**0.5)
    return torch.from_numpy(rng.standard_normal(n))


def _coverage() -> list[Claim]:
    """Does the interval that a verdict gives hold the true mean? And, for orientation, do BCa's?"""
    found = []
    for noise in ("normal", "t3"):
        for n in (10, 20, 40):
            for method, target in (("t", COVERED), ("bca", "")):
                found.append(
                    Claim(
                        counted=(("interval covers" if method == "t" else "BCa interval covers", target),),
                        setting=f"{n} prompts, {noise}",
                        judge=_covers(noise, n, method),
                    )
                )
    found.append(
        Claim(
            counted=(("interval covers", COVERED),),
            setting="10 templates of 4 prompts, ICC 0.5",
            judge=_covers("normal", 10, "t", per_template=4),
        )
    )
    return found


def _covers(noise: str, n: int, method: str, *, per_template: int = 1) -> Judge:
    """Twenty layers of a study at once; what its intervals are made by is called as the verdict calls it."""

    def judge(seed: int) -> Sequence[Sequence[bool]]:
        rng = np.random.default_rng([seed, n, 2])
        own = _draws(noise, 20 * n * per_template, rng).reshape(20, n, per_template)
        if per_template > 1:
            own = 0.5**0.5 * own + 0.5**0.5 * _draws(noise, 20 * n, rng).reshape(20, n, 1)
        groups = [str(g) for g in range(n) for _ in range(per_template)]
        band = bootstrap_mean(own.flatten(1), method=method, groups=groups, n_resamples=1000, seed=seed)
        return [((band.low <= 0) & (band.high >= 0)).tolist()]

    return judge


def _planted() -> list[Claim]:
    """Are effects found that a pilot study on other prompts calls detectable?"""
    found = []
    for share in (0.05, 0.1, 0.2):
        for size in (1.0, 2.0, 3.0):
            world = World(share=share, planted=size)
            found.append(
                Claim(
                    counted=(
                        ("specific: planted neurons whose effect a pilot study calls detectable", ENOUGH),
                        ("specific: planted neurons, whatever the pilot study says", ""),
                    ),
                    setting=f"masks of {100 * share:g} %, effect {size:g} logits",
                    judge=_found_again(world),
                )
            )
    return found


def _found_again(world: World) -> Judge:
    """The same neurons, seen on the first half of the prompts (the pilot) and judged on the second."""

    def judge(seed: int) -> Sequence[Sequence[bool]]:
        both = study(replace(world, n_prompts=2 * world.n_prompts), seed)
        pilot, main = (half(both, part) for part in (0, 1))
        least = judged(pilot).detectable_effect[:, -1]
        words = judged(main).verdicts
        found = [words[m][-1] == SPECIFIC for m in range(world.n_masks)]
        return [[one for m, one in enumerate(found) if world.planted >= float(least[m])], found]

    return judge


def half(profile: LaminarProfile, part: int) -> LaminarProfile:
    """One half of a profile's prompts: those of both words in turn."""
    kept = [i for i in range(len(profile.prompts)) if i // 2 % 2 == part]
    return part_of(profile, profile.groups, kept)
