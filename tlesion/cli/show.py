"""``tlesion show``: what is in a folder that tlesion wrote?"""

from pathlib import Path
from typing import Annotated, Any

import typer

import tlesion
from tlesion.cli.options import Debug, Json


def show(
    folder: Annotated[Path, typer.Argument(help="A saved result, or a folder of them (a --out folder).")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a saved result is: kind, model, settings, versions, stimuli. Checksums are verified."""
    from tlesion.cli.folder import result_folders

    records = {name: _described(path) for name, path in result_folders(folder).items()}
    _print(records, as_json)


def _described(path: Path) -> dict[str, Any]:
    result = tlesion.load_result(path)
    provenance = result.provenance
    return {
        "kind": type(result).__name__,
        "folder": str(path),
        "sizes": {name: list(shape) for name, shape in _shapes(result).items()},
        "model": provenance.model,
        "settings": provenance.settings,
        "versions": provenance.versions,
        "stimuli": {"sentences": len(provenance.stimuli), "hash": provenance.stimuli_hash},
        "content_hash": result.content_hash,
    }


def _shapes(result: Any) -> dict[str, tuple[int, ...]]:
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    return {name: tuple(value.shape) for name, value in fields.items() if hasattr(value, "shape")}


def _print(records: dict[str, dict[str, Any]], as_json: bool) -> None:
    from tlesion.cli.console import print_json, print_table

    if as_json:
        print_json(records)
        return
    for name, record in records.items():
        rows = []
        for heading, value in record.items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            rows += [[heading if i == 0 else "", key, _text(one)] for i, (key, one) in enumerate(parts)]
        print_table(["", "field", "value"], rows, title=name, left=("", "field", "value"))


def _text(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)
