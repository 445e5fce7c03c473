"""Every study that keeps its parts: cut off and continued it ends with the numbers of a run that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.keep import checkpoint as checkpoints
from tlesion.keep.checkpoint import CHECKPOINT_FILE, PARTS_FOLDER
from tlesion.keep.writing import write_whole

pytestmark = pytest.mark.slow

TEXTS = ["The teacher gave the boy an apple.", "The boy saw the house.", "She helped him and he thanked her."]


def prompts() -> list[tlesion.Prompt]:
    """Three lengths, so that there are three groups."""
    texts = ("Robert helped Lucy and she thanked", "Lucy thanked", "Robert saw Lucy because she helped")
    return [tlesion.Prompt(text, ("him", "her"), correct="him") for text in texts]


def run_sweep(model, **options):
    lesions = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions="readout")] for layer in range(12)]
    lesions += [[iv.gaussian(f"blocks.{layer}.mlp.hook_post", seed=1)] for layer in range(6)]
    return tlesion.sweep(model, prompts(), [[], *lesions], **options)


def run_replacement(model, **options):
    variants = tlesion.scale_variants(model, factors=[0.1, 10.0], layers=[2, 5, 8, 11])
    return tlesion.replacement(model, prompts(), variants, **options)


def run_subspace(model, **options):
    return tlesion.subspace_removal(model, TEXTS, rank=1, ranks=[2], n_random=1, layers=[1, 4, 7, 10], **options)


def run_context(model, **options):
    return tlesion.context_modulation(model, TEXTS, layers=[1, 2, 4, 5], n_windows=4, **options)


def run_space(model, **options):
    return tlesion.space_modulation(model, ["apple", "dog", "house", "cup"], layers=[0, 3, 4], **options)


def run_laminar(model, **options):
    odd, few = torch.arange(512) % 2 == 1, torch.arange(512) < 20
    masks = {"him": odd.expand(12, -1), "her": few.expand(12, -1)}
    given: dict[str, Any] = {"n_controls": 1, "match": "activity"} | options
    return tlesion.laminar_profile(model, masks, prompts(), **given)


@cache
def selection_of(model) -> tlesion.NeuronSelection:
    pairs = [(f"The boy {verb} him.", f"The girl {verb} her.") for verb in ("saw", "told", "gave", "asked")]
    return tlesion.select_neurons(model, tlesion.Contrast.from_pairs(pairs, words=("him", "her")))


def run_dose(model, **options):
    layers: dict[str, Any] = {"layers": [1, 4, 8], "doses": (2, 50), "n_controls": 1}
    return tlesion.dose_response(model, selection_of(model), prompts(), **layers, **options)


def run_cumulative(model, **options):
    return tlesion.cumulative_lesion(model, None, prompts(), **options)


def run_sufficiency(model, **options):
    few = torch.arange(512) < 20
    return tlesion.sufficiency(model, {"him": few.expand(12, -1)}, prompts(), **{"n_controls": 2} | options)


def run_minimality(model, **options):
    few = torch.arange(512) < 20
    return tlesion.minimality(model, {"him": few.expand(12, -1)}, prompts(), **{"n_halves": 4} | options)


def run_decomposition(model, **options):
    few = torch.arange(512) < 20
    return tlesion.decompose_drop(model, {"him": few.expand(12, -1)}, prompts(), **options)


STUDIES = {
    "laminar_profile": run_laminar,
    "dose_response": run_dose,
    "cumulative_lesion": run_cumulative,
    "decompose_drop": run_decomposition,
    "sufficiency": run_sufficiency,
    "minimality": run_minimality,
    "sweep": run_sweep,
    "replacement": run_replacement,
    "subspace_removal": run_subspace,
    "context_modulation": run_context,
    "space_modulation": run_space,
}


class CutOff(BaseException):
    """What ends a run in these tests: nothing catches it on its way out, as nothing catches a kill."""


@pytest.fixture
def small_portions(monkeypatch):
    """Sweeps of toy models in several portions."""
    monkeypatch.setattr("tlesion.sweeps.engine.CLEAN_RUNS", 0.5)


@pytest.fixture
def cut_after(monkeypatch):
    """`cut_after(3)`: the fourth file that a checkpoint wants to write ends the run."""

    def arm(n_files: int | None) -> None:
        written: list[Path] = []

        def write(path: Path, data: str | bytes) -> None:
            if n_files is not None and len(written) == n_files:
                raise CutOff
            written.append(path)
            write_whole(path, data)

        monkeypatch.setattr(checkpoints, "write_whole", write)

    return arm


def parts(folder: Path) -> dict[str, int]:
    """The parts that are there, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / PARTS_FOLDER).iterdir()}


