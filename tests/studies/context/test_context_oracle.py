"""Context modulation against plain Hugging Face hooks and scipy on the stored activations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.regression.linear_model import OLS
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import tlesion
from tlesion.studies.context import study as context

pytestmark = pytest.mark.slow

TEXT = "We saw him in the garden today, and we saw her by the river yesterday."
# Float32 activations of size 1 in two implementations, over a few blocks.
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
FAMILIES = ["gpt2", "gpt-neo", "bert", "llama"]


def hugging_face(folder, family):
    kind = AutoModelForMaskedLM if family == "bert" else AutoModelForCausalLM
    return kind.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def activations(model, family: str, ids: Sequence[int], *, point: str = "post") -> torch.Tensor:
    """MLP activations of every layer, ``[layer, pos, neuron]``: before or after the activation function."""
    found: list[torch.Tensor] = []

    def keep(_, inputs, output=None) -> None:
        found.append((inputs[0] if output is None else output).detach()[0])

    handles = []
    if family == "bert":
        for layer in model.bert.encoder.layer:
            module = layer.intermediate.dense if point == "pre" else layer.intermediate
            handles.append(module.register_forward_hook(keep))
    elif family == "llama":
        # act(gate) * up is computed between modules: what down_proj is given.
        handles += [layer.mlp.down_proj.register_forward_pre_hook(keep) for layer in model.model.layers]
    else:
        for layer in model.transformer.h:
            handles.append((layer.mlp.c_fc if point == "pre" else layer.mlp.act).register_forward_hook(keep))
    with torch.no_grad():
        model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return torch.stack(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_context_and_alone_equal_hugging_face(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    ids = tokenizer(TEXT).input_ids
    lead, tail = {"bert": (ids[:1], ids[-1:]), "llama": (ids[:1], [])}.get(family, ([], []))
    inner = slice(len(lead), len(ids) - len(tail))
    bos = None if family == "llama" else False
    result = tlesion.context_modulation(tlesion.load_model(folder), TEXT, prepend_bos=bos)
    assert result.texts.ids.tolist() == ids[inner]
    torch.testing.assert_close(result.in_context, activations(model, family, ids)[:, inner], **CLOSE)
    alone = [activations(model, family, [*lead, token, *tail])[:, len(lead)] for token in ids[inner]]
    torch.testing.assert_close(result.isolated, torch.stack(alone, dim=1), **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "gpt-neo", "bert"])
def test_before_the_activation_function_as_well(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    tokens = torch.tensor(ids)
    result = tlesion.context_modulation(tlesion.load_model(folder), tokens, hook_point="mlp.hook_pre", layers=[-1])
    torch.testing.assert_close(result.in_context, activations(model, family, ids, point="pre")[-1:], **CLOSE)
    alone = [activations(model, family, [token], point="pre")[-1, 0] for token in ids]
    torch.testing.assert_close(result.isolated[0], torch.stack(alone), **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_streamed_correlations_equal_scipy_on_the_stored_activations(checkpoint_folder, family):
    texts = [TEXT, "The old teacher gave the boy an apple and told him to share it with the girl."]
    # A budget of one token a step sends every text, and every single token, through the model on its own.
    result = tlesion.context_modulation(tlesion.load_model(checkpoint_folder(family)), texts, max_bytes=1)
    x, y = (part.double().numpy() for part in (result.in_context, result.isolated))
    for layer in range(len(x)):
        assert abs(result.correlation[layer].item() - stats.pearsonr(x[layer].ravel(), y[layer].ravel())[0]) < 1e-10
        by_token = [stats.pearsonr(a, b)[0] for a, b in zip(x[layer], y[layer], strict=True)]
        np.testing.assert_allclose(result.correlation_by_token[layer].numpy(), by_token, atol=1e-10)
        by_neuron = [stats.pearsonr(a, b)[0] for a, b in zip(x[layer].T, y[layer].T, strict=True)]
        np.testing.assert_allclose(result.by_neuron.correlation[layer].numpy(), by_neuron, atol=1e-10)
        np.testing.assert_allclose(result.by_neuron.deviation[layer].numpy(), x[layer].std(axis=0, ddof=1), rtol=1e-10)
        rms = np.sqrt(np.square(x[layer] - y[layer]).mean(axis=0))
        np.testing.assert_allclose(result.by_neuron.rms_change[layer].numpy(), rms, rtol=1e-10)


def test_identity_share_is_the_adjusted_r_squared_of_the_token(checkpoint_folder):
    texts = [TEXT, "The old teacher gave the boy an apple and told him to share it with the girl.", TEXT[:40]]
    result = tlesion.context_modulation(tlesion.load_model(checkpoint_folder("gpt2")), texts)
    ids = result.texts.ids.numpy()
    often = np.isin(ids, [token for token in np.unique(ids) if (ids == token).sum() >= 2])
    assert result.by_neuron.n_repeated == often.sum()
    factor = (ids[often][:, None] == np.unique(ids[often])[None]).astype(float)
    for layer, neuron in [(0, 0), (1, 17), (2, 100)]:
        fitted = OLS(result.in_context[layer, torch.from_numpy(often), neuron].double().numpy(), factor).fit()
        assert abs(result.by_neuron.identity_share[layer, neuron].item() - fitted.rsquared_adj) < 1e-9


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_windows_equal_hugging_face_on_the_shorter_text(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    result = tlesion.context_modulation(
        tlesion.load_model(folder), torch.tensor(ids), context_lengths=[1, 3], n_windows=99
    )
    assert result.by_length.n_tokens == len(ids) - 3, "every token that has three before it"
    tokens = range(3, len(ids))
    alone = torch.stack([activations(model, family, [ids[token]])[:, 0] for token in tokens], dim=1)
    whole = activations(model, family, ids)[:, 3:]
    for row, length in enumerate((1, 3)):
        window = torch.stack([activations(model, family, ids[t - length : t + 1])[:, -1] for t in tokens], dim=1)
        for layer in range(len(window)):
            expected = stats.pearsonr(window[layer].flatten().double(), alone[layer].flatten().double())[0]
            # Correlations of float32 activations that agree to 1e-5.
            assert abs(result.by_length.correlation[row, layer].item() - expected) < 1e-5
    expected = stats.pearsonr(whole[1].flatten().double(), alone[1].flatten().double())[0]
    assert abs(result.by_length.whole[1].item() - expected) < 1e-5


def test_space_modulation_equals_hugging_face_and_scipy(checkpoint_folder):
    folder = checkpoint_folder("gpt2")
    model, tokenizer = hugging_face(folder, "gpt2")
    # The small tokenizer knows these both ways, as pieces.
    words = ["t", "h", "s", "w", "b", "he", "g"]
    result = tlesion.space_modulation(tlesion.load_model(folder), words, prepend_bos=False)
    assert set(result.words) | {word for word, _ in result.skipped} == set(words)
    assert len(result.words) >= 4
    ids = [[tokenizer(text).input_ids[0] for text in (f" {word}", word)] for word in result.words]
    for stored, column in ((result.with_space, 0), (result.without_space, 1)):
        expected = torch.stack([activations(model, "gpt2", [pair[column]])[:, 0] for pair in ids], dim=1)
        torch.testing.assert_close(stored, expected, **CLOSE)
    x, y = (part.double().numpy() for part in (result.with_space, result.without_space))
    for layer in range(len(x)):
        assert abs(result.correlation[layer].item() - stats.pearsonr(x[layer].ravel(), y[layer].ravel())[0]) < 1e-10
        assert abs(result.spearman[layer].item() - stats.spearmanr(x[layer].ravel(), y[layer].ravel())[0]) < 1e-10
        np.testing.assert_allclose(
            result.by_word.correlation[layer],
            [stats.pearsonr(a, b)[0] for a, b in zip(x[layer], y[layer], strict=True)],
        )
        np.testing.assert_allclose(
            result.by_neuron.spearman[layer],
            [stats.spearmanr(a, b)[0] for a, b in zip(x[layer].T, y[layer].T, strict=True)],
        )
        test = stats.ttest_rel(x[layer], y[layer])
        np.testing.assert_allclose(result.by_neuron.t[layer], test.statistic, rtol=1e-9)
        np.testing.assert_allclose(result.by_neuron.p[layer], test.pvalue, rtol=1e-9)
        np.testing.assert_allclose(
            result.by_neuron.p_adjusted[layer], stats.false_discovery_control(test.pvalue), rtol=1e-9
        )


def test_a_seeded_sample_of_tokens_is_kept_where_all_would_be_too_many(checkpoint_folder, monkeypatch):
    model = tlesion.load_model(checkpoint_folder("gpt2"))
    everything = tlesion.context_modulation(model, TEXT)
    monkeypatch.setattr(context, "MAX_KEPT_BYTES", 5 * 2 * 4 * 3 * 128)
    few = tlesion.context_modulation(model, TEXT, seed=3)
    assert few.in_context.shape == (3, 5, 128)
    assert torch.equal(few.in_context, everything.in_context[:, few.kept])
    assert torch.equal(few.isolated, everything.isolated[:, few.kept])
    assert torch.equal(few.correlation, everything.correlation)
    assert torch.equal(few.kept, tlesion.context_modulation(model, TEXT, seed=3).kept)
    assert not torch.equal(few.kept, tlesion.context_modulation(model, TEXT, seed=4).kept)
