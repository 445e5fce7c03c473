"""Reference values equal NumPy's mean and median over rows that plain run_with_cache calls give."""

from typing import Any

import numpy as np
import pytest
import torch

from tlesion import Contrast, laminar_profile, load_model, measure_reference
from tlesion.encoding import encode_sentence
from tlesion.selection.reference import reference_for

pytestmark = pytest.mark.slow

PAIRS = [
    ("We saw him in the garden today.", "We saw her in the garden today."),
    ("The boy told him.", "The boy told her."),
    (
        "If the nurse had called him, he would have brought it.",
        "If the nurse had called her, he would have brought it.",
    ),
    ("Robert helped him by the river.", "Robert helped her by the river."),
    ("Share it with him.", "Share it with her."),
]
CONTRAST = Contrast.from_pairs(PAIRS, ("him", "her"))


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param), dtype=torch.float64)


def rows_by_hand(model, hook_point, position, layer):
    rows = []
    for sentence in (*CONTRAST.a, *CONTRAST.b):
        encoded = encode_sentence(model, sentence, position=position)
        _, cache = model.run_with_cache(encoded.ids[None])
        rows.append(cache[f"blocks.{layer}.{hook_point}"][0, encoded.positions[0]].flatten().numpy())
    return np.stack(rows)


@pytest.mark.parametrize("hook_point", ["mlp.hook_post", "attn.hook_z"])
@pytest.mark.parametrize(
    ("statistic", "by_numpy"),
    [("mean", np.mean), ("median", np.median), ("mean_absolute", lambda rows, axis: np.abs(rows).mean(axis=axis))],
)
def test_the_statistic_is_numpys_over_one_row_a_sentence(model, statistic, by_numpy, hook_point):
    reference = measure_reference(model, CONTRAST, statistic=statistic, hook_point=hook_point, batch_size=3)
    for layer in range(3):
        expected = by_numpy(rows_by_hand(model, hook_point, "word", layer), axis=0)
        # float64 throughout; what is left is the rounding of padded against single runs.
        np.testing.assert_allclose(reference[layer].numpy(), expected, atol=1e-12)


def test_positions_and_layers_can_be_chosen(model):
    position: Any = "mask" if type(model).__name__ == "HookedEncoder" else "before"
    everything = measure_reference(model, CONTRAST, position=position)
    expected = rows_by_hand(model, "mlp.hook_post", position, 2).mean(axis=0)
    np.testing.assert_allclose(everything[2].numpy(), expected, atol=1e-12)
    chosen = measure_reference(model, CONTRAST, position=position, layers=[2, 0])
    torch.testing.assert_close(chosen, everything[[2, 0]], rtol=0, atol=1e-12)
    one = measure_reference(model, CONTRAST, position=position, hook_point="blocks.1.mlp.hook_post")
    torch.testing.assert_close(one, everything[[1]], rtol=0, atol=1e-12)


