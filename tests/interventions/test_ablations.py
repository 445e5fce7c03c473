"""Ablations by name: the library's own, and a user's from one file, found by every study that cuts neurons."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.function_id import function_id
from tlesion.interventions import ablations
from tlesion.interventions.ablation import ablation_of

NAME = "blocks.0.mlp.hook_post"
MINE = """
from tlesion import interventions as iv

FACTOR = {factor}


def factor():
    return FACTOR


@iv.ablations.register("mine", summary="a part of what they are")
def mine(hook_name, *, units, positions, values, seed):
    return iv.scale(hook_name, factor(), units=units, positions=positions)


@iv.ablations.register("my hook", needs_reference="median")
def my_hook(hook_name, *, units, positions, values, seed):
    def double(activation, hook):
        return torch.where(units, 2 * activation, activation)

    import torch

    return hook_name, double
"""
OPTIONS: dict[str, Any] = {"position": "all", "reference": None, "seed": 0, "shape": (2, 3)}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(ablations._ABLATIONS, "_entries", dict(ablations._ABLATIONS._entries))


def module(folder: Path, text: str, name: str = "my_ablations"):
    """A user's file, imported."""
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def mine(tmp_path):
    return module(tmp_path, MINE.format(factor=0.5))


def prompts() -> list[tlesion.Prompt]:
    return [tlesion.Prompt(f"Robert {verb} Lucy because she helped", ("him", "her")) for verb in ("thanked", "saw")]


def some_masks(n_units: int = 512) -> dict[str, torch.Tensor]:
    return {"few": (torch.arange(n_units) < 40).expand(12, -1)}


def test_the_librarys_own_are_registered_like_any_other():
    assert ablations.names()[:5] == ("zero", "mean", "median", "resample", "gaussian")
    assert all(ablations.named(name).summary for name in ablations.names()[:5])
    assert ablations.named("mean").needs_reference == "mean"
    assert ablations.named("resample").needs_reference == "rows"


@pytest.mark.parametrize("name", ["zero", "mean", "median", "resample", "gaussian"])
def test_each_puts_in_what_its_name_says(name):
    reference = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0]]])
    if name in ("mean", "median"):
        reference = reference[:, 0]
    make = ablation_of(name, **OPTIONS | {"reference": reference, "seed": 3})
    units = torch.tensor([True, False, True])
    hook_name, edit = make.at("blocks.1.mlp.hook_post", 1, units)
    row = torch.full((1, 2, 3), 0.25)
    noise = iv.gaussian(hook_name, seed=3).edit(row)[0]
    expected = {"zero": torch.zeros(2, 3), "resample": reference[1], "gaussian": noise}.get(name, reference[1])
    assert hook_name == "blocks.1.mlp.hook_post"
    torch.testing.assert_close(edit(row)[0], torch.where(units, expected.expand(2, 3), row[0]), rtol=0, atol=0)


