"""A checkpoint's folder: which run it is of, what is refused, and what happens to damaged parts."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tlesion.keep.checkpoint import CHECKPOINT_FILE, NOTHING_KEPT, PARTS_FOLDER, open_checkpoint

FIELDS = {"t": torch.tensor([0.1, torch.nan, -0.0]), "empty": torch.zeros(0, 3), "flag": torch.tensor([True])}
PLAIN = {"rank": 2, "name": "naïve", "share": float("nan"), "components": [0, 1]}


def run(*, study="laminar_profile", stimuli=("s1", "s2"), weights="ab" * 32, torch="2.0", **settings):
    """What says which run it is."""
    return {
        "study": study,
        "weights": weights,
        "versions": {"tlesion": "0.1.0", "torch": torch},
        "settings": {"seed": 0} | settings,
        "stimuli": stimuli,
    }


@pytest.fixture
def opened(tmp_path):
    """`opened(seed=1)`: the checkpoint of a run with these settings in one and the same folder."""

    def opens(*, folder=tmp_path / "kept", **changed):
        return open_checkpoint(folder, run(**changed))

    return opens


def parts(folder: Path) -> list[Path]:
    return sorted((folder / PARTS_FOLDER).iterdir())


def test_a_part_is_computed_once_and_comes_back_bit_by_bit(opened):
    calls = []

    def compute():
        calls.append(1)
        return FIELDS | PLAIN

    first = opened().part("one", compute, covers=[1, 2])
    again = opened().part("one", compute, covers=[1, 2])
    assert len(calls) == 1
    for found in (first, again):
        assert set(found) == set(FIELDS) | set(PLAIN)
        for name, value in FIELDS.items():
            assert found[name].dtype == value.dtype
            assert found[name].shape == value.shape
            assert found[name].numpy().tobytes() == value.numpy().tobytes()
        assert found["components"] == [0, 1]
        assert found["name"] == "naïve"
        assert found["share"] != found["share"]


def test_stages_have_parts_of_their_own(opened, tmp_path):
    kept = opened()
    kept.stage("fits").write("0", {"rank": 1})
    kept.stage("lesions").write("0", {"rank": 2})
    assert [path.name for path in parts(tmp_path / "kept")] == ["fits-0.safetensors", "lesions-0.safetensors"]
    assert kept.stage("fits").read("0") == {"rank": 1}
    assert kept.read("0") is None
    kept.stage("fits").drop("0")
    assert kept.stage("fits").read("0") is None


def test_without_a_folder_nothing_is_kept():
    found = open_checkpoint(None, run())
    assert found is NOTHING_KEPT
    assert not found.keeps
    assert found.part("one", lambda: {"value": 1}) == {"value": 1}
    found.write("one", {"value": 1})
    assert found.read("one") is None
    found.finish()


def test_the_state_is_in_the_folder(opened, tmp_path):
    def record():
        return json.loads((tmp_path / "kept" / CHECKPOINT_FILE).read_text(encoding="utf-8"))

    kept = opened()
    kept.write("one", PLAIN)
    assert record()["state"] == "running"
    kept.finish()
    assert record()["state"] == "finished"
    assert record()["run"]["settings"] == {"seed": 0}
    assert "Delete the folder" in record()["about"]
    assert opened().read("one")["rank"] == 2, "a finished run keeps its parts"
    assert not list((tmp_path / "kept").rglob("*.partial"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "settings.seed is 0 there and 1 here"),
        ({"alpha": 0.1}, "settings.alpha is here and not there"),
        ({"study": "sweep"}, "study is 'laminar_profile' there and 'sweep' here"),
        ({"stimuli": ["s1", "s3"]}, r"stimuli\[1\] is 's2' there and 's3' here"),
        ({"stimuli": ["s1"]}, "stimuli: 2 there and 1 here"),
        ({"weights": "cd" * 32}, "weights differs"),
        ({"torch": "2.1"}, "versions.torch is '2.0' there and '2.1' here"),
    ],
)
def test_another_run_is_refused_and_told_what_differs(opened, changed, said):
    opened()
    with pytest.raises(ValueError, match=rf"is of another run \({said}\); give what that run was begun with"):
        opened(**changed)


def test_of_many_differences_the_first_are_named(opened):
    opened(a=1, b=1, c=1, d=1, e=1, f=1)
    with pytest.raises(ValueError, match=r"settings\.a is 1 there and 2 here.*settings\.d .*; and 2 more\)"):
        opened(a=2, b=2, c=2, d=2, e=2, f=2)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "no numbers", "of another part"])
def test_a_damaged_part_is_noticed_and_computed_again(opened, tmp_path, damage):
    kept = opened()
    kept.write("one", {"t": torch.arange(64.0)})
    kept.write("two", {"t": torch.ones(64)})
    path = tmp_path / "kept" / PARTS_FOLDER / "one.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-5]
    elif damage == "flipped":
        data[-30] ^= 1
    elif damage == "empty":
        data = bytearray()
    elif damage == "no numbers":
        data = bytearray(b"half a file")
    else:
        data = bytearray((path.parent / "two.safetensors").read_bytes())
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"part 'one' of the checkpoint in '.*' is damaged and is computed again"):
        found = kept.part("one", lambda: {"t": torch.arange(64.0)})
    assert torch.equal(found["t"], torch.arange(64.0))
    assert torch.equal(kept.read("one")["t"], torch.arange(64.0)), "the damaged file was replaced"


def test_a_part_of_another_run_or_of_other_prompts_is_not_taken(opened, tmp_path):
    opened(folder=tmp_path / "other", seed=5).write("one", PLAIN)
    opened().write("two", PLAIN, covers=[0, 1])
    kept = tmp_path / "kept" / PARTS_FOLDER
    (kept / "one.safetensors").write_bytes((tmp_path / "other" / PARTS_FOLDER / "one.safetensors").read_bytes())
    with pytest.warns(UserWarning, match="of another run or of another part"):
        assert opened().read("one") is None
    with pytest.warns(UserWarning, match="of another run or of another part"):
        assert opened().read("two", covers=[0, 2]) is None


def gone() -> int:
    """The number of a process that has ended."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(done.stdout)


