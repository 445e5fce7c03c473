"""Two threads on one model: one waits for the other, and both get the numbers that they would get alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import tlesion
from tlesion import Contrast, Prompt
from tlesion.hooks import user_hooks

pytestmark = pytest.mark.slow

WORDS = ("him", "her")
CONTRAST = Contrast.from_pairs(
    [(f"{who} {verb} him.", f"{other} {verb} her.")
     for who, other in (("The boy", "The girl"), ("Robert", "Lucy")) for verb in ("saw", "told", "helped")], WORDS
)  # fmt: skip
PROMPTS = [Prompt(f"{who} thanked {whom} because she", WORDS) for who, whom in (("Robert", "Lucy"), ("The boy", "her"))]


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def profile(model):
    mask = torch.ones(model.cfg.n_layers, model.cfg.d_mlp, dtype=torch.bool)
    return tlesion.laminar_profile(model, {"all": mask}, PROMPTS, about={"all": ""}, n_controls=3).logit_drop


def selection(model):
    return tlesion.select_neurons(model, CONTRAST, test="paired").t


def removal(model):
    return tlesion.subspace_removal(model, "The teacher gave the boy an apple.", n_random=1).drift


def context(model):
    return tlesion.context_modulation(model, "The teacher gave the boy an apple and a cup.").correlation


def test_each_thread_gets_what_it_gets_alone(model):
    jobs = (profile, selection, removal, context) * 3
    alone = {job: job(model) for job in set(jobs)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: job(model), jobs))
    for job, found in zip(jobs, together, strict=True):
        assert torch.equal(found.nan_to_num(), alone[job].nan_to_num()), job.__name__
    assert user_hooks(model) == []


def test_the_second_waits_until_the_first_is_done(model):
    inside, go_on, order = threading.Event(), threading.Event(), []

    def slow(activation, hook):
        order.append("first")
        inside.set()
        assert go_on.wait(60)

    def first():
        tlesion.sweep(model, PROMPTS[:1], [[("blocks.0.hook_resid_pre", slow)]], plan="loop")

    def second():
        selection(model)
        order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive(), "it waits"
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert order[-1] == "second"


def test_two_models_do_not_wait_for_each_other(model, checkpoint_folder):
    other, found = tlesion.load_model(checkpoint_folder("gpt2")), []

    def meanwhile(activation, hook):
        thread = threading.Thread(target=lambda: found.append(selection(other)))
        thread.start()
        thread.join(60)

    tlesion.sweep(model, PROMPTS[:1], [[("blocks.0.hook_resid_pre", meanwhile)]], plan="loop")
    assert len(found) >= 1


def test_default_dtype_of_a_user_outlives_calls_that_overlap(model):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda job: job(model), (selection, removal) * 3))
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before)
