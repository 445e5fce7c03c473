"""Units inside attention, heads side by side, in every study that cuts neurons: shapes, references, controls, runs."""

import pytest
import torch

import tlesion

pytestmark = pytest.mark.slow

POINT = "attn.hook_z"
PAIRS = [("We saw him in the garden today.", "We saw her in the garden today."),
         ("The nurse called him by the river.", "The nurse called her by the river."),
         ("She gave him an apple.", "She gave her an apple."),
         ("If he saw him, they listened.", "If he saw her, they listened.")]  # fmt: skip
PROMPT = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
# Float32 rounding of logits of order 10 after twelve layers: batches of other shapes take other kernels.
ATOL = 1e-4


@pytest.fixture(scope="module", params=["toy-bert", "toy-gpt"])
def model(request):
    return tlesion.load_model(request.param)


@pytest.fixture(scope="module")
def selection(model):
    return tlesion.select_neurons(model, tlesion.Contrast.from_pairs(PAIRS, words=("him", "her")), hook_point=POINT)


def prompts_for(model) -> list[tlesion.Prompt]:
    return [PROMPT if tlesion.tokens.is_masked(model) else PROMPT.before_mask()]


def shape_of(model) -> tuple[int, int]:
    return model.cfg.n_layers, model.cfg.n_heads * model.cfg.d_head


def lesioning(model, ablation: str) -> dict:
    values = torch.randn(shape_of(model), generator=torch.Generator().manual_seed(1))
    return {"hook_point": POINT, "ablation": ablation, "reference": values if ablation == "mean" else None}


@torch.no_grad()
def plain_drop(model, cut: dict[int, torch.Tensor], options: dict) -> torch.Tensor:
    """The drop of both targets with plain hooks: units of each layer at the readout, zeroed or set to the reference."""
    encoded = tlesion.encoding.encode_prompt(model, prompts_for(model)[0])
    at, targets = encoded.readout, encoded.targets

    def put(activation, hook):
        activation = activation.clone()
        units = cut[hook.layer()].view(activation.shape[2:])
        reference = options["reference"]
        values = torch.zeros(()) if reference is None else reference[hook.layer()].view(activation.shape[2:])
        activation[0, at] = torch.where(units, values, activation[0, at])
        return activation

    hooks = [(f"blocks.{layer}.{POINT}", put) for layer in cut]
    clean, lesioned = model(encoded.ids[None])[0, at], model.run_with_hooks(encoded.ids[None], fwd_hooks=hooks)[0, at]
    return (clean - lesioned)[targets].double()


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_doses_are_shares_of_all_heads_units(model, selection, ablation):
    options = lesioning(model, ablation)
    rows = {**options, "reference": None if ablation == "zero" else options["reference"][[1, 5]]}
    found = tlesion.dose_response(
        model, selection, prompts_for(model), layers=[1, 5], doses=(10, 100), n_controls=2, match="activity", **rows
    )
    n_units = shape_of(model)[1]
    assert found.n_lesioned.tolist() == [round(n_units / 10), n_units]
    assert found.control_logit_drop.shape == (2, 2, 2, 1, 2)
    top = selection.t[5].abs().argsort(descending=True, stable=True)[: round(n_units / 10)]
    units = torch.zeros(n_units, dtype=torch.bool)
    units[top] = True
    torch.testing.assert_close(found.logit_drop[1, 0, 0], plain_drop(model, {5: units}, options), atol=ATOL, rtol=0)
    assert found.logit_drop.abs().max() > 10 * ATOL


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_spans_of_layers_cut_units_of_all_heads(model, ablation):
    options = lesioning(model, ablation)
    mask = torch.rand(shape_of(model), generator=torch.Generator().manual_seed(3)) < 0.3
    given = {"some": mask}
    found = tlesion.cumulative_lesion(model, given, prompts_for(model), n_controls=2, match="activity", **options)
    assert found.n_lesioned[0, 0].tolist() == mask.sum(dim=1).cumsum(dim=0).tolist()
    assert found.control_kl.shape[:2] == (2, 1)
    cut = {layer: mask[layer] for layer in range(3)}
    torch.testing.assert_close(found.logit_drop[0, 0, 2, 0], plain_drop(model, cut, options), atol=ATOL, rtol=0)
    assert found.logit_drop.abs().max() > 10 * ATOL


def test_without_masks_every_head_is_cut_whole(model):
    found = tlesion.cumulative_lesion(model, None, prompts_for(model), hook_point=POINT)
    n_layers, n_units = shape_of(model)
    assert found.masks == ("all heads",)
    assert found.n_lesioned[0, 1].tolist() == [n_units * (n_layers - layer) for layer in range(n_layers)]
    last = {n_layers - 1: torch.ones(n_units, dtype=torch.bool)}
    drop = plain_drop(model, last, lesioning(model, "zero"))
    torch.testing.assert_close(found.logit_drop[0, 1, -1, 0], drop, atol=ATOL, rtol=0)


@pytest.mark.parametrize("study", ["laminar", "cumulative"])
def test_a_mask_of_one_head_is_refused_with_the_shape_that_fits(model, study):
    mask = {"one": torch.ones(model.cfg.n_layers, model.cfg.d_head, dtype=torch.bool)}
    run = tlesion.laminar_profile if study == "laminar" else tlesion.cumulative_lesion
    with pytest.raises(ValueError, match=rf"needs a bool mask of shape \({', '.join(map(str, shape_of(model)))}\)"):
        run(model, mask, prompts_for(model), hook_point=POINT)