def state(folder: Path) -> str:
    return json.loads((folder / CHECKPOINT_FILE).read_text(encoding="utf-8"))["state"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_run_that_was_cut_off_continues_to_the_same_numbers(name, toy_gpt, tmp_path, small_portions, cut_after):
    study = STUDIES[name]
    plain = study(toy_gpt)
    whole = study(toy_gpt, checkpoint=tmp_path / "whole")
    assert whole.content_hash == plain.content_hash, "keeping parts changes no bit"
    assert state(tmp_path / "whole") == "finished"
    n_parts = len(parts(tmp_path / "whole"))
    assert n_parts >= 4
    assert "residuals.safetensors" not in parts(tmp_path / "whole"), "what only continuing needs is gone"
    folder = tmp_path / "cut"
    for n_files in (0, 3, 2):  # before its first file; then twice on the way
        before = parts(folder) if folder.exists() and (folder / PARTS_FOLDER).exists() else {}
        cut_after(n_files)
        with pytest.raises(CutOff):
            study(toy_gpt, checkpoint=folder)
        now = parts(folder)
        layers = {part for part in before if "residuals" not in part}
        assert layers <= set(now)
        assert all(now[part] == before[part] for part in layers), "a kept part is not computed again"
    before = {part: when for part, when in parts(folder).items() if "residuals" not in part}
    assert 0 < len(before) < n_parts
    assert state(folder) == "running"
    cut_after(None)
    continued = study(toy_gpt, checkpoint=folder)
    assert continued.content_hash == plain.content_hash
    assert parts(folder).keys() == parts(tmp_path / "whole").keys()
    assert all(parts(folder)[part] == when for part, when in before.items())
    assert state(folder) == "finished"


@pytest.mark.parametrize("name", STUDIES)
def test_a_finished_run_is_read_without_the_model(name, toy_gpt, tmp_path, monkeypatch):
    study = STUDIES[name]
    first = study(toy_gpt, checkpoint=tmp_path / "kept")

    def never(*_, **__):
        raise AssertionError("a block was run")

    monkeypatch.setattr(type(toy_gpt.blocks[0]), "forward", never)
    assert study(toy_gpt, checkpoint=tmp_path / "kept").content_hash == first.content_hash


@pytest.mark.parametrize("name", STUDIES)
def test_a_damaged_part_of_a_study_is_made_again(name, toy_gpt, tmp_path):
    study, folder = STUDIES[name], tmp_path / "kept"
    first = study(toy_gpt, checkpoint=folder)
    for path in sorted((folder / PARTS_FOLDER).iterdir())[1:3]:
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="is damaged and is computed again"):
        again = study(toy_gpt, checkpoint=folder)
    assert again.content_hash == first.content_hash


def test_other_settings_stimuli_edits_or_weights_are_refused(toy_gpt, toy_bert, tmp_path):
    folder = tmp_path / "kept"
    tlesion.sweep(toy_gpt, prompts(), [[iv.scale("blocks.1.hook_resid_post", 0.5)]], checkpoint=folder)

    def again(model=toy_gpt, given=None, edit=None, **options):
        edit = edit or iv.scale("blocks.1.hook_resid_post", 0.5)
        tlesion.sweep(model, given or prompts(), [[edit]], checkpoint=folder, **options)

    with pytest.raises(ValueError, match=r"settings\.global_change is True there and False here"):
        again(global_change=False)
    with pytest.raises(ValueError, match=r"settings\.edits\[0\] differs"):
        again(edit=iv.scale("blocks.1.hook_resid_post", 0.25))
    other = prompts()
    other[2] = tlesion.Prompt("robert saw Lucy because she helped", ("him", "her"), correct="him")
    with pytest.raises(ValueError, match=r"\(stimuli\[2\] differs\)"):
        again(given=other)  # a lower-case letter alone: other tokens
    swapped = [tlesion.Prompt(prompt.text, ("her", "him")) for prompt in prompts()]
    with pytest.raises(ValueError, match=r"stimuli\[0\] differs"):
        again(given=swapped)
    changed = toy_gpt.blocks[5].mlp.b_in.data[7].clone()
    toy_gpt.blocks[5].mlp.b_in.data[7] += 1
    try:
        with pytest.raises(ValueError, match=r"\(weights differs\)"):
            again()
    finally:
        toy_gpt.blocks[5].mlp.b_in.data[7] = changed
    with pytest.raises(ValueError, match="study is 'sweep' there and 'replacement' here"):
        run_replacement(toy_gpt, checkpoint=folder)
    again()


