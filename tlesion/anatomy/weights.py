"""Which weights a model carries: a hash of them, computed once and kept until they change.

To hash a large model takes a pass over all of its memory, at every call that records it. So the hash is kept, and with
it how the parameters were. It is computed anew

- whenever a parameter is another object or lies elsewhere, or has another shape, layout, dtype or device: ``.data =``
  with another tensor, ``model.to(...)``, a module put in the place of another;
- whenever PyTorch has counted a change in place: ``load_state_dict``, an optimiser's step, ``weight.mul_(...)`` and
  ``weight[3] = 0`` under ``torch.no_grad()``;
- whenever elements that are looked at differ. This is for changes past PyTorch's count: in place on ``.data``, through
  a NumPy view. All elements are looked at of a parameter that has up to 262,144 of them; of a larger one some in every
  row, every column, and every index of any other axis. So a neuron, a head or a token that is edited as a whole
  is noticed.

What is not noticed: a few elements of a large parameter, less than a row or a column of it, changed through ``.data``
or NumPy. Change such weights under ``torch.no_grad()`` instead.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from weakref import WeakKeyDictionary

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import Module

_SAMPLES = 1024
_LOOKED_AT_WHOLE = 2**18
_ROUNDS = 2
"""How often each index of each axis of a larger parameter is met."""

_COLUMNS = 1024

State = tuple[object, ...]
_KNOWN: "WeakKeyDictionary[Module, tuple[State, str]]" = WeakKeyDictionary()


def known_fingerprint(model: Module) -> str:
    """The fingerprint of a model's weights, from memory while they are the same."""
    state = _state(model)
    known = _KNOWN.get(model)
    if state is not None and known is not None and known[0] == state:
        return known[1]
    found = fingerprint(model)
    if state is not None:
        _KNOWN[model] = (state, found)
    return found


def fingerprint(model: torch.nn.Module) -> str:
    """Hash a model's weights in the time of one pass over them, on any device.

    SHA-256 over, for every parameter: its name, shape and dtype; the sum of its bits, eight bytes at a time, modulo
    2^64, which any one changed element changes and no order of summation; and up to 1024 evenly spaced elements and
    the last bytes, which tell apart what only permutes them.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        flat = parameter.detach().flatten().clone() if parameter.storage_offset() else parameter.detach().flatten()
        bits = flat.view(torch.uint8)
        whole = bits.numel() // 8 * 8
        total = int(bits[:whole].view(torch.int64).sum())
        sampled = flat[:: max(1, flat.numel() // _SAMPLES)].contiguous().view(torch.uint8)
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype} {total}".encode())
        digest.update(sampled.cpu().numpy().tobytes() + bits[whole:].cpu().numpy().tobytes())
    return digest.hexdigest()


def _state(model: Module) -> State | None:
    """What shows that parameters changed, without a pass over all of them; None where PyTorch does not count."""
    named = sorted(model.named_parameters())
    if any(parameter.is_inference() for _, parameter in named):
        return None
    counted = tuple((name, id(one), one.data_ptr(), one._version, one.stride()) for name, one in named)
    kinds = tuple((one.shape, one.dtype, one.device) for _, one in named)
    by_device: dict[torch.device, list[Tensor]] = {}
    for _, parameter in named:
        by_device.setdefault(parameter.device, []).append(_looked_at(parameter.detach()))
    return counted, kinds, tuple(map(_checksum, by_device.values()))


def _looked_at(values: Tensor) -> UInt8[Tensor, " byte"]:
    if values.numel() > _LOOKED_AT_WHOLE:
        values = values[_everywhere(values.shape, values.device)]
    return values.flatten().view(torch.uint8)


@lru_cache(maxsize=64)
def _everywhere(shape: torch.Size, device: torch.device) -> tuple[Tensor, ...]:
    """Indices of elements in which every index of every axis is met: diagonals, that start over at an axis' end."""
    longest = max(shape)
    step = torch.arange(longest * _ROUNDS, device=device)
    # In the next round each axis is shifted by its own share, so that other elements are met.
    return tuple((step + step // longest * (size * axis // 3)) % size for axis, size in enumerate(shape))


def _checksum(looked_at: Sequence[Tensor]) -> int:
    """Eight bytes as one number of a table: sums of its rows and columns, each times an odd factor, modulo 2^64.

    A change of one number changes the sum of its row, and an odd factor loses nothing of that. An exchange of two
    changes the sums of two rows or of two columns.
    """
    missing = -sum(map(len, looked_at)) % (8 * _COLUMNS)
    table = torch.cat([*looked_at, looked_at[0].new_zeros(missing)]).view(torch.int64).view(-1, _COLUMNS)
    sums = torch.cat([table.sum(dim=1), table.sum(dim=0)])
    return int((sums * (2 * torch.arange(len(sums), device=sums.device) + 1)).sum())
