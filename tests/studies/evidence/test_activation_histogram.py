"""Histograms of activations against plain hooks on the Hugging Face model, and what counts as silenced."""

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

import tlesion
from tlesion.studies.evidence.activation_histogram import activation_histogram

PAIRS = [
    ("We saw him today.", "We saw her today."),
    ("The teacher gave him an apple.", "The teacher gave her an apple."),
    ("People listened to him.", "People listened to her."),
]


@pytest.fixture(scope="module")
def contrast() -> tlesion.Contrast:
    return tlesion.Contrast.from_pairs(PAIRS, words=("him", "her"))


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def loaded(request, checkpoint_folder):
    from transformers import AutoTokenizer, BertForMaskedLM, GPT2LMHeadModel

    folder = checkpoint_folder(request.param)
    hf_class = BertForMaskedLM if request.param == "bert" else GPT2LMHeadModel
    return tlesion.load_model(folder), hf_class.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def mlp_inputs_and_outputs(hf, ids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per layer, what goes into the activation function and what comes out, taken with plain PyTorch hooks."""
    is_bert = hasattr(hf, "bert")
    blocks = hf.bert.encoder.layer if is_bert else hf.transformer.h
    functions = [block.intermediate.intermediate_act_fn if is_bert else block.mlp.act for block in blocks]
    before: list[torch.Tensor] = []
    handles = [
        (block.intermediate.dense if is_bert else block.mlp.c_fc).register_forward_hook(
            lambda module, args, output: before.append(output[0].detach())
        )
        for block in blocks
    ]
    try:
        with torch.no_grad():
            hf(ids)
    finally:
        for handle in handles:
            handle.remove()
    return [(x, function(x)) for x, function in zip(before, functions, strict=True)]


@pytest.mark.slow
def test_counts_and_shares_equal_those_of_the_hugging_face_model(loaded, contrast):
    model, hf, tokenizer = loaded
    found = activation_histogram(model, contrast, prepend_bos=False, threshold=0.1)
    for c, sentences in enumerate((contrast.a, contrast.b)):
        rows: list[list] = [[] for _ in found.layers]
        for sentence in sentences:
            encoded = tokenizer(sentence.text, return_offsets_mapping=True, return_tensors="pt")
            word = sentence.text.index(f" {sentence.word}") + 1  # "her" stands in "teacher" too
            offsets = encoded["offset_mapping"][0].tolist()
            where = next(i for i, (low, high) in enumerate(offsets) if low <= word + 1 < high)
            for layer, (x, y) in enumerate(mlp_inputs_and_outputs(hf, encoded["input_ids"])):
                rows[layer].append((x[where], y[where]))
        for layer, pairs in enumerate(rows):
            x, y = (torch.stack([pair[k] for pair in pairs]).flatten() for k in (0, 1))
            for counts, width, values in (
                (found.before, found.width_before, x),
                (found.after, found.width_after, y),
            ):
                half = counts.shape[2] // 2
                edges = np.append(np.arange(-half, half + 1) * float(width[layer]), np.inf)
                ours, theirs = counts[c, layer].numpy(), np.histogram(values.numpy(), bins=edges)[0][:-1]
                # A value on an edge may fall to either side by float32 rounding, which moves one count.
                assert np.abs(np.cumsum(ours) - np.cumsum(theirs)).max() <= 1
            assert float(found.negative[c, layer]) == float((x < 0).double().mean())
            assert float(found.silenced[c, layer]) == float((y.abs() <= 0.1 * x.abs()).double().mean())


def test_the_gelu_silences_below_minus_1_28(loaded):
    model = loaded[0]
    x = torch.linspace(-4, 4, 8001)
    silenced = x[(model.blocks[0].mlp.act_fn(x).abs() <= 0.1 * x.abs()) & (x != 0)]
    # x Φ(x) = 0.1 x where Φ(x) = 0.1; GPT-2's tanh approximation of the GELU differs by less than a step of 0.001.
    assert float(silenced.max()) == pytest.approx(scipy_stats.norm.ppf(0.1), abs=2e-3)


def test_a_stricter_threshold_silences_less(loaded, contrast):
    loose, strict = (activation_histogram(loaded[0], contrast, threshold=one) for one in (0.1, 0.01))
    assert bool((strict.silenced <= loose.silenced).all())
    assert bool((loose.silenced <= loose.negative).all())
    assert float(strict.silenced.sum()) < float(loose.silenced.sum())


def test_batches_and_padding_make_no_difference(loaded, contrast):
    one, many = (activation_histogram(loaded[0], contrast, batch_size=size) for size in (1, 32))
    moved = (one.before - many.before).abs().sum() / 2
    assert int(moved) <= 2  # of 864 and more values: float32 rounding at an edge
    assert torch.equal(one.negative, many.negative)


def test_frames_hold_every_value(loaded, contrast):
    found = activation_histogram(loaded[0], contrast, layers=[1, 2])
    frame = found.to_frame()
    assert list(frame.columns) == ["condition", "layer", "point", "low", "high", "count"]
    n_neurons = loaded[0].cfg.d_mlp
    assert (frame.groupby(["condition", "layer", "point"])["count"].sum() == 3 * n_neurons).all()
    assert sorted(frame["layer"].unique()) == [1, 2]
    shares = found.shares()
    assert list(shares.columns) == ["layer", "condition", "negative", "silenced"]
    assert shares.query("layer == 2 and condition == 'her'")["silenced"].item() == float(found.silenced[1, 1])


def test_it_is_saved_and_read_back(loaded, contrast, tmp_path):
    found = activation_histogram(loaded[0], contrast)
    again = tlesion.load_result(found.save(tmp_path / "histogram"))
    assert again.content_hash == found.content_hash
    assert torch.equal(again.after, found.after)


@pytest.mark.parametrize("threshold", [0, 1, -0.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(loaded, contrast, threshold):
    with pytest.raises(ValueError, match=r"threshold (is .*; give a share between 0 and 1|nan is not finite)"):
        activation_histogram(loaded[0], contrast, threshold=threshold)


def test_no_hook_stays_behind_and_nan_is_refused(loaded, contrast):
    from tlesion.hooks import scoped, user_hooks

    model = loaded[0]
    activation_histogram(model, contrast)
    assert user_hooks(model) == []
    spoil = ("blocks.1.hook_resid_pre", lambda value, hook: value * torch.nan)
    with scoped(model, [spoil]), pytest.raises(ValueError, match="values are NaN or infinite"):
        activation_histogram(model, contrast)
    assert user_hooks(model) == []
