"""What was run: the section of every report that states model, data, settings and versions."""

from collections.abc import Mapping, Sequence
from typing import Any

from tlesion.keep.results import Provenance, Result
from tlesion.paper.page import Section


def provenance_section(results: Mapping[str, Result]) -> Section:
    """Model, data, settings and versions of the results that a page shows.

    Args:
        results: What each is called on the page ("selection", "profile"), and the result.
    """
    facts: dict[str, str] = {}
    for model in _distinct([result.provenance.model for result in results.values()]):
        facts |= {f"model: {name}": _plain(value) for name, value in model.items() if value not in (None, "")}
    for name, result in results.items():
        facts |= {f"{name}: {key}": _plain(value) for key, value in result.provenance.settings.items()}
        facts[f"{name}: stimuli"] = _stimuli(result.provenance)
        facts[f"{name}: content hash"] = result.content_hash
    for versions in _distinct([result.provenance.versions for result in results.values()]):
        facts |= {f"version: {package}": number for package, number in versions.items()}
    text = ["Two runs with the same content hash hold the same numbers and the same settings."]
    return Section("What was run", text, facts=facts)


def _stimuli(provenance: Provenance) -> str:
    return f"{len(provenance.stimuli)} sentences, hash {provenance.stimuli_hash}"


def _distinct(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for record in records:
        if record and record not in found:
            found.append(record)
    return found


def _plain(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