def test_other_masks_or_controls_of_a_profile_are_refused(toy_gpt, tmp_path):
    masks = {"him": torch.arange(512).expand(12, -1) < 5, "her": torch.arange(512).expand(12, -1) < 9}

    def profile(given=masks, **options):
        tlesion.laminar_profile(toy_gpt, given, prompts(), checkpoint=tmp_path / "kept", **options)

    profile()
    with pytest.raises(ValueError, match=r"\(settings\.masks\.her differs\)"):
        profile(masks | {"her": torch.arange(512).expand(12, -1) < 8})
    with pytest.raises(ValueError, match=r"\(settings\.order_of_masks\[0\] is 'him' there and 'her' here"):
        profile(dict(reversed(masks.items())))
    with pytest.raises(ValueError, match=r"settings\.ablation is 'zero' there and 'gaussian' here"):
        profile(ablation="gaussian")
    with pytest.raises(ValueError, match=r"settings\.n_controls is 0 there and 5 here"):
        profile(n_controls=5)
    with pytest.raises(ValueError, match=r"settings\.plan is 'auto' there and 'loop' here"):
        profile(plan="loop")


def test_masks_of_every_kind_tell_edits_apart(toy_gpt, tmp_path):
    name = "blocks.1.mlp.hook_post"
    kinds = [
        iv.zero(name, units=slice(0, 4)),
        iv.zero(name, units=[0, 1, 2]),
        iv.zero(name, units=torch.arange(512) < 5),
        iv.zero(name, units=[0], positions=-1),
        iv.replace(name, torch.ones(512)),
        iv.gaussian(name, seed=3),
    ]
    for index, edit in enumerate(kinds):
        tlesion.sweep(toy_gpt, prompts()[:1], [[edit]], checkpoint=tmp_path / str(index))
        for other in kinds[:index]:
            with pytest.raises(ValueError, match=r"settings\.edits\[0\] differs"):
                tlesion.sweep(toy_gpt, prompts()[:1], [[other]], checkpoint=tmp_path / str(index))


def test_a_function_of_ones_own_cannot_be_kept(toy_gpt, tmp_path):
    lesion = [("blocks.1.mlp.hook_post", lambda activation, hook: activation * 0)]
    with pytest.raises(TypeError, match=r"at 'blocks.1.mlp.hook_post' is one of your own.*leave checkpoint out"):
        tlesion.sweep(toy_gpt, prompts(), [lesion], checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert tlesion.sweep(toy_gpt, prompts(), [lesion]).logit_drop.shape == (1, 3, 2)


def test_a_continued_run_keeps_the_budget_of_the_first(toy_gpt, tmp_path, monkeypatch, cut_after):
    """Other batches round differently: the memory that is free when a run continues must not matter."""
    first = run_sweep(toy_gpt, checkpoint=tmp_path / "whole")
    cut_after(3)
    with pytest.raises(CutOff):
        run_sweep(toy_gpt, checkpoint=tmp_path / "cut")
    cut_after(None)
    monkeypatch.setattr("tlesion.sweeps.memory.default_max_bytes", lambda device: 1)
    assert run_sweep(toy_gpt, checkpoint=tmp_path / "cut").content_hash == first.content_hash


CHILD = """
import sys, time
import torch
torch.set_num_threads(1)
import tlesion
from tlesion.keep import checkpoint
sys.path.insert(0, {tests!r})
import test_checkpoint_studies as studies
from tlesion.sweeps import engine
engine.CLEAN_RUNS = 0.5
written, original = [], checkpoint.write_whole
def write(path, data):
    if len(written) == 4:
        time.sleep(3600)  # in the middle of a run, until it is killed
    written.append(path)
    original(path, data)
checkpoint.write_whole = write
studies.STUDIES[{name!r}](tlesion.load_model("toy-gpt"), checkpoint={folder!r})
"""


def test_a_killed_process_is_continued_by_another(toy_gpt, tmp_path, small_portions):
    """The real thing: kill -9 in the middle, and the numbers of a run that nothing befell."""
    folder = tmp_path / "kept"
    code = CHILD.format(tests=str(Path(__file__).parent), name="laminar_profile", folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"HF_HUB_OFFLINE": "1"}) as child:
        try:
            deadline = time.monotonic() + 600
            while not (folder / PARTS_FOLDER).is_dir() or len(parts(folder)) < 3:
                assert child.poll() is None, "the child ended by itself"
                assert time.monotonic() < deadline, "the child wrote no parts"
                time.sleep(0.05)
        finally:
            os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    before = parts(folder)
    assert state(folder) == "running"
    continued = run_laminar(toy_gpt, checkpoint=folder)
    assert all(parts(folder)[name] == when for name, when in before.items()), "kept parts were taken as they are"
    assert len(parts(folder)) > len(before)
    assert continued.content_hash == run_laminar(toy_gpt).content_hash
