"""What a result records of its model and stimuli, and which run a checkpoint is of."""

import json
from dataclasses import asdict, replace

import pytest

import tlesion
from tlesion.keep.checkpoint import CHECKPOINT_FILE, NOTHING_KEPT
from tlesion.keep.hashing import combined_hash
from tlesion.models import info
from tlesion.provenance import checkpoint_of, provenance_of


@pytest.fixture
def opened(toy_gpt, tmp_path):
    """`opened(seed=1)`: the checkpoint of a run of toy-gpt with these settings, in one and the same folder."""

    def opens(
        *,
        model=toy_gpt,
        study="laminar_profile",
        stimuli=("s1", "s2"),
        record=None,
        options=None,
        folder="kept",
        **settings,
    ):
        made = record or provenance_of(model, settings={"seed": 0} | settings, stimuli=["x"])
        place = None if folder is None else tmp_path / folder
        return checkpoint_of(model, place, study=study, provenance=made, stimuli=list(stimuli), options=options or {})

    return opens


def test_model_versions_settings_and_stimuli_are_recorded(toy_gpt, toy_bert):
    settings = {"seed": 3, "prepend_bos": None}
    made = provenance_of(toy_gpt, settings=settings, stimuli=["s1", "s2"], contexts=["c"])
    assert made.model == asdict(info(toy_gpt))
    assert list(made.versions) == ["tlesion", "transformer_lens", "torch", "transformers"]
    assert made.settings == {"seed": 3, "prepend_bos": bool(toy_gpt.cfg.default_prepend_bos)}
    assert settings["prepend_bos"] is None, "what was given is left alone"
    assert (made.stimuli, made.contexts) == (("s1", "s2"), ("c",))
    assert made.stimuli_hash == combined_hash(["s1", "s2"])
    assert provenance_of(toy_bert, settings=settings, stimuli=[]).settings["prepend_bos"] is None


def test_the_same_run_finds_its_parts_and_another_is_refused(opened, tmp_path):
    opened(options={"plan": "loop"}).write("one", {"rank": 2})
    assert opened(options={"plan": "loop"}).read("one") == {"rank": 2}
    run = json.loads((tmp_path / "kept" / CHECKPOINT_FILE).read_text())["run"]
    assert (run["study"], run["device"], run["dtype"], run["processing"]) == (
        "laminar_profile",
        "cpu",
        "float32",
        "none",
    )
    assert run["settings"] == {"seed": 0, "plan": "loop"}
    assert run["stimuli"] == ["s1", "s2"]
    for changed, said in (
        ({}, "settings.plan is there and not here"),
        ({"options": {"plan": "auto"}}, "settings.plan is 'loop' there and 'auto' here"),
        ({"options": {"plan": "loop"}, "study": "sweep"}, "study is 'laminar_profile' there and 'sweep' here"),
        ({"options": {"plan": "loop"}, "stimuli": ["s1"]}, "stimuli: 2 there and 1 here"),
    ):
        with pytest.raises(ValueError, match=rf"is of another run \({said}\)"):
            opened(**changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fingerprint": "cd" * 32}, "weights differs"),
        ({"dtype": "bfloat16"}, "dtype is 'float32' there and 'bfloat16' here"),
        ({"processing": "layer norm folded"}, "processing is 'none' there and 'layer norm folded' here"),
    ],
)
def test_other_weights_are_another_run(opened, toy_gpt, changed, said):
    opened()
    here = provenance_of(toy_gpt, settings={"seed": 0}, stimuli=["x"])
    with pytest.raises(ValueError, match=said):
        opened(record=replace(here, model=here.model | changed))
    with pytest.raises(ValueError, match=r"versions\.torch is '.*' there and '0' here"):
        opened(record=replace(here, versions=here.versions | {"torch": "0"}))


def test_the_same_weights_under_another_name_are_the_same_run(opened, toy_gpt):
    opened().write("one", {"rank": 2})
    here = provenance_of(toy_gpt, settings={"seed": 0}, stimuli=["x"])
    assert opened(record=replace(here, model=here.model | {"name": "path/to/toy"})).read("one") is not None


def test_a_model_with_hooks_of_its_own_is_refused(opened, toy_gpt, tmp_path):
    with toy_gpt.hooks(fwd_hooks=[("blocks.3.mlp.hook_post", lambda activation, hook: activation)]):
        with pytest.raises(ValueError, match=r"hooks of its own \(at blocks.3.mlp.hook_post\).*reset_hooks"):
            opened()
        assert opened(folder=None) is NOTHING_KEPT, "where nothing is kept there is nothing to compare"
    assert not (tmp_path / "kept").exists(), "a refused run leaves no folder"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: setattr(model.cfg, "output_logits_soft_cap", 5.0), r"cfg\.output_logits_soft_cap"),
        (lambda model: model.set_use_split_qkv_input(True), r"cfg\.use_split_qkv_input"),
        (lambda model: setattr(model.blocks[3].ln1, "eps", 0.5), "constants"),
        (lambda model: setattr(model.blocks[3].mlp, "act_fn", lambda x: x), "constants"),
    ],
)
def test_other_settings_of_the_model_are_another_run(opened, change, said):
    opened()
    model = tlesion.load_model("toy-gpt")
    change(model)
    with pytest.raises(ValueError, match=said):
        opened(model=model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mlp: mlp.register_forward_hook(lambda module, inputs, output: output), "a PyTorch hook"),
        (lambda mlp: setattr(mlp, "forward", lambda x: x), "a patched 'forward'"),
    ],
)
def test_changes_that_cannot_be_compared_are_refused(opened, change, said):
    model = tlesion.load_model("toy-gpt")
    change(model.blocks[3].mlp)
    with pytest.raises(ValueError, match=f"the model has {said} on blocks.3.mlp, and a checkpoint cannot tell"):
        opened(model=model)
