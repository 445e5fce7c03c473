"""Saved results come back bit by bit; a folder holds a whole result or none; damage is noticed."""

import collections.abc
import dataclasses
import hashlib
import importlib
import json
import pkgutil
import subprocess
import sys
import types
import typing
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import AbstractArray
from safetensors.torch import load_file, save_file

import tlesion
from tlesion import load_result
from tlesion.keep.hashing import hash_of
from tlesion.keep.outline import MOST_COLUMNS, MOST_LINES
from tlesion.keep.results import RESULT_FILE, TENSOR_FILE, Provenance, Result, kinds
from tlesion.stimuli import combined_hash

PROVENANCE = Provenance(
    model={"name": "naïve — a model", "revision": None},
    versions={"tlesion": "0"},
    settings={"alpha": 0.1, "position": -1, "layers": [0, 1]},
    stimuli=("0123", "4567"),
    stimuli_hash=combined_hash(("0123", "4567")),
)


def every_result_class() -> list[type[Result]]:
    """All subclasses of `Result` in the package, found without the register of kinds."""
    for module in pkgutil.walk_packages(tlesion.__path__, "tlesion."):
        if not module.name.startswith(("tlesion.cli", "tlesion.toy", "tlesion.__main__")):
            importlib.import_module(module.name)
    found, waiting = [], [Result]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("tlesion."):
                found.append(kind)
                waiting.append(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def example(annotation: Any, sizes: dict[str, int], rng: np.random.Generator) -> object:
    """A value of a field's type, with awkward ones among them: NaN, infinity, −0, letters that are not ASCII."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        dims: Any = annotation.dims  # named ones, all of them
        shape = [sizes.setdefault(dim.name, (4, 1, 2)[len(sizes) % 3]) for dim in dims]
        kind = annotation.dtypes[0] if annotation.dtypes else "float32"
        if kind.startswith("bool"):
            return torch.from_numpy(rng.integers(2, size=shape)).bool()
        if kind.startswith("int"):
            return torch.from_numpy(rng.integers(-9, 9, size=shape))
        dtype = torch.float64 if tuple(annotation.dtypes) == ("float64",) else torch.float32
        values = torch.from_numpy(rng.standard_normal(shape)).to(dtype).flatten()
        for index, awkward in enumerate((torch.nan, torch.inf, -0.0)):
            values[index : index + 1] = awkward
        return values.reshape(shape)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return example(arguments[0], sizes, rng)
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(example(arguments[0], sizes, rng) for _ in range(2))
    if origin is tuple:
        return tuple(example(one, sizes, rng) for one in arguments)
    if origin in (dict, collections.abc.Mapping):
        return {"naïve": example(arguments[1], sizes, rng)}
    if origin is typing.Literal:
        return arguments[0]
    if annotation is not Provenance and dataclasses.is_dataclass(annotation):
        return made(annotation, sizes=sizes, rng=rng)
    plain = {str: "“naïve” [MASK]", int: 3, float: 0.1, bool: True, typing.Any: 7, Provenance: PROVENANCE}
    return plain[annotation]


def made(kind: Any, seed: int = 0, *, sizes: dict[str, int] | None = None, rng: np.random.Generator | None = None):
    """A result, or a part of one, with awkward values."""
    rng = np.random.default_rng(seed) if rng is None else rng
    sizes = {} if sizes is None else sizes
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: example(hints[field.name], sizes, rng) for field in dataclasses.fields(kind)})


def assert_same(one: Result, other: Result) -> None:
    assert_same_fields(one, other)
    assert one.content_hash == other.content_hash


def assert_same_fields(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.numpy().tobytes() == b.numpy().tobytes(), field.name
        elif dataclasses.is_dataclass(a):
            assert_same_fields(a, b)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("kind", every_result_class(), ids=lambda kind: kind.__name__)
def test_every_result_comes_back_as_it_was(kind, tmp_path):
    result = made(kind)
    assert result.save(tmp_path / "deep" / "folder") == tmp_path / "deep" / "folder"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["folder"], "no staging folder is left"
    assert sorted(path.name for path in (tmp_path / "deep" / "folder").iterdir()) == [RESULT_FILE, TENSOR_FILE]
    assert_same(load_result(tmp_path / "deep" / "folder"), result)
    assert made(kind).content_hash == result.content_hash
    assert made(kind, seed=1).content_hash != result.content_hash
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.provenance = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Small(Result):
    """Two tensors and two plain fields."""

    first: torch.Tensor
    second: torch.Tensor
    label: str
    words: tuple[tuple[str, ...], ...]


@pytest.fixture
def small():
    values = torch.arange(6.0).reshape(2, 3)
    return Small(
        first=values.T, second=values[0], label="ä", words=(("him", "her"), ("x",)), provenance=PROVENANCE
    )  # `first` is not contiguous and shares its memory with `second`


def test_tensors_that_share_memory_are_saved(small, tmp_path):
    assert_same(load_result(small.save(tmp_path / "out")), small)
    assert small.first.data_ptr() == small.second.data_ptr(), "saving left the result's own tensors as they were"


def test_every_number_and_setting_counts_in_the_hash(small):
    def changed(**fields):
        return dataclasses.replace(small, **fields).content_hash

    other_seed = dataclasses.replace(PROVENANCE, settings={**PROVENANCE.settings, "seed": 1})
    hashes = {
        small.content_hash,
        changed(second=-small.second),
        changed(second=small.second + torch.finfo(torch.float32).tiny),
        changed(second=small.second.double()),
        changed(second=small.second[None]),
        changed(first=small.second, second=small.first),
        changed(label="a"),
        changed(words=(("him",), ("her", "x"))),
        changed(provenance=other_seed),
    }
    assert len(hashes) == 9
    assert small.content_hash == changed(first=small.first.clone().contiguous())


def test_saving_again_replaces_the_older_result(small, tmp_path):
    small.save(tmp_path / "out")
    newer = dataclasses.replace(small, label="newer")
    newer.save(str(tmp_path / "out"))
    assert load_result(str(tmp_path / "out")).label == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "empty").mkdir()
    newer.save(tmp_path / "empty")


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize(("where", "call"), [("write_bytes", 1), ("write_bytes", 2), ("rename", 1), ("rename", 2)])
def test_a_crash_while_saving_leaves_the_older_result_whole(small, tmp_path, monkeypatch, where, call, error):
    """Of the two files it is one that breaks; of the two renames that of the older folder, or of the new one."""
    path_type = type(tmp_path)
    small.save(tmp_path / "out")
    newer = dataclasses.replace(small, label="newer")
    original, calls = getattr(path_type, where), []

    def break_off(self, *args, **kwargs):
        calls.append(self)
        if len(calls) != call:
            return original(self, *args, **kwargs)
        raise error("broken off")

    monkeypatch.setattr(path_type, where, break_off)
    with pytest.raises(error, match="broken off"):
        newer.save(tmp_path / "out")
    monkeypatch.undo()
    assert_same(load_result(tmp_path / "out"), small)
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing else stays behind"


def test_folders_that_cannot_be_written_into_are_refused(small, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ValueError, match=r"cannot save into '.*file.*': '.*file' is a file; give the name of a folder"
        ):
            small.save(target)
    with pytest.raises(
        ValueError, match=r"it holds files that are not a tlesion result; give an empty or a new folder"
    ):
        small.save(tmp_path / "full")
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def rewrite(folder, **fields):
    record = json.loads((folder / RESULT_FILE).read_text())
    record = {name: value for name, value in {**record, **fields}.items() if value is not None}
    (folder / RESULT_FILE).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / RESULT_FILE).unlink(), r"holds no saved result \(result\.json and tensors"),
        (lambda folder: (folder / TENSOR_FILE).unlink(), r"holds no saved result"),
        (lambda folder: (folder / RESULT_FILE).write_text("{"), r"is damaged: result\.json cannot be read"),
        (lambda folder: (folder / RESULT_FILE).write_bytes(b"\xff\xfe"), r"is damaged: result\.json cannot be read"),
        (lambda folder: (folder / RESULT_FILE).write_text("[1]"), r"is damaged: result\.json cannot be read"),
        (lambda folder: (folder / RESULT_FILE).write_text("7"), r"is damaged: result\.json cannot be read"),
        (lambda folder: rewrite(folder, format=99), r"has format 99, and this version of tlesion reads 1, 2 and 3; "
         r"make the result again, or use the version of tlesion that wrote it"),
        (lambda folder: rewrite(folder, fields=None, kind=None), r"damaged: result\.json lacks \['fields', 'kind'\]"),
        (lambda folder: rewrite(folder, fields={"label": "other"}), r"is damaged: its content does not match its hash"),
        (lambda folder: rewrite(folder, kind="NeuronSelection"), r"is damaged: its content does not match its hash"),
        (lambda folder: (folder / TENSOR_FILE).write_bytes((folder / TENSOR_FILE).read_bytes()[:-1] + b"\x01"),
         r"is damaged: tensors\.safetensors does not match its checksum"),
        (lambda folder: save_file({"first": torch.ones(1)}, folder / TENSOR_FILE), r"does not match its checksum"),
    ],
)  # fmt: skip
def test_damaged_results_are_refused(small, tmp_path, damage, message):
    folder = small.save(tmp_path / "out")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load_result(folder)


def test_a_profile_of_format_1_is_read_with_no_controls(tmp_path, by_hand):
    """A folder as version 0.1 wrote it: without the fields that format 2 added."""
    profile = by_hand.profile()
    folder = profile.save(tmp_path / "old")
    record = json.loads((folder / RESULT_FILE).read_text())
    del record["fields"]["groups"], record["fields"]["provenance"]["contexts"]
    tensors = load_file(folder / TENSOR_FILE)
    later = ("control", "kl", "reference_kl")
    tensors = {name: value for name, value in tensors.items() if not name.startswith(later)}
    save_file(tensors, folder / TENSOR_FILE)
    raw = hashlib.sha256((folder / TENSOR_FILE).read_bytes()).hexdigest()
    content = hash_of("LaminarProfile", tensors, record["fields"])
    rewrite(folder, format=1, fields=record["fields"], tensors_sha256=raw, content_hash=content)
    loaded = load_result(folder)
    assert loaded.n_controls == 0
    assert loaded.groups == ("",) * len(profile.prompts)
    for name in ("kl", "reference_kl"):
        assert getattr(loaded, name).isnan().all()
        assert getattr(loaded, name).shape == getattr(profile, name).shape
    assert loaded.to_frame()["kl"].isna().all()
    assert_same(dataclasses.replace(loaded, kl=profile.kl, reference_kl=profile.reference_kl), profile)


def test_every_kind_in_the_package_is_registered():
    found = every_result_class()
    assert {kind.__name__: kind for kind in found} == {
        name: kind for name, kind in kinds().items() if kind.__module__.startswith("tlesion.")
    }
    writable: Any = kinds()
    with pytest.raises(TypeError, match="does not support item assignment"):
        writable["Small"] = Small


@pytest.mark.slow
def test_any_kind_is_read_by_a_process_that_has_imported_nothing(tmp_path):
    """Each kind's module is found when a saved result needs it, and no more than it needs is loaded."""
    folders = [made(kind).save(tmp_path / kind.__name__) for kind in every_result_class()]
    script = f"""
import sys, tlesion
assert type(tlesion.load_result({str(tmp_path / "CrossFit")!r})).__name__ == "CrossFit"
assert "plotly" not in sys.modules, "to read a result, figures are not needed"
for folder in {[str(folder) for folder in folders]}:
    assert type(tlesion.load_result(folder)).__name__ == folder.rsplit("/")[-1]
print("read")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "read", done.stderr


@pytest.mark.parametrize("kind", every_result_class(), ids=lambda kind: kind.__name__)
def test_the_repr_of_every_result_is_short(kind):
    said = repr(made(kind))
    assert_short(said)
    assert said.startswith(f"{kind.__name__} of naïve — a model\n  settings: alpha=0.1, position=-1, layers=[0, 1]\n")
    axes = [field.type for field in dataclasses.fields(kind) if hasattr(field.type, "dims")]
    assert not axes or " 1" in said or " 2" in said or " 3" in said


def assert_short(said: str) -> None:
    lines = said.splitlines()
    assert len(lines) <= MOST_LINES == 15
    assert max(map(len, lines)) <= MOST_COLUMNS == 120
