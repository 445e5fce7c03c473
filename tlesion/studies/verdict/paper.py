"""A verdict for a paper: the paragraph on methods, in which every number is computed from the result."""

import math
from typing import Any

import torch

from tlesion.interventions import ablations
from tlesion.paper.prose import layer_list, listed
from tlesion.studies.verdict.result import OPPOSITE, RIGHT_ANSWER, SPECIFIC, VERDICTS, Verdict


def methods(verdict: Verdict) -> str:
    """See `Verdict.methods`."""
    return " ".join(
        [_lesions(verdict), _effects(verdict), _controls(verdict), _tests(verdict), _found(verdict), _software(verdict)]
    )


def apa_p(p: float) -> str:
    """A p as APA style has it, with its sign: no zero before the point.

    Example:
        >>> apa_p(0.0312), apa_p(0.0004), apa_p(1.0), apa_p(float("nan"))
        ('= .031', '< .001', '> .999', '')
    """
    if math.isnan(p):
        return ""
    if p < 0.001:
        return "< .001"
    return "> .999" if p > 0.9995 else f"= {f'{p:.3f}'.removeprefix('0')}"


def _lesions(verdict: Verdict) -> str:
    settings, model = verdict.provenance.settings["profile"], verdict.provenance.model
    sets = len(verdict.masks)
    tested = int((verdict.n_lesioned > 0).sum())
    name = settings.get("ablation", "")
    done = f"replaced by {ablations.named(name).summary}" if name in ablations.names() else f"ablated ({name})"
    record = [str(model[key]) for key in ("architecture", "dtype") if model.get(key)]
    record.append(f"revision {model['revision']}" if model.get("revision") else "no revision recorded")
    sizes = [
        f"{mask}: {_range(verdict.n_lesioned[row])} neurons in {layer_list(_active(verdict, row))}"
        if _active(verdict, row)
        else f"{mask}: no neurons"
        for row, mask in enumerate(verdict.masks)
    ]
    return (
        f"We lesioned {_count(sets, 'neuron set')} ({'; '.join(sizes)}) of {model.get('name', 'a model')} "
        f"({', '.join(record)}), one layer at a time: {sets} × {len(verdict.layers)} lesions, of which {tested} cut "
        f"neurons and were tested. Activations at {settings.get('hook_point', 'the hook point')} were {done}, at "
        f"{_where(settings.get('position', 'readout'))}."
    )


def _where(position: Any) -> str:
    known = {"readout": "the position where each prompt is read", "all": "all positions"}
    return known.get(position, f"position {position}")


def _active(verdict: Verdict, row: int) -> list[int]:
    return [layer for layer, n in zip(verdict.layers, verdict.n_lesioned[row].tolist(), strict=True) if n]


def _range(counts: torch.Tensor) -> str:
    held = counts[counts > 0].tolist()
    return f"{min(held)}" if min(held) == max(held) else f"{min(held)} to {max(held)}"


def _effects(verdict: Verdict) -> str:
    drop = verdict.provenance.settings["measure"] == "drop"
    what = "logit" if drop else "margin over the other targets (the difference of their logits)"
    judged = [
        f"{mask} on {'the right answer' if word == RIGHT_ANSWER else repr(word)}, {_count(int(prompts), 'prompt')} "
        f"from {_count(int(groups), 'independent template')}"
        for mask, word, prompts, groups in zip(
            verdict.masks, verdict.about, verdict.n_prompts, verdict.n_groups, strict=True
        )
    ]
    accuracy = ""
    if not bool(verdict.accuracy.isnan()):
        accuracy = (
            f" Unlesioned, the model gave the right answer in {100 * float(verdict.accuracy):.1f}% of the prompts "
            f"(p {apa_p(float(verdict.chance_p))}, against guessing)."
        )
    return (
        f"A lesion's effect is what it takes from its word's {what}, averaged over prompts (logits; negative where the "
        f"lesion helps the word). Sets were judged as follows: {'; '.join(judged)}. {_units(verdict)}{accuracy}"
    )


