"""Every study that keeps its parts: cut off and continued it ends with the numbers of a run that was not."""

import json
import os
import shutil
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

N_LAYERS, D_MLP = 6, 128
TEXTS = ["The teacher gave the boy an apple.", "The boy saw the house.", "She helped him and he thanked her."]


def prompts() -> list[tlesion.Prompt]:
    """Three lengths, so that there are three groups."""
    texts = ("Robert helped Lucy and she thanked", "Lucy thanked", "Robert saw Lucy because she helped")
    return [tlesion.Prompt(text, ("him", "her"), correct="him") for text in texts]


def run_sweep(model, **options):
    lesions = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions="readout")] for layer in range(N_LAYERS)]
    lesions += [[iv.gaussian(f"blocks.{layer}.mlp.hook_post", seed=1)] for layer in range(3)]
    return tlesion.sweep(model, prompts(), [[], *lesions], **options)


def run_replacement(model, **options):
    variants = tlesion.scale_variants(model, factors=[0.1, 10.0], layers=[1, 2, 4, 5])
    return tlesion.replacement(model, prompts(), variants, **options)


def run_subspace(model, **options):
    return tlesion.subspace_removal(model, TEXTS, rank=1, ranks=[2], n_random=1, layers=[0, 2, 3, 5], **options)


def run_context(model, **options):
    return tlesion.context_modulation(model, TEXTS, layers=[1, 2, 4, 5], n_windows=4, **options)


def run_space(model, **options):
    return tlesion.space_modulation(model, ["t", "h", "s", "w"], layers=[0, 3, 4], **options)


def run_laminar(model, **options):
    odd, few = torch.arange(D_MLP) % 2 == 1, torch.arange(D_MLP) < 20
    masks = {"him": odd.expand(N_LAYERS, -1), "her": few.expand(N_LAYERS, -1)}
    given: dict[str, Any] = {"n_controls": 1, "match": "activity"} | options
    return tlesion.laminar_profile(model, masks, prompts(), **given)


@cache
def selection_of(model) -> tlesion.NeuronSelection:
    pairs = [(f"The boy {verb} him.", f"The girl {verb} her.") for verb in ("saw", "told", "gave", "asked")]
    contrast = tlesion.Contrast.from_pairs(pairs, words=("him", "her"))
    return tlesion.select_neurons(model, contrast, correction="none", alpha=0.5)


def run_dose(model, **options):
    layers: dict[str, Any] = {"layers": [1, 3, 4], "doses": (2, 50), "n_controls": 1}
    return tlesion.dose_response(model, selection_of(model), prompts(), **layers, **options)


def run_cumulative(model, **options):
    return tlesion.cumulative_lesion(model, None, prompts(), **options)


def run_sufficiency(model, **options):
    few = torch.arange(D_MLP) < 20
    return tlesion.sufficiency(model, {"him": few.expand(N_LAYERS, -1)}, prompts(), **{"n_controls": 2} | options)


def run_minimality(model, **options):
    few = torch.arange(D_MLP) < 20
    return tlesion.minimality(model, {"him": few.expand(N_LAYERS, -1)}, prompts(), **{"n_halves": 4} | options)


def run_decomposition(model, **options):
    few = torch.arange(D_MLP) < 20
    return tlesion.decompose_drop(model, {"him": few.expand(N_LAYERS, -1)}, prompts(), **options)


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


@pytest.fixture(scope="module")
def folder_of_gpt(checkpoint_folder) -> Path:
    """A causal model with layers enough for several portions, and no more."""
    return checkpoint_folder("gpt2", n_layer=N_LAYERS)


@pytest.fixture(scope="module")
def gpt(folder_of_gpt):
    return tlesion.load_model(folder_of_gpt)


@pytest.fixture(scope="module", autouse=True)
def small_portions():
    """Sweeps of small models in several portions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlesion.sweeps.engine.CLEAN_RUNS", 0.5)
        yield


@pytest.fixture(scope="module", params=STUDIES)
def name(request) -> str:
    """A study. Of the module, not of each test: what one study needs is made once for all tests of it."""
    return request.param


@pytest.fixture(scope="module")
def finished(name, gpt, small_portions, tmp_path_factory) -> tuple[Path, str]:
    """The checkpoint of a run that nothing befell, to be copied and not to be written to, and the result's hash."""
    folder = tmp_path_factory.mktemp(name) / "kept"
    return folder, STUDIES[name](gpt, checkpoint=folder).content_hash


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


def test_a_run_that_was_cut_off_continues_to_the_same_numbers(name, gpt, finished, tmp_path, cut_after):
    study = STUDIES[name]
    plain = study(gpt)
    whole, content_hash = finished
    assert content_hash == plain.content_hash, "keeping parts changes no bit"
    assert state(whole) == "finished"
    n_parts = len(parts(whole))
    assert n_parts >= 4
    assert "residuals.safetensors" not in parts(whole), "what only continuing needs is gone"
    folder = tmp_path / "cut"
    for n_files in (0, 3, 2):  # before its first file; then twice on the way
        before = parts(folder) if folder.exists() and (folder / PARTS_FOLDER).exists() else {}
        cut_after(n_files)
        with pytest.raises(CutOff):
            study(gpt, checkpoint=folder)
        now = parts(folder)
        layers = {part for part in before if "residuals" not in part}
        assert layers <= set(now)
        assert all(now[part] == before[part] for part in layers), "a kept part is not computed again"
    before = {part: when for part, when in parts(folder).items() if "residuals" not in part}
    assert 0 < len(before) < n_parts
    assert state(folder) == "running"
    cut_after(None)
    continued = study(gpt, checkpoint=folder)
    assert continued.content_hash == plain.content_hash
    assert parts(folder).keys() == parts(whole).keys()
    assert all(parts(folder)[part] == when for part, when in before.items())
    assert state(folder) == "finished"