def test_rows_of_all_heads_side_by_side_are_put_in_inside_attention():
    rows = torch.arange(8.0).view(2, 4)
    for heads in (1, 2):
        z = torch.full((1, 2, heads, 4 // heads), -1.0)
        mask = torch.tensor([True, True, False, False])
        after = iv.replace("blocks.0.attn.hook_z", rows, units=mask).edit(z).flatten(2)[0]
        assert after.tolist() == [[0.0, 1.0, -1.0, -1.0], [4.0, 5.0, -1.0, -1.0]]


@pytest.mark.slow
def test_a_users_ablation_is_found_by_the_studies(toy_gpt, mine):
    masks = some_masks()
    options: dict[str, Any] = {"hook_point": "mlp.hook_post", "plan": "loop"}
    mine_profile = tlesion.laminar_profile(toy_gpt, masks, prompts(), ablation="mine", n_controls=0, **options)
    by_hand = [[iv.scale(f"blocks.{layer}.mlp.hook_post", 0.5, units=masks["few"][0], positions="readout")]
               for layer in range(12)]  # fmt: skip
    swept = tlesion.sweep(toy_gpt, prompts(), by_hand, plan="loop")
    assert torch.equal(mine_profile.logit_drop[0], swept.logit_drop)
    assert not mine_profile.reference_logit_drop[0].any(), "nothing cut is the clean run"
    assert mine_profile.provenance.settings["ablation"] == "mine"
    assert mine_profile.provenance.settings["ablation_function"].startswith("my_ablations.mine (")
    cumulative = tlesion.cumulative_lesion(toy_gpt, masks, prompts(), ablation="mine")
    decomposed = tlesion.decompose_drop(toy_gpt, masks, prompts(), ablation="mine")
    assert {one.provenance.settings["ablation"] for one in (cumulative, decomposed)} == {"mine"}


def test_a_hook_function_of_ones_own_is_run_as_the_users_hook(toy_gpt, mine):
    masks, reference = some_masks(), torch.zeros(12, 512)
    profile = tlesion.laminar_profile(toy_gpt, masks, prompts(), ablation="my hook", reference=reference, n_controls=0)
    by_hand = [[iv.scale(f"blocks.{layer}.mlp.hook_post", 2.0, units=masks["few"][0])] for layer in range(12)]
    swept = tlesion.sweep(toy_gpt, prompts(), by_hand)
    torch.testing.assert_close(profile.logit_drop[0], swept.logit_drop, rtol=1e-4, atol=1e-4)
    assert profile.provenance.settings["reference"] is not None


def test_what_the_reference_is_missing_is_said_in_the_ablations_words(mine):
    with pytest.raises(ValueError, match=r"ablation 'my hook' needs .* got none; .*statistic='median'"):
        ablation_of("my hook", **OPTIONS)
    with pytest.raises(ValueError, match=r"of shape \(2, rows, 3\), and got shape \(2, 3\)"):
        ablation_of("resample", **OPTIONS | {"reference": torch.zeros(2, 3)})
    assert ablation_of("mine", **OPTIONS | {"reference": torch.zeros(9)}).reference is None


def test_an_unknown_name_lists_a_users_own_and_the_way_to_register(mine):
    way = r"register your own: decorate a function with @tlesion\.interventions\.ablations\.register"
    with pytest.raises(ValueError, match=rf"'mien' is unknown; .*'mine', 'my hook' \(did you mean 'mine'\?\); {way}"):
        ablation_of("mien", **OPTIONS)


def test_a_name_is_taken_once_but_a_module_may_define_its_own_again(tmp_path, mine):
    module(tmp_path, MINE.format(factor=0.25))
    _, edit = ablation_of("mine", **OPTIONS).at(NAME, 0, torch.ones(3, dtype=torch.bool))
    assert isinstance(edit, iv.Scale)
    assert edit.factor == 0.25
    with pytest.raises(ValueError, match=r"ablation name 'mine' is taken by my_ablations\.mine; register yours under"):
        module(tmp_path, MINE.format(factor=1), name="other_module")
    with pytest.raises(ValueError, match=r"'zero' is taken by tlesion\.interventions\.ablations"):
        ablations.register("zero")(mine.mine)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (lambda: None, TypeError, r"ablation name <function .* is no text; give a name in quotes: decorate"),
        (3, TypeError, r"ablation name 3 is no text"),
        ("", ValueError, r"ablation name '' is empty or begins or ends with a space; give a word"),
        (" mine", ValueError, r"ablation name ' mine' is empty or begins"),
    ],
)
def test_what_is_no_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        ablations.register(name)


