"""``tlesion show``: what is in a folder that tlesion wrote?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from tlesion.cli.command import Chosen, command
from tlesion.cli.console import print_json, print_table
from tlesion.cli.options import Json
from tlesion.keep.results import Result
from tlesion.studies.evidence.folder import load_results


@command()
def show(
    chosen: Chosen,
    *,
    folder: Annotated[Path, typer.Argument(help="A saved result, or a folder of them (what --out names).")],
    as_json: Json = False,
) -> None:
    """Say what a saved result is: model, settings, versions, stimuli, sizes. Verifies its checksums."""
    records = {name: described(result) for name, result in load_results(folder).items()}
    if as_json:
        print_json(records)
        return
    for name, record in records.items():
        print_table([], _rows(record), title=f"{name}: {record['kind']}")


def described(result: Result) -> dict[str, Any]:
    """A result's kind, provenance, content hash and the sizes of its arrays."""
    provenance = result.provenance
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    return {
        "kind": type(result).__name__,
        "model": provenance.model,
        "settings": provenance.settings,
        "stimuli": {"sentences": len(provenance.stimuli), "hash": provenance.stimuli_hash},
        "versions": provenance.versions,
        "size": {name: list(value.shape) for name, value in fields.items() if hasattr(value, "shape")},
        "content_hash": result.content_hash,
    }


def _rows(record: dict[str, Any]) -> list[list[str]]:
    rows = []
    for heading, value in record.items():
        parts = value if isinstance(value, dict) else {"": value}
        for key, one in parts.items():
            text = (" × " if heading == "size" else ", ").join(map(str, one)) if isinstance(one, list) else str(one)
            rows.append([heading.replace("_", " ") if key == next(iter(parts)) else "", key, text])
    return rows
