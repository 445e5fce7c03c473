"""What a sweep refuses to read, and what it leaves as it was: prompts that are no list, NaN, modes of modules."""

import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.sweeps.sweep import encode_prompts

PROMPT = tlesion.Prompt("Robert helped Lucy and she thanked", ("him", "her"))
LESION = [iv.zero("blocks.1.mlp.hook_post")]


@pytest.fixture
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def calls(model):
    """Every public study that begins with a list of prompts."""
    mask = torch.zeros(model.cfg.n_layers, model.cfg.d_mlp, dtype=torch.bool)
    mask[:, 0] = True
    return {
        "sweep": lambda prompts: tlesion.sweep(model, prompts, [LESION]),
        "laminar_profile": lambda prompts: tlesion.laminar_profile(model, {"him": mask}, prompts, n_controls=0),
        "replacement": lambda prompts: tlesion.replacement(model, prompts, tlesion.scale_variants(model)),
        "encode_prompts": lambda prompts: encode_prompts(model, prompts),
    }


NAMES = ("sweep", "laminar_profile", "replacement", "encode_prompts")


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_prompt_is_told_how_to_become_a_list(model, name):
    with pytest.raises(
        TypeError, match=r"prompts is a single Prompt, Prompt\(.*; give a list of tlesion.Prompt: \[prompt\]"
    ):
        calls(model)[name](PROMPT)
    with pytest.raises(TypeError, match=r"prompts is a single str, 'Robert .*targets=\(\.\.\.\)"):
        calls(model)[name](PROMPT.text)
    with pytest.raises(TypeError, match=r"prompt 1 is a str, 'We saw'; every prompt of a list is a tlesion.Prompt"):
        calls(model)[name]([PROMPT, "We saw"])
    with pytest.raises(ValueError, match="no prompt was given"):
        calls(model)[name]([])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", NAMES[:3])
def test_clean_logits_that_are_no_numbers_are_refused(model, name, value):
    model.unembed.b_U.data[:] = value
    with pytest.raises(ValueError, match=r"clean logits of 2 of 2 prompts are NaN or infinite, so no effect can be"):
        calls(model)[name]([PROMPT, PROMPT])


def test_every_module_has_its_own_mode_afterwards(model):
    """A model in training whose user has put one block into eval mode, for example to freeze its dropout."""
    model.train()
    model.blocks[1].eval()
    before = {name: module.training for name, module in model.named_modules()}
    tlesion.sweep(model, [PROMPT], [LESION])
    tlesion.context_modulation(model, "The teacher gave the boy an apple.", context_lengths=[1], n_windows=2)
    with pytest.raises(ZeroDivisionError):
        tlesion.sweep(model, [PROMPT], [[("blocks.1.mlp.hook_post", lambda activation, hook: 1 / 0)]])
    assert {name: module.training for name, module in model.named_modules()} == before
    assert not model.blocks[1].training
    assert model.blocks[0].training