def test_what_cannot_be_called_and_an_unknown_reference_are_refused():
    with pytest.raises(TypeError, match=r"ablation 'five' is 5, which cannot be called"):
        ablations.register("five")(5)
    with pytest.raises(ValueError, match=r"needs_reference 'avarage' is unknown; allowed: 'mean', 'median'"):
        ablations.register("five", needs_reference="avarage")
    assert ablations.register("six", needs_reference=True)(len) is len
    assert ablations.named("six").needs_reference == "mean"


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (None, TypeError, r"ablation 'odd' returned a NoneType, None at 'blocks\.0\.mlp\.hook_post'; return an interv"),
        (torch.zeros(2), TypeError, r"returned a Tensor, tensor\(\[0\., 0\.\]\)"),
        ((NAME, 3), TypeError, r"returned a tuple, "),
        (("blocks.1.mlp.hook_post", len), ValueError, r"asked for an intervention at 'blocks\.0\.mlp\.hook_post' and "
         r"returned one at 'blocks\.1\.mlp\.hook_post'; hand its first argument on"),
    ],
)  # fmt: skip
def test_what_is_no_intervention_there_is_refused(made, error, message):
    ablations.register("odd")(lambda hook_name, *, units, positions, values, seed: made)
    with pytest.raises(error, match=message):
        ablation_of("odd", **OPTIONS).at(NAME, 0, torch.ones(3, dtype=torch.bool))


def test_a_function_is_known_by_its_source_and_by_what_it_takes_from_around_it(tmp_path):
    first = function_id(module(tmp_path, MINE.format(factor=0.5)).mine)
    assert function_id(module(tmp_path, MINE.format(factor=0.5)).mine) == first
    assert function_id(module(tmp_path, MINE.format(factor=0.25)).mine) != first, "a value that a callee reads"
    assert function_id(module(tmp_path, MINE.format(factor=0.5).replace("return FACTOR", "return 0.5")).mine) != first
    assert function_id(ablations.named("zero").function) == "tlesion.interventions.ablations._zero"


def closure_over(value):
    def inside(hook_name, *, units, positions, values, seed, option=None):
        return value if option is None else option

    return inside


def test_values_around_a_function_are_part_of_it():
    values = [1, 1.5, "a", (1, 2), [1, 2], {"a": 1}, {1, 2}, torch.ones(2), torch.zeros(2), torch.ones(2).double(),
              torch.ones(2, 1), slice(2), closure_over(1), OPTIONS, torch.float32]  # fmt: skip
    ids = [function_id(closure_over(value)) for value in values]
    assert len(set(ids)) == len(values)
    assert ids == [function_id(closure_over(value)) for value in values]
    assert all("unknown" not in one for one in ids)


def test_what_cannot_be_told_holds_for_this_process_alone():
    namespace: dict = {"__name__": "typed"}
    exec("def typed(x):\n    return x", namespace)
    unknown = function_id(namespace["typed"])
    assert "source unknown, process" in unknown
    assert function_id(namespace["typed"]) == unknown
    assert "source unknown" in function_id(closure_over(torch.Generator()))


def test_a_checkpoint_of_another_function_is_refused(toy_gpt, tmp_path):
    masks = some_masks()

    def run(factor: float):
        module(tmp_path, MINE.format(factor=factor))
        return tlesion.laminar_profile(
            toy_gpt, masks, prompts(), ablation="mine", checkpoint=tmp_path / "kept", n_controls=0
        )

    first = run(0.5)
    assert torch.equal(run(0.5).logit_drop, first.logit_drop)
    with pytest.raises(ValueError, match=r"of another run \(settings\.ablation_function is 'my_ablations\.mine \("):
        run(0.25)


@pytest.mark.slow
def test_a_users_hook_function_is_known_again_by_a_checkpoint(toy_gpt, tmp_path, mine):
    def run(reference: torch.Tensor):
        return tlesion.cumulative_lesion(
            toy_gpt, some_masks(), prompts(), ablation="my hook", reference=reference, checkpoint=tmp_path / "k"
        )

    first = run(torch.zeros(12, 512))
    assert torch.equal(run(torch.zeros(12, 512)).logit_drop, first.logit_drop)
    with pytest.raises(ValueError, match=r"of another run"):
        run(torch.ones(12, 512))