def test_a_reference_serves_the_ablation_that_asks_for_one(model):
    """Replacing by the reference of a set that is the prompt itself changes nothing at the one position measured."""
    from tlesion import Prompt

    masked = type(model).__name__ == "HookedEncoder"
    position: Any = "mask" if masked else "before"
    alike = Contrast.from_pairs([PAIRS[0]] * 2, ("him", "her"))
    prompt = Prompt(alike.a[0].masked, ("him", "her"))
    everything = torch.ones(3, model.cfg.d_mlp, dtype=torch.bool)
    masks = {"all": everything}
    reference = measure_reference(model, alike, position=position)
    profile = laminar_profile(
        model, masks, [prompt if masked else prompt.before_mask()], ablation="mean", reference=reference, n_controls=0
    )
    # The two sentences agree up to the readout position, and masked they are one: their mean is the activation itself.
    # Logits are kept in float32; they are of order 1.
    assert profile.logit_drop.abs().max() < 1e-5
    off = laminar_profile(
        model,
        masks,
        [prompt if masked else prompt.before_mask()],
        ablation="mean",
        reference=reference + 1,
        n_controls=0,
    )
    assert off.logit_drop.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "mode"}, r"statistic 'mode' is unknown; allowed: 'mean', 'median'"),
        ({"hook_point": "mlp.hook_psot"}, r"'blocks\.0\.mlp\.hook_psot' is not in this model"),
        (
            {"hook_point": "attn.hook_pattern"},
            r"'blocks\.0\.attn\.hook_pattern' has no \[batch, pos, unit\] activation",
        ),
        ({"position": "middle"}, r"position 'middle' is unknown"),
        ({"layers": [7]}, r"layers \[7\] do not exist"),
        ({"batch_size": 0}, r"batch_size is 0; give 1 or more"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        measure_reference(model, CONTRAST, **options)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_nan_in_activations_is_refused(checkpoint_folder, statistic):
    model: Any = load_model(checkpoint_folder("gpt2"))
    with torch.no_grad():
        model.blocks[1].mlp.b_in[3] = torch.nan
    message = r"activations at 'mlp\.hook_post' are NaN or infinite in \d+ of 384 units; a reference needs finite ones"
    with pytest.raises(ValueError, match=message):
        measure_reference(model, CONTRAST, statistic=statistic)


@pytest.mark.parametrize("hook_point", ["mlp.hook_post", "attn.hook_z"])
def test_an_ablations_reference_is_measured_where_a_prompt_is_read_and_not_at_the_word(model, hook_point):
    position: Any = "mask" if type(model).__name__ == "HookedEncoder" else "before"
    found = reference_for(model, CONTRAST, "mean", hook_point=hook_point)
    assert found is not None
    for layer in range(3):
        expected = rows_by_hand(model, hook_point, position, layer).mean(axis=0)
        np.testing.assert_allclose(found[layer].numpy(), expected, atol=1e-12)
        at_word = rows_by_hand(model, hook_point, "word", layer).mean(axis=0)
        assert np.abs(found[layer].numpy() - at_word).max() > 1e-3, "at the word it would be another"
    middle = reference_for(model, CONTRAST, "median", hook_point=hook_point, layers=[1])
    assert middle is not None
    expected = np.median(rows_by_hand(model, hook_point, position, 1), axis=0)
    np.testing.assert_allclose(middle[0].numpy(), expected, atol=1e-12)


def test_an_ablation_that_puts_nothing_in_has_no_reference(model):
    assert reference_for(model, CONTRAST, "zero") is None
    assert reference_for(model, CONTRAST, "gaussian") is None
    with pytest.raises(ValueError, match=r"ablation 'nought' is unknown; allowed: 'zero', 'mean'"):
        reference_for(model, CONTRAST, "nought")


def test_rows_are_every_sentences_own_in_one_drawn_order(model):
    rows = measure_reference(model, CONTRAST, statistic="rows", position="word", batch_size=3)
    assert rows.shape == (3, 2 * len(PAIRS), model.cfg.d_mlp)
    by_hand = [rows_by_hand(model, "mlp.hook_post", "word", layer) for layer in range(3)]
    for place in range(2 * len(PAIRS)):
        sentence = int(np.abs(by_hand[0] - rows[0, place].numpy()).max(axis=1).argmin())
        for layer in range(3):
            np.testing.assert_allclose(rows[layer, place].numpy(), by_hand[layer][sentence], atol=1e-12)
    np.testing.assert_allclose(rows.mean(dim=1), measure_reference(model, CONTRAST), atol=1e-12)
    again = measure_reference(model, CONTRAST, statistic="rows", position="word", batch_size=3)
    other = measure_reference(model, CONTRAST, statistic="rows", position="word", batch_size=3, seed=1)
    assert torch.equal(rows, again)
    assert not torch.equal(rows, other)
    assert torch.equal(rows.sort(dim=1).values, other.sort(dim=1).values)
