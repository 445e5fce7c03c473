"""Lesions after which logits are no numbers: refused at once, by name, and never averaged with others."""

import pytest
import torch

import tlesion
from tlesion import Prompt
from tlesion import interventions as iv

PROMPTS = [Prompt(text, ("him", "her")) for text in ("We saw", "The boy and the girl told")]


def broken(value):
    def edit(activation, hook):
        activation[1 if len(activation) > 1 else 0, -1] = value
        return activation

    return edit


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("global_change", [True, False])
def test_a_lesion_that_breaks_the_logits_is_named(toy_gpt, value, global_change):
    lesions = [[iv.zero("blocks.3.mlp.hook_post")], [("blocks.5.hook_resid_post", broken(value))]]
    with pytest.raises(
        ValueError, match=r"lesion 1 \(at blocks\.5\.hook_resid_post\) makes logits of prompt \d NaN or"
    ):
        tlesion.sweep(toy_gpt, PROMPTS, lesions, global_change=global_change)


def test_clean_logits_are_blamed_where_they_are_broken_already(toy_gpt):
    with (
        toy_gpt.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", broken(float("nan")))]),
        pytest.raises(ValueError, match=r"clean logits of . of 2 prompts are NaN or infinite"),
    ):
        tlesion.sweep(toy_gpt, PROMPTS, [[iv.zero("blocks.3.mlp.hook_post")]])


def test_a_profile_refuses_them_as_well(toy_gpt):
    mask = torch.ones(12, 512, dtype=torch.bool)
    reference = torch.full((12, 512), 3e38)
    with pytest.raises(ValueError, match="makes logits of prompt"):
        tlesion.laminar_profile(toy_gpt, {"him": mask}, PROMPTS, ablation="mean", reference=reference, n_controls=0)


def test_a_selection_of_another_model_is_refused(toy_gpt):
    other = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
    selection = tlesion.select_neurons(other.model, other.language.contrast(8, seed=0), position="before")
    mask = torch.ones(12, 512, dtype=torch.bool)
    for study in (
        lambda: tlesion.dose_response(toy_gpt, selection, PROMPTS),
        lambda: tlesion.laminar_profile(toy_gpt, {"him": mask}, PROMPTS, selected_on=selection, n_controls=0),
    ):
        with pytest.raises(ValueError, match="the selection is of model 'planted-causal' and the model given"):
            study()
