"""Results with parts: taken apart, kept, read back bit by bit; and what cannot be kept is refused by name."""

import json
from dataclasses import FrozenInstanceError, dataclass, make_dataclass, replace

import pytest
import torch
from jaxtyping import Float64
from safetensors.torch import load_file
from torch import Tensor

from tlesion import load_result
from tlesion.keep.fields import put_together, taken_apart
from tlesion.keep.results import RESULT_FILE, TENSOR_FILE, Provenance, Result

PROVENANCE = Provenance(model={}, versions={}, settings={}, stimuli=("0123",), stimuli_hash="4567")


@dataclass(frozen=True, eq=False, kw_only=True)
class Shift:
    """A part of a part."""

    by: Float64[Tensor, " unit"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Effects:
    """A part: tensors and plain values."""

    drop: Float64[Tensor, "layer prompt"]
    kl: Float64[Tensor, "layer prompt"] | None
    words: tuple[tuple[str, ...], ...]
    share: float
    shift: Shift | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Study(Result):
    """A result of parts."""

    own: Effects
    others: tuple[Effects, ...]
    whole: Effects | None
    layers: tuple[int, ...]


def effects(seed: int, *, shift: bool = False) -> Effects:
    drop = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    drop[0, 0], drop[1, 1] = torch.nan, -0.0
    moved = Shift(by=torch.arange(4.0).double(), names=("a", "b")) if shift else None
    return Effects(drop=drop, kl=drop**2 if seed else None, words=(("him",), ()), share=0.5, shift=moved)


@pytest.fixture
def study() -> Study:
    return Study(
        own=effects(0), others=(effects(1, shift=True), effects(2)), whole=None, layers=(0, 1), provenance=PROVENANCE
    )


def assert_same_part(one: Effects, other: Effects) -> None:
    assert type(one) is type(other) is Effects
    assert one.drop.numpy().tobytes() == other.drop.numpy().tobytes()
    assert (one.kl is None) == (other.kl is None)
    assert (one.words, one.share) == (other.words, other.share)
    if one.shift is not None:
        assert other.shift is not None
        assert torch.equal(one.shift.by, other.shift.by)
        assert one.shift.names == other.shift.names


def test_parts_come_back_as_they_were(study, tmp_path):
    folder = study.save(tmp_path / "study")
    again = load_result(folder)
    assert type(again) is Study
    for one, other in zip((study.own, *study.others), (again.own, *again.others), strict=True):
        assert_same_part(one, other)
    assert again.whole is None
    assert again.layers == (0, 1)
    assert again.content_hash == study.content_hash
    names = {"own.drop", "others.0.drop", "others.0.kl", "others.0.shift.by", "others.1.drop", "others.1.kl"}
    assert set(load_file(folder / TENSOR_FILE)) == names
    record = json.loads((folder / RESULT_FILE).read_text())
    assert record["format"] == 3, "a version that knows no parts says that it cannot read them"
    assert record["fields"]["own"] == {"kl": None, "words": [["him"], []], "share": 0.5, "shift": None}


def test_every_number_and_setting_of_a_part_counts_in_the_hash(study):
    own = study.own
    changed = [
        study,
        replace(study, own=replace(own, drop=-own.drop)),
        replace(study, own=replace(own, share=0.25)),
        replace(study, own=replace(own, kl=own.drop)),
        replace(study, whole=own),
        replace(study, others=study.others[::-1]),
        replace(study, others=study.others[:1]),
    ]
    assert len({one.content_hash for one in changed}) == len(changed)
    assert replace(study, own=replace(own, drop=own.drop.clone())).content_hash == study.content_hash


def test_parts_stand_in_the_repr_by_their_own_names(study):
    said = repr(study)
    assert "own.drop: float64 [layer 2, prompt 3]" in said
    assert "own.share=0.5" in said
    assert "others=<2 parts>" in said
    assert len(said.splitlines()) <= 15
    with pytest.raises(FrozenInstanceError):
        study.own.share = 1.0


def test_a_part_that_gained_a_field_with_a_default_is_read(study):
    tensors, plain = taken_apart(study)
    del plain["own"]["shift"]
    assert put_together(Study, {**plain, **tensors}).own.shift is None
    del plain["own"]["share"]
    with pytest.raises(ValueError, match=r"Effects needs the field 'share', which is not there"):
        put_together(Study, {**plain, **tensors})


@dataclass
class Loose:
    """No frozen dataclass."""

    value: int


def of(name: str, annotation: object, value: object) -> Result:
    kind = make_dataclass(name, [("held", annotation)], bases=(Result,), frozen=True, eq=False, kw_only=True)
    return kind(held=value, provenance=PROVENANCE)


@pytest.mark.parametrize(
    ("annotation", "value", "error", "said"),
    [
        (
            Loose,
            Loose(1),
            TypeError,
            r"HeldA\.held holds an object of class Loose, which is no frozen .*; make it one",
        ),
        (
            object,
            effects(1),
            TypeError,
            r"HeldA\.held holds an object .* and is annotated <class 'object'>, by",
        ),
        (
            tuple,
            (effects(1),),
            TypeError,
            r"HeldA\.held\[0\] holds .* Effects and is annotated .*annotate the field",
        ),
        (object, {1, 2}, TypeError, r"HeldA\.held cannot be kept: Object of type set.*; a result keeps tensors, text"),
        (float, float("nan"), ValueError, r"HeldA\.held cannot be kept: .*; put NaN and infinity into tensors"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(annotation, value, error, said, tmp_path):
    result = of("HeldA", annotation, value)
    with pytest.raises(error, match=said):
        result.save(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_result_without_parts_keeps_the_format_that_older_versions_read(tmp_path):
    folder = of("HeldB", tuple, ((1, 2), ("x",))).save(tmp_path / "out")
    assert json.loads((folder / RESULT_FILE).read_text())["format"] == 2
    assert load_result(folder).held == ((1, 2), ("x",))


def test_a_hook_may_move_fields_into_a_part(tmp_path):
    """What a kind with forty fields does when it is given parts: its older results are still read."""

    @dataclass(frozen=True, eq=False, kw_only=True)
    class Flat(Result):
        by: Tensor
        names: tuple[str, ...]

    @dataclass(frozen=True, eq=False, kw_only=True)
    class Moved(Result):
        shift: Shift

        @classmethod
        def from_older(cls, values):
            part = {"names": values.pop("names")}
            return {**values, "shift": part, "shift.by": values.pop("by")}

    folder = Flat(by=torch.ones(2).double(), names=("a",), provenance=PROVENANCE).save(tmp_path / "flat")
    tensors, plain = taken_apart(load_result(folder))
    moved = put_together(Moved, Moved.from_older({**plain, **tensors}))
    assert torch.equal(moved.shift.by, torch.ones(2).double())
    assert moved.shift.names == ("a",)