def test_what_a_killed_process_was_writing_is_removed(opened, tmp_path):
    opened()
    folder, an_hour_ago = tmp_path / "kept" / PARTS_FOLDER, time.time() - 3600
    left = [folder / f".one.safetensors.x.{gone()}.partial", folder / f".two.safetensors.x.{os.getpid()}.partial"]
    left += [tmp_path / "kept" / f".{CHECKPOINT_FILE}.x.{gone()}.partial"]
    at_work = folder / f".three.safetensors.x.{os.getppid()}.partial"
    elsewhere = folder / f".four.safetensors.x.{gone()}.partial"
    for path in (*left, at_work, elsewhere):
        path.write_bytes(b"half")
        os.utime(path, (an_hour_ago, an_hour_ago))
    os.utime(elsewhere)
    assert opened().read("one") is None
    assert not any(path.exists() for path in left)
    assert at_work.exists(), "another process may still be writing it"
    assert elsewhere.exists(), "a process of another machine may just have written to it"


def test_what_a_process_killed_at_once_has_left_is_no_reason_to_refuse(opened, tmp_path):
    (tmp_path / "kept").mkdir()
    left = tmp_path / "kept" / f".{CHECKPOINT_FILE}.x.{gone()}.partial"
    left.write_bytes(b"half")
    assert opened().keeps


def test_a_run_cut_off_before_its_first_file_is_begun_again(opened, tmp_path):
    (tmp_path / "kept" / PARTS_FOLDER).mkdir(parents=True)
    assert opened().keeps


def test_folders_that_hold_something_else_are_refused(opened, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match=r"'.*file' is a file; give a folder"):
        opened(folder=file)
    with pytest.raises(ValueError, match=r"'.*file' is a file; give a folder"):
        opened(folder=file / "below")
    with pytest.raises(ValueError, match=r"holds files that are not a tlesion checkpoint \('file'\)"):
        opened(folder=tmp_path)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_a_damaged_record_is_refused(opened, tmp_path, text):
    opened()
    (tmp_path / "kept" / CHECKPOINT_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"is damaged: checkpoint.json cannot be read; delete the folder"):
        opened()


def test_another_format_is_refused(opened, tmp_path):
    opened()
    path = tmp_path / "kept" / CHECKPOINT_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ValueError, match="has format 99, and this version of tlesion reads 1"):
        opened()
