"""A verdict as a table in LaTeX, for a paper."""

import math
from typing import Any

from tlesion.studies.verdict.paper import apa_p, corrected, n_controls
from tlesion.studies.verdict.result import NOT_CUT, Verdict

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "–": "--",
    **{one: f"\\{one}" for one in "&%$#_{}"},
}


def to_latex(verdict: Verdict, *, label: str = "tab:verdict") -> str:
    """See `Verdict.to_latex`."""
    level = 100 * verdict.provenance.settings["level"]
    heads = ["Set", "Layer", "Neurons", "Effect", f"{level:g}\\% CI", "$p$ (prompts)", "$z$", "$p$ (controls)"]
    heads += ["Change", "Verdict"]
    rows = [_row(row) for row in verdict.to_frame().to_dict("records")]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{_caption(verdict)}}}",
            f"\\label{{{label}}}",
            r"\begin{tabular}{lrrrlrrrrl}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    r"""Text for LaTeX, as it stands.

    Example:
        >>> escaped("a_b & 50%")
        'a\\_b \\& 50\\%'
    """
    return "".join(_SPECIAL.get(one, one) for one in " ".join(text.split()))


def _row(row: dict[Any, Any]) -> list[str]:
    word = str(row["verdict"]) + (f" ({row['reason']})" if row["reason"] else "")
    start = [escaped(str(row["mask"])), str(row["layer"]), str(row["n_lesioned"])]
    if row["verdict"] == NOT_CUT:
        return [*start, *["--"] * 6, escaped(word)]
    return [
        *start,
        _number(row["effect"]),
        f"[{_number(row['low'])}, {_number(row['high'])}]",
        _p(row["p"]),
        _number(row["standardised"], digits=1),
        _p(row["control_p_corrected"]),
        _number(row["global_change"]),
        escaped(word),
    ]


def _number(value: float, *, digits: int = 2) -> str:
    if not math.isfinite(value):
        return "--"
    text = f"{value:.{digits}f}"
    return f"${text}$" if float(text) else f"${text.removeprefix('-')}$"


def _p(p: float) -> str:
    said = apa_p(p)
    return f"${said.removeprefix('= ')}$" if said else "--"


def _caption(verdict: Verdict) -> str:
    n = n_controls(verdict)
    controls = "their controls" if n is None else f"{n} controls"
    return (
        "Lesions of neuron sets, one layer at a time. Effect: what the lesion takes from the margin of the set's word, "
        "in logits (negative: the lesion helps it). $z$: distance from the mean of "
        f"{controls} in their standard deviations. $p$: two-sided; {escaped(corrected(verdict))}. Change: of all "
        "logits, standard deviation over the vocabulary."
    )
