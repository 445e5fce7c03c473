"""The results of `verdicts` as markdown, made from the saved numbers alone."""

from typing import Any

PLANTED = "specific: planted neurons whose effect a pilot study calls detectable"
REASONS: dict[tuple[str, str], str] = {
    (PLANTED, "masks of 20 %, effect 1 logits"): "Few pilots call so small an effect detectable in so wide a mask, and "
    "those that do have seen too little of the spread of the controls.",
}
"""Why a number misses its target, as far as it is known, by claim and setting."""


def render(result: dict[str, Any]) -> str:
    """The whole page."""
    rows, on = result["rows"], result["machine"]
    asked = [row for row in rows if row["target"] and row["value"] is not None]
    missed = [row for row in asked if row["holds"] != "yes"]
    return "\n".join(
        [
            "# Verdicts",
            "",
            "How often is each word of `tlesion.verdict` right? Simulated studies of known truth. Made by "
            "`python -m benchmarks.verdicts`.",
            "",
            *[f"- {line}" for line in result["notes"]],
            f"- Measured on {', '.join(f'{name} {value}' for name, value in on.items())}; "
            f"{result['minutes']} minutes on a shared machine.",
            "",
            f"Of {len(asked)} numbers with a target {len(asked) - len(missed)} hold it.",
            "",
            *_misses(missed),
            "| claim | setting | studies | counted | measured | ± s.e. | target | holds |",
            "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
            *[_line(row) for row in rows],
            "",
        ]
    )


def _line(row: dict[str, Any]) -> str:
    error = "" if row["error"] is None else f"{row['error']:.3f}"
    value = "" if row["value"] is None else f"{row['value']:.3f}"
    cells = (row["claim"], row["setting"], row["studies"], row["n"], value, error, row["target"], row["holds"])
    return f"| {' | '.join(map(str, cells))} |"


def _misses(missed: list[dict[str, Any]]) -> list[str]:
    if not missed:
        return []
    lines = [
        f"- {row['claim']}, {row['setting']}: {row['value']:.3f}, target {row['target']} ({row['holds']}). "
        f"{REASONS.get((row['claim'], row['setting']), 'Not explained.')}"
        for row in missed
    ]
    return ["## What misses, and why", "", *lines, ""]