def _units(verdict: Verdict) -> str:
    """What counted as independent."""
    return {
        "none": "Every prompt counted as independent of the others.",
        "given": "Prompts of one label, as it was given, counted as one, and those without a label as one each.",
    }.get(
        verdict.provenance.settings["groups"],
        "Prompts that are made from one template, by their labels or their texts, counted as one.",
    )


def _controls(verdict: Verdict) -> str:
    settings, n = verdict.provenance.settings["profile"], n_controls(verdict)
    match = settings.get("match")
    alike = {"activity": ", about equally active at the lesioned position", None: ""}.get(
        match, ", alike in given values"
    )
    held = verdict.control_overlap[~verdict.control_overlap.isnan()]
    overlap = (
        f", which held {100 * float(held.max()):.0f}% of a set's own neurons at most, on average" if len(held) else ""
    )
    count = "matched controls" if n is None else _count(n, "matched control")
    return (
        f"Each lesion was compared with {count}: random sets of as many neurons of the same layer{alike}{overlap}; "
        f"seed {settings.get('seed', 'not recorded')}."
    )


def _tests(verdict: Verdict) -> str:
    rules = verdict.provenance.settings
    level, inner = 100 * rules["level"], 100 * (1 - 2 * rules["alpha"])
    alpha = f"{rules['alpha']:g}".removeprefix("0")
    interval = {"t": "Student's t over templates", "bca": "BCa bootstraps"}.get(rules["interval"], "bootstraps")
    sizes = [
        f"{float(size):.3g} logits for {mask} ({origin})"
        for mask, size, origin in zip(verdict.masks, verdict.smallest_effect, verdict.smallest_origin, strict=True)
    ]
    return (
        "A lesion was called specific if its effect differed from zero over templates (sign flips of templates, "
        f"{rules['n_permutations']:,} drawn, or all where no more exist), from the effects of its controls (rank of "
        "the standardised effect), and from theirs per unit of change of all logits. These three tests were two-sided, "
        f"{corrected(verdict)}, at α = {alpha}. An effect was called negligible if its {inner:g}% interval, and the "
        f"bound of the change of all logits, lay within the smallest effect of interest (two one-sided tests): "
        f"{listed(sizes)}. Intervals are {level:g}% ones, from {interval}."
    )


def corrected(verdict: Verdict) -> str:
    """How the p of all lesions were corrected."""
    method, tested = verdict.provenance.settings["correction"], int((verdict.n_lesioned > 0).sum())
    if method == "none":
        return "not corrected for multiple tests"
    how = "the maximum statistic" if method == "max" else f"the method {method}"
    return f"corrected over {_count(tested, 'lesion')} by {how}"


def _found(verdict: Verdict) -> str:
    said = [word for words in verdict.verdicts for word in words]
    counts = [f"{said.count(word)} {word!r}" for word in VERDICTS if word in said]
    text = f"Of {_count(len(said), 'lesion')}, the verdicts were: {'; '.join(counts)}."
    n = n_controls(verdict)
    chosen = torch.tensor([[word in (SPECIFIC, OPPOSITE) for word in words] for words in verdict.verdicts])
    if n is None or not bool(chosen.any()):
        return text
    most = int((verdict.control_p[chosen] * (1 + n)).round().max()) - 1
    did = f"at most {most} of {n} controls" if most else f"none of the {n} controls"
    return f"{text} By itself, {did} of a specific lesion did as much."


def _software(verdict: Verdict) -> str:
    names = {
        "tlesion": "tlesion",
        "transformer_lens": "TransformerLens",
        "torch": "PyTorch",
        "transformers": "transformers",
    }
    versions = verdict.provenance.versions
    used = [f"{name} {versions[key]}" for key, name in names.items() if key in versions]
    return f"Computed with {listed(used)}." if used else "Versions were not recorded."


def n_controls(verdict: Verdict) -> int | None:
    """How many controls each set had, where the profile recorded it."""
    n = verdict.provenance.settings["profile"].get("n_controls")
    return None if n is None else int(n)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
