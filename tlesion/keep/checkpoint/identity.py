"""Which run a checkpoint is of, and in what another one differs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tlesion.anatomy.model import device_of
from tlesion.hooks import Model
from tlesion.keep.results import Provenance

_HASH = re.compile(r"[0-9a-f]{16,64}")


def identity_of(
    study: str, model: Model, provenance: Provenance, stimuli: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that two runs have to share to make the same numbers, as JSON has it.

    The model's name is left out: the same weights under another name give the same numbers.
    """
    described = provenance.model
    record = {
        "study": study,
        "weights": described["fingerprint"],
        "dtype": described["dtype"],
        "processing": described["processing"],
        "device": device_of(model).type,
        "versions": provenance.versions,
        "settings": provenance.settings | dict(options),
        "stimuli": list(stimuli),
    }
    return dict(json.loads(json.dumps(record)))


def differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """What differs between two JSON values, in words.

    Example:
        >>> list(differences({"seed": 1, "layers": [0, 1]}, {"seed": 2, "layers": [0, 1]}))
        ['seed is 1 there and 2 here']
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for name in dict.fromkeys([*there, *here]):
            where = f"{path}.{name}" if path else name
            if name in there and name in here:
                yield from differences(there[name], here[name], where)
            else:
                yield f"{where} is there and not here" if name in there else f"{where} is here and not there"
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(there, list) and isinstance(here, list):
        yield f"{path}: {len(there)} there and {len(here)} here"
    elif json.dumps(there) != json.dumps(here):
        telling = all(len(repr(one)) <= 60 and not _HASH.fullmatch(str(one)) for one in (there, here))
        yield f"{path} is {there!r} there and {here!r} here" if telling else f"{path} differs"
