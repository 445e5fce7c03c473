"""The frame: what is settled before anything runs, and that a run records and continues exactly that."""

import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.studies.common.controls import controls_of
from tlesion.studies.common.frame import lesion_frame, prompt_frame
from tlesion.studies.common.point import point_of
from tlesion.studies.common.reading import read_texts, text_frame
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

PROMPTS = [
    tlesion.Prompt("Robert thanked Lucy because she helped", ("him", "her"), correct="him", group="one"),
    tlesion.Prompt("Lucy thanked", ("him", "her")),
]


def frame_of(model, prompts=PROMPTS, **options):
    asked = {"hook_point": "mlp.hook_post", "ablation": "zero", "position": "readout", "reference": None, "seed": 3}
    asked |= {"plan": "auto", "max_bytes": None, "prepend_bos": None}
    return lesion_frame(model, prompts, study="a_study", title="a study", **(asked | options))


@pytest.mark.parametrize(
    ("point", "n_units", "whole"),
    [
        ("mlp.hook_post", 512, "whole MLP"),
        ("hook_mlp_out", 128, "whole MLP"),
        ("attn.hook_z", 128, "all heads"),
        ("hook_attn_out", 128, "whole attention"),
        ("hook_resid_post", 128, "all of hook_resid_post"),
    ],
)
def test_a_point_counts_the_units_of_all_heads_and_names_all_of_them(toy_gpt, point, n_units, whole):
    assert point_of(toy_gpt, point).shape == (12, n_units)
    chosen = point_of(toy_gpt, point, [-1, 0])
    assert (chosen.layers, chosen.shape, chosen.short) == ((11, 0), (2, n_units), point)
    assert list(chosen.masks(None, whole=True)) == [whole]
    with pytest.raises(TypeError, match=r"masks are a NoneType; give a dict of named masks, \{'him': mask\} for one$"):
        chosen.masks(None)


def test_labels_settings_and_stimuli_are_those_of_the_prompts(toy_gpt):
    frame = frame_of(toy_gpt, hook_point="attn.hook_z", layers=[2])
    assert frame.labels.prompts == tuple(prompt.text for prompt in PROMPTS)
    assert frame.labels.correct == ("him", None)
    assert frame.labels.groups == ("one", "")
    provenance = frame.opened(settings={"masks": {"a": "1"}}).provenance
    expected = {"ablation": "zero", "hook_point": "attn.hook_z", "position": "readout", "seed": 3, "n_units": 128}
    assert expected.items() <= provenance.settings.items()
    assert provenance.settings["masks"] == {"a": "1"}
    assert provenance.settings["prepend_bos"] is True, "what None meant"
    assert provenance.stimuli == tuple(stimulus for prompt in PROMPTS for stimulus in prompt.stimuli)


def test_a_sweep_of_a_run_is_a_sweep(toy_gpt):
    lesion = [iv.zero("blocks.3.mlp.hook_post", positions="readout")]
    frame = prompt_frame(toy_gpt, PROMPTS, study="a_study", title="a study", settings={}, plan="loop",
                         max_bytes=None, prepend_bos=None)  # fmt: skip
    sink = TargetSink(frame.readings, global_change=False)
    settled = frame.opened().sweep(read_lesions(toy_gpt, [lesion]), sink)
    assert settled.plan == "loop"
    same = tlesion.sweep(toy_gpt, PROMPTS, [lesion], plan="loop")
    assert sink.lesioned[:, :, 0].double().equal(same.lesioned_logits)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, r"settings\.seed is 3 there and 4 here"),
        ({"plan": "loop"}, r"settings\.plan is 'auto' there and 'loop' here"),
        ({"max_bytes": 10**9}, r"settings\.max_bytes is None there and 1000000000 here"),
        ({"prompts": PROMPTS[:1]}, r"stimuli: 2 there and 1 here"),
    ],
)
def test_another_run_does_not_continue_a_checkpoint(toy_gpt, tmp_path, changed, message):
    run = frame_of(toy_gpt).opened(tmp_path / "kept")
    again = frame_of(toy_gpt).opened(tmp_path / "kept")
    assert again.budget == run.budget is not None, "the budget of the first run stays"
    with pytest.raises(ValueError, match=message):
        frame_of(toy_gpt, **changed).opened(tmp_path / "kept")


def test_lesions_that_the_settings_do_not_tell_are_known_by_their_edits(toy_gpt, tmp_path):
    one, other = ([[iv.scale("blocks.3.mlp.hook_post", factor)]] for factor in (0.1, 0.2))
    frame = frame_of(toy_gpt)
    frame.opened(tmp_path / "kept", lesions=read_lesions(toy_gpt, one))
    with pytest.raises(ValueError, match=r"settings\.edits\[0\] differs"):
        frame.opened(tmp_path / "kept", lesions=read_lesions(toy_gpt, other))


def test_texts_are_known_by_their_tokens(toy_gpt):
    texts = read_texts(toy_gpt, ["The dog saw the cat.", "We saw him."])
    frame = text_frame(toy_gpt, texts, study="a_study", settings={"alone": "bare"}, max_bytes=None)
    assert (len(frame.stimuli), len(set(frame.identities)), frame.readings) == (2, 2, ())
    assert frame.opened().provenance.settings == {"alone": "bare"}


def test_controls_of_a_mask_have_a_stream_of_their_own(toy_gpt):
    frame = frame_of(toy_gpt)
    mask = torch.zeros(frame.point.shape, dtype=torch.bool)
    mask[3, :5] = True
    controls = controls_of(4, None, frame)
    drawn = controls.draw(mask, b"him")
    assert drawn.sum(dim=2).tolist() == mask.sum(dim=1).expand(4, -1).tolist()
    assert drawn.equal(controls.draw(mask, b"him"))
    assert not drawn.equal(controls.draw(mask, b"her"))
    assert controls_of(0, "activity", frame).measured(frame).draw(mask, b"him").shape == (0, 12, 512)
