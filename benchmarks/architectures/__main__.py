"""Write the page of results: ``python -m benchmarks.architectures cells.jsonl``.

The file comes from ``python -m pytest -m matrix tests/matrix --cells=cells.jsonl``; `make matrix` does both.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.architectures.cells import PLANS, STUDIES
from benchmarks.architectures.lesions import KINDS
from benchmarks.architectures.table import ARCHITECTURES
from benchmarks.timing import machine, save_table

TITLE = "Every architecture, plan and kind of lesion against plain runs"
NOTES = (
    "A number is the largest difference from one plain `run_with_hooks` for each lesion and prompt, relative to the "
    "largest logit (`select_neurons`: from scipy's t, relative to the largest t). Under a plan: over all kinds of "
    "lesions; under a kind of lesion: over all plans. '−': the model has no such hook point.",
    "'refused' with a letter: tlesion raised ValueError or TypeError for the letter's reason, below. After a number: "
    "some lesions ran, others were refused; which, the reasons say. Under a kind of lesion only what ran is shown.",
    "A test (`make matrix`) refuses any cell that is neither equal within rounding nor refused where it may be.",
    "Qwen 1 is missing: its code is no part of transformers and would have to be fetched. Its dynamic rotary embedding "
    "is among the models that were made from a configuration by hand.",
)


class Reasons:
    """Letters for reasons, in the order in which they come."""

    def __init__(self) -> None:
        self.letters: dict[str, str] = {}

    def letter(self, reason: str) -> str:
        """The reason's letter; the plan and the number of the lesion do not make another reason."""
        key = _general(reason)
        number = len(self.letters)
        return self.letters.setdefault(
            key, (chr(97 + number // 26 - 1) if number >= 26 else "") + chr(97 + number % 26)
        )


def _general(reason: str) -> str:
    if reason.startswith("plan ") and ": " in reason:
        reason = reason.split(": ", 1)[1]
    return reason.split("; ")[0].strip()[:240]


def rows(records: list[dict[str, Any]]) -> tuple[list[dict[str, str]], Reasons]:
    """A row of the table for each architecture and dtype."""
    reasons, by_key = Reasons(), {(one["architecture"], one["dtype"]): one for one in records}
    table = []
    for name, architecture in ARCHITECTURES.items():
        for dtype in architecture.dtypes:
            record = by_key[name, dtype]
            row = {"architecture": name, "dtype": dtype}
            columns = [*PLANS, *STUDIES, *KINDS]
            if record["refused"]:
                letter = reasons.letter(record["refused"])
                row |= dict.fromkeys(columns, "") | {PLANS[0]: f"not loaded ({letter})"}
            else:
                for column in columns:
                    row[column] = _shown(_cells(record, column), reasons, refusals=column not in KINDS)
            table.append(row)
    return table, reasons


def _cells(record: dict[str, Any], column: str) -> list[dict[str, Any]]:
    return [one for one in record["cells"] if column in (one["what"], one["kind"])]


def _shown(cells: list[dict[str, Any]], reasons: Reasons, *, refusals: bool) -> str:
    if not cells:
        return "−"
    differences = [one["difference"] for one in cells if one["difference"] is not None]
    refused = sorted({reasons.letter(one["refused"]) for one in cells if one["refused"]})
    wrong = [one["fault"] for one in cells if one["fault"]]
    parts = [f"{max(differences):.0e}"] if differences else []
    parts += [f"refused ({', '.join(refused)})"] if refused and (refusals or not differences) else []
    return "; ".join([*parts, *(["WRONG"] if wrong else [])])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("cells", type=Path, help="what the tests have written")
    records = [json.loads(line) for line in parser.parse_args().cells.read_text(encoding="utf-8").splitlines()]
    table, reasons = rows(records)
    notes = [*NOTES, *(f"({letter}) {reason}" for reason, letter in reasons.letters.items())]
    count: dict[bool, int] = defaultdict(int)
    for record in records:
        for one in record["cells"]:
            count[one["difference"] is None] += 1
    notes.append(f"{count[False]} cells with a number, {count[True]} that are refused as a whole.")
    save_table("architectures", TITLE, table, notes=notes, on=machine())


if __name__ == "__main__":
    main()
