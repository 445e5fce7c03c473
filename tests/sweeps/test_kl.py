"""The divergence of the lesioned prediction from the clean one: as torch's kl_div has it, on plain runs."""

from typing import Any

import pytest
import torch
from torch.nn.functional import kl_div

import tlesion
from tests.sweeps.tiny_models import plain_logits, readings_of, tiny
from tlesion import interventions as iv
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink
from tlesion.sweeps.sweep import SweepResult

PLANS = ("loop", "batched", "fanout", "prefix", "auto")
PROMPTS = [tlesion.Prompt(text, ("him", "her")) for text in ("We saw", "The boy and the girl told")]
LESIONS = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions="readout")] for layer in (0, 5, 11)]


def divergence(clean: torch.Tensor, lesioned: torch.Tensor) -> torch.Tensor:
    """The oracle: KL(clean || lesioned), in nats, summed over the vocabulary."""
    p, q = clean.double().log_softmax(dim=-1), lesioned.double().log_softmax(dim=-1)
    return kl_div(q, p, log_target=True, reduction="none").sum(dim=-1)


@pytest.mark.parametrize("global_change", [True, False])
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_equals_plain_runs(plan, global_change):
    model, readings = tiny(), readings_of((5, 8, 5))
    cuts = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions=-1)] for layer in range(3)]
    expected = divergence(plain_logits(model, readings, [[]]), plain_logits(model, readings, cuts))
    sink = TargetSink(readings, global_change=global_change, kl=True)
    run_sweep(model, readings, read_lesions(model, cuts), sink, plan=plan)
    torch.testing.assert_close(sink.kl[..., 0], expected, atol=1e-5, rtol=1e-5)
    assert sink.kl.dtype == torch.float64
    assert expected.min() > 1e-3, "the lesions do something"
    assert sink.global_change.isnan().all().item() is not global_change


@pytest.mark.parametrize("plan", PLANS)
def test_a_null_lesion_diverges_by_exactly_nothing(plan):
    model, readings = tiny(), readings_of((5, 8, 5))
    no_unit = torch.zeros(model.cfg.d_mlp, dtype=torch.bool)
    null = [[iv.zero("blocks.0.mlp.hook_post", units=no_unit, positions=-1)], [iv.scale("blocks.1.hook_mlp_out", 1.0)]]
    cut = [iv.zero("blocks.2.mlp.hook_post", positions=-1)]
    lesions = [*null, cut] if plan != "prefix" else [null[0], null[0], cut]
    sink = TargetSink(readings, global_change=True, kl=True)
    run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
    assert not sink.kl[:2].any()
    assert (sink.kl[2] > 0).all()


def test_a_shift_of_all_logits_leaves_the_prediction_as_it_was(toy_gpt):
    swept = tlesion.sweep(toy_gpt, PROMPTS, [[("unembed.hook_out", lambda logits, hook: logits + 7.0)]])
    # Logits of about 10 are rounded to 2**-20 when they are shifted; what that does is of second order.
    assert (swept.kl >= 0).all()
    assert swept.kl.max() < 1e-9
    assert (swept.logit_drop < -6.9).all()


def test_a_small_lesion_has_a_small_divergence_and_no_rounded_one(toy_gpt):
    """To second order it is half the variance of the change: 1e-8 and less, which float32 would lose."""
    unit = [[iv.scale("blocks.11.mlp.hook_post", 0.98, units=[unit], positions="readout")] for unit in range(20)]
    swept = tlesion.sweep(toy_gpt, PROMPTS, unit)
    clean = torch.stack([toy_gpt(prompt.text)[0, -1] for prompt in PROMPTS])
    runs = [
        torch.stack([toy_gpt.run_with_hooks(prompt.text, fwd_hooks=[_at_last(one[0])])[0, -1] for prompt in PROMPTS])
        for one in unit
    ]
    change = torch.stack(runs).double() - clean.double()
    p = clean.double().softmax(dim=-1)
    expected = ((p * change.square()).sum(dim=-1) - (p * change).sum(dim=-1).square()) / 2
    some = expected > 1e-10
    assert some.any()
    assert (expected < 1e-5).all()
    # Logits of order 10 carry errors of 1e-6, beside changes of 1e-4 and more.
    torch.testing.assert_close(swept.kl[some], expected[some], atol=0, rtol=0.15)


def _at_last(one):
    return one.hook_name, one.edit.with_positions(-1)


def test_it_follows_global_change_unless_it_is_asked_for_or_not(toy_gpt):
    both = tlesion.sweep(toy_gpt, PROMPTS, LESIONS)
    assert (both.kl > 0).all()
    assert both.kl.shape == both.global_change.shape == (3, 2)
    assert both.provenance.settings["kl"] is True
    neither = tlesion.sweep(toy_gpt, PROMPTS, LESIONS, global_change=False)
    assert neither.kl.isnan().all()
    assert neither.provenance.settings["kl"] is False
    without = tlesion.sweep(toy_gpt, PROMPTS, LESIONS, kl=False)
    assert without.kl.isnan().all()
    assert torch.equal(without.global_change, both.global_change)
    alone = tlesion.sweep(toy_gpt, PROMPTS, LESIONS, global_change=False, kl=True)
    assert alone.global_change.isnan().all()
    assert torch.equal(alone.kl, both.kl)
    wrong: Any = "yes"
    with pytest.raises(TypeError, match="kl is 'yes'"):
        tlesion.sweep(toy_gpt, PROMPTS, LESIONS, kl=wrong)


def test_it_stands_in_the_frame_on_disk_and_in_a_checkpoint(toy_gpt, tmp_path):
    result = tlesion.sweep(toy_gpt, PROMPTS, LESIONS, checkpoint=tmp_path / "kept")
    row = result.to_frame().query("lesion == 2 and prompt == 1 and target == 'her'").iloc[0]
    assert row["kl"] == result.kl[2, 1]
    again = tlesion.load_result(result.save(tmp_path / "sweep"))
    assert torch.equal(again.kl, result.kl)
    continued = tlesion.sweep(toy_gpt, PROMPTS, LESIONS, checkpoint=tmp_path / "kept")
    assert continued.content_hash == result.content_hash
    with pytest.raises(ValueError, match=r"settings\.kl is True there and False here"):
        tlesion.sweep(toy_gpt, PROMPTS, LESIONS, kl=False, checkpoint=tmp_path / "kept")


def test_an_older_sweep_has_none(toy_gpt):
    result = tlesion.sweep(toy_gpt, PROMPTS, LESIONS)
    filled = SweepResult.from_older({name: value for name, value in vars(result).items() if name != "kl"})
    assert filled["kl"].isnan().all()
    assert filled["kl"].shape == result.kl.shape
    assert SweepResult(**filled).to_frame()["kl"].isna().all()