def test_a_finished_run_is_read_without_the_model(name, gpt, finished, tmp_path, monkeypatch):
    kept, content_hash = finished
    shutil.copytree(kept, folder := tmp_path / "kept")

    def never(*_, **__):
        raise AssertionError("a block was run")

    monkeypatch.setattr(type(gpt.blocks[0]), "forward", never)
    assert STUDIES[name](gpt, checkpoint=folder).content_hash == content_hash


def test_a_damaged_part_of_a_study_is_made_again(name, gpt, finished, tmp_path):
    kept, content_hash = finished
    shutil.copytree(kept, folder := tmp_path / "kept")
    for path in sorted((folder / PARTS_FOLDER).iterdir())[1:3]:
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="is damaged and is computed again"):
        again = STUDIES[name](gpt, checkpoint=folder)
    assert again.content_hash == content_hash


def test_other_settings_stimuli_edits_or_weights_are_refused(gpt, tmp_path):
    folder = tmp_path / "kept"
    tlesion.sweep(gpt, prompts(), [[iv.scale("blocks.1.hook_resid_post", 0.5)]], checkpoint=folder)

    def again(model=gpt, given=None, edit=None, **options):
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
    changed = gpt.blocks[5].mlp.b_in.data[7].clone()
    gpt.blocks[5].mlp.b_in.data[7] += 1
    try:
        with pytest.raises(ValueError, match=r"\(weights differs\)"):
            again()
    finally:
        gpt.blocks[5].mlp.b_in.data[7] = changed
    with pytest.raises(ValueError, match="study is 'sweep' there and 'replacement' here"):
        run_replacement(gpt, checkpoint=folder)
    again()


def test_other_masks_or_controls_of_a_profile_are_refused(gpt, tmp_path):
    masks = {"him": torch.arange(D_MLP).expand(N_LAYERS, -1) < 5, "her": torch.arange(D_MLP).expand(N_LAYERS, -1) < 9}

    def profile(given=masks, **options):
        options = {"n_controls": 0} | options
        tlesion.laminar_profile(gpt, given, prompts(), checkpoint=tmp_path / "kept", **options)

    profile()
    with pytest.raises(ValueError, match=r"\(settings\.masks\.her differs\)"):
        profile(masks | {"her": torch.arange(D_MLP).expand(N_LAYERS, -1) < 8})
    with pytest.raises(ValueError, match=r"\(settings\.order_of_masks\[0\] is 'him' there and 'her' here"):
        profile(dict(reversed(masks.items())))
    with pytest.raises(ValueError, match=r"settings\.ablation is 'zero' there and 'gaussian' here"):
        profile(ablation="gaussian")
    with pytest.raises(ValueError, match=r"settings\.n_controls is 0 there and 5 here"):
        profile(n_controls=5)
    with pytest.raises(ValueError, match=r"settings\.plan is 'auto' there and 'loop' here"):
        profile(plan="loop")


def test_masks_of_every_kind_tell_edits_apart(gpt, tmp_path):
    name = "blocks.1.mlp.hook_post"
    kinds = [
        iv.zero(name, units=slice(0, 4)),
        iv.zero(name, units=[0, 1, 2]),
        iv.zero(name, units=torch.arange(D_MLP) < 5),
        iv.zero(name, units=[0], positions=-1),
        iv.replace(name, torch.ones(D_MLP)),
        iv.gaussian(name, seed=3),
    ]
    for index, edit in enumerate(kinds):
        tlesion.sweep(gpt, prompts()[:1], [[edit]], checkpoint=tmp_path / str(index))
        for other in kinds[:index]:
            with pytest.raises(ValueError, match=r"settings\.edits\[0\] differs"):
                tlesion.sweep(gpt, prompts()[:1], [[other]], checkpoint=tmp_path / str(index))


def test_a_function_of_ones_own_cannot_be_kept(gpt, tmp_path):
    lesion = [("blocks.1.mlp.hook_post", lambda activation, hook: activation * 0)]
    with pytest.raises(TypeError, match=r"at 'blocks.1.mlp.hook_post' is one of your own.*leave checkpoint out"):
        tlesion.sweep(gpt, prompts(), [lesion], checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert tlesion.sweep(gpt, prompts(), [lesion]).logit_drop.shape == (1, 3, 2)


def test_a_continued_run_keeps_the_budget_of_the_first(gpt, tmp_path, monkeypatch, cut_after):
    """Other batches round differently: the memory that is free when a run continues must not matter."""
    first = run_sweep(gpt, checkpoint=tmp_path / "whole")
    cut_after(3)
    with pytest.raises(CutOff):
        run_sweep(gpt, checkpoint=tmp_path / "cut")
    cut_after(None)
    monkeypatch.setattr("tlesion.sweeps.memory.default_max_bytes", lambda device: 1)
    assert run_sweep(gpt, checkpoint=tmp_path / "cut").content_hash == first.content_hash


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
studies.STUDIES[{name!r}](tlesion.load_model({model!r}), checkpoint={folder!r})
"""


def test_a_killed_process_is_continued_by_another(gpt, folder_of_gpt, tmp_path):
    """The real thing: kill -9 in the middle, and the numbers of a run that nothing befell."""
    folder = tmp_path / "kept"
    names = {"tests": Path(__file__).parent, "model": folder_of_gpt, "folder": folder}
    code = CHILD.format(name="laminar_profile", **{key: str(path) for key, path in names.items()})
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
    continued = run_laminar(gpt, checkpoint=folder)
    assert all(parts(folder)[name] == when for name, when in before.items()), "kept parts were taken as they are"
    assert len(parts(folder)) > len(before)
    assert continued.content_hash == run_laminar(gpt).content_hash
