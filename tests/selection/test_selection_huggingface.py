"""The oracle: activations by plain PyTorch hooks from the Hugging Face model, statistics by SciPy and statsmodels."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.stats.multitest import multipletests
from transformers import AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM

import tlesion
from tlesion import Contrast, load_model, select_neurons

pytestmark = pytest.mark.slow

PAIRS = [
    ("We saw him in the garden today.", "We saw her in the garden today."),
    ("The boy told him.", "The boy told her."),
    ("If the nurse had called him, he would have brought the cup.", "If the nurse had called her, he would have left."),
    ("Robert helped him by the river.", "Lucy helped her by the river."),
    ("I think people listened to him more often.", "I think people listened to her more often."),
    ("Share it with him.", "Share it with her and with the girl."),
    ("The old teacher gave him an apple.", "The old teacher gave her an apple."),
    ("She thanked him for the work.", "He thanked her for the work."),
]
HIM_HER = Contrast.from_pairs(PAIRS, ("him", "her"))
# Words of one to eight tokens, by model and word.
SEVERAL = Contrast.from_pairs(
    [
        ("We saw herbs in the garden.", "We saw people in the garden."),
        ("The crocodile called.", "The teacher called."),
        ("Share the cupboards with him.", "Share the cup with him."),
        ("I think the himalayas could be better.", "I think the world could be better."),
        ("A quince.", "An apple."),
    ],
    [("herbs", "people"), ("crocodile", "teacher"), ("cupboards", "cup"), ("himalayas", "world"), ("quince", "apple")],
    conditions=("long", "short"),
)
MODELS = ("bert", "gpt2", "toy-bert", "toy-gpt")
ALPHA = 0.05


class HuggingFace:
    """A checkpoint as transformers loads it, read with plain forward hooks, one sentence at a time."""

    def __init__(self, folder: Path, *, masked: bool, dtype: torch.dtype) -> None:
        loader = BertForMaskedLM if masked else AutoModelForCausalLM
        self.model = loader.from_pretrained(folder, dtype=dtype).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.masked = masked
        if masked:
            self.layers = [layer.intermediate.dense for layer in self.model.bert.encoder.layer]
        else:
            self.layers = [layer.mlp.c_fc for layer in self.model.transformer.h]

    def encode(self, text: str, word: str, *, prepend_bos: bool) -> tuple[torch.Tensor, list[int]]:
        """Ids, and the positions of the tokens that hold a letter of the word."""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
        assert found is not None
        start = found.start()
        encoded = self.tokenizer(text, return_offsets_mapping=True, add_special_tokens=self.masked)
        letters = set(range(start, start + len(word)))
        places = [i for i, (first, last) in enumerate(encoded.offset_mapping) if letters & set(range(first, last))]
        ids = encoded.input_ids
        if prepend_bos and not self.masked:
            ids, places = [self.tokenizer.bos_token_id, *ids], [place + 1 for place in places]
        return torch.tensor([ids]), places

    @torch.no_grad()
    def before_the_gelu(self, ids: torch.Tensor) -> torch.Tensor:
        """`[layer, pos, neuron]`: what `mlp.hook_pre` has to be."""
        seen: list[torch.Tensor] = []
        handles = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out[0])) for layer in self.layers]
        self.model(ids)
        for handle in handles:
            handle.remove()
        return torch.stack(seen)

    def rows(self, sentences, *, subword="last", shift=0, prepend_bos=True) -> np.ndarray:
        """`[sentence, layer, neuron]` at the word."""
        rows = []
        for sentence in sentences:
            ids, places = self.encode(sentence.text, sentence.word, prepend_bos=prepend_bos)
            chosen = {"last": places[-1:], "first": places[:1], "mean": places}[subword]
            rows.append(self.before_the_gelu(ids)[:, [place + shift for place in chosen]].mean(dim=1))
        return torch.stack(rows).double().numpy()


@pytest.fixture(scope="module", params=MODELS)
def both(request, checkpoint_folder):
    """The same checkpoint twice, in float64: tlesion's and Hugging Face's."""
    shipped = Path(tlesion.__file__).parent / "toy" / request.param
    folder = shipped if request.param.startswith("toy") else checkpoint_folder(request.param)
    hugging_face = HuggingFace(folder, masked="bert" in request.param, dtype=torch.float64)
    return load_model(folder, dtype=torch.float64), hugging_face


def by_scipy(test: str, a: np.ndarray, b: np.ndarray):
    if test == "paired":
        return stats.ttest_rel(a, b, axis=0)
    return stats.ttest_ind(a, b, axis=0, equal_var=test == "student")


def assert_agrees(selection, a, b, test, *, family="layer", correction="fdr_bh"):
    """t, dof, p, adjusted p, effect size, means and masks; rows are `[sentence, layer, neuron]`."""
    oracle = by_scipy(test, a, b)
    # Activations agree to float64 rounding (1e-14 of their size); t divides by standard errors not 1e4 times smaller.
    close: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-9}
    np.testing.assert_allclose(selection.t.numpy(), oracle.statistic, **close)
    np.testing.assert_allclose(selection.dof.numpy(), np.broadcast_to(oracle.df, oracle.statistic.shape), **close)
    np.testing.assert_allclose(selection.p.numpy(), oracle.pvalue, **close)
    families = [oracle.pvalue.reshape(-1)] if family == "model" else oracle.pvalue
    adjusted = np.stack([multipletests(p, alpha=ALPHA, method=correction)[1] for p in families])
    adjusted = adjusted.reshape(oracle.pvalue.shape)
    np.testing.assert_allclose(selection.p_adjusted.numpy(), adjusted, **close)
    np.testing.assert_allclose(selection.mean_a.numpy(), a.mean(axis=0), **close)
    np.testing.assert_allclose(selection.mean_b.numpy(), b.mean(axis=0), **close)
    if test == "paired":
        effect = (a - b).mean(axis=0) / (a - b).std(axis=0, ddof=1)
    else:
        squares = ((a - a.mean(axis=0)) ** 2).sum(axis=0) + ((b - b.mean(axis=0)) ** 2).sum(axis=0)
        effect = (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(squares / (len(a) + len(b) - 2))
    np.testing.assert_allclose(selection.effect_size.numpy(), effect, **close)
    name_a, name_b = selection.conditions
    assert (selection.mask(name_a).numpy() == ((adjusted <= ALPHA) & (oracle.statistic > 0))).all()
    assert (selection.mask(name_b).numpy() == ((adjusted <= ALPHA) & (oracle.statistic < 0))).all()
    assert not selection.dead.any()


@pytest.mark.parametrize("test", ["student", "welch", "paired"])
def test_t_p_and_adjusted_p_at_the_word(both, test):
    model, hugging_face = both
    selection = select_neurons(model, HIM_HER, test=test, batch_size=7)
    a, b = hugging_face.rows(HIM_HER.a), hugging_face.rows(HIM_HER.b)
    assert_agrees(selection, a, b, test)
    assert (selection.n_a, selection.n_b) == (len(PAIRS), len(PAIRS))
    if test == "paired":
        assert 0 < selection.mask("him").sum() < selection.t.numel() / 2, "both outcomes occur"


@pytest.mark.parametrize(("family", "correction"), [("model", "fdr_bh"), ("layer", "fdr_by"), ("model", "bonferroni")])
def test_families_and_corrections(both, family, correction):
    model, hugging_face = both
    selection = select_neurons(model, HIM_HER, test="welch", family=family, correction=correction)
    a, b = hugging_face.rows(HIM_HER.a), hugging_face.rows(HIM_HER.b)
    assert_agrees(selection, a, b, "welch", family=family, correction=correction)


@pytest.mark.parametrize("subword", ["last", "first", "mean"])
def test_words_of_several_tokens(both, subword):
    model, hugging_face = both
    contrast = Contrast(a=SEVERAL.a, b=SEVERAL.b, conditions=SEVERAL.conditions, subword=subword)
    selection = select_neurons(model, contrast, test="paired", batch_size=3)
    rows = [hugging_face.rows(sentences, subword=subword) for sentences in (contrast.a, contrast.b)]
    assert_agrees(selection, rows[0], rows[1], "paired")


@pytest.mark.parametrize("shift", [-1, 1])
def test_positions_beside_the_word(both, shift):
    model, hugging_face = both
    selection = select_neurons(model, HIM_HER, position=tlesion.Offset(shift), test="student")
    rows = [hugging_face.rows(sentences, shift=shift) for sentences in (HIM_HER.a, HIM_HER.b)]
    assert_agrees(selection, rows[0], rows[1], "student")


def test_the_masked_word_and_the_token_that_predicts_it(both):
    model, hugging_face = both
    if hugging_face.masked:
        mask = hugging_face.tokenizer.mask_token
        contrast = Contrast.from_pairs(
            [("Robert saw him with Lucy.", "Lucy saw her with Robert."), *PAIRS[3:]], ("him", "her")
        )
        masked = [
            [tlesion.Sentence(one.masked.replace("[MASK]", mask), mask) for one in sentences]
            for sentences in (contrast.a, contrast.b)
        ]
        rows = [hugging_face.rows(sentences) for sentences in masked]
        selection = select_neurons(model, contrast, position="mask", test="student", batch_size=5)
    else:
        contrast = HIM_HER
        rows = [hugging_face.rows(sentences, shift=-1) for sentences in (contrast.a, contrast.b)]
        selection = select_neurons(model, contrast, position="before", test="student", batch_size=5)
    assert_agrees(selection, rows[0], rows[1], "student")


@pytest.mark.parametrize("prepend_bos", [None, True, False])
def test_with_and_without_a_beginning_of_sequence(both, prepend_bos):
    model, hugging_face = both
    selection = select_neurons(model, HIM_HER, test="welch", prepend_bos=prepend_bos)
    rows = [hugging_face.rows(half, prepend_bos=prepend_bos is not False) for half in (HIM_HER.a, HIM_HER.b)]
    assert_agrees(selection, rows[0], rows[1], "welch")
    recorded = None if hugging_face.masked else prepend_bos is not False
    assert selection.provenance.settings["prepend_bos"] is recorded


def test_unequal_numbers_without_pairs(both):
    model, hugging_face = both
    contrast = Contrast.from_sentences([a for a, _ in PAIRS], [b for _, b in PAIRS[:5]], ("him", "her"))
    for test in ("student", "welch"):
        selection = select_neurons(model, contrast, test=test, batch_size=4)
        assert_agrees(selection, hugging_face.rows(contrast.a), hugging_face.rows(contrast.b), test)
        assert (selection.n_a, selection.n_b) == (8, 5)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_in_float32_the_same_neurons_are_selected(name, checkpoint_folder):
    """The usual precision: activations agree to about 1e-6, and t, which reaches tens, to a thousandth."""
    folder = checkpoint_folder(name)
    hugging_face = HuggingFace(folder, masked=name == "bert", dtype=torch.float32)
    selection = select_neurons(load_model(folder), HIM_HER, test="paired", batch_size=6)
    oracle = by_scipy("paired", hugging_face.rows(HIM_HER.a), hugging_face.rows(HIM_HER.b))
    np.testing.assert_allclose(selection.t.numpy(), oracle.statistic, rtol=1e-3, atol=1e-3)
    adjusted = np.stack([multipletests(p, method="fdr_bh")[1] for p in oracle.pvalue])
    clear = np.abs(adjusted - ALPHA) > 1e-3
    assert clear.mean() > 0.9
    assert ((adjusted <= ALPHA) == selection.mask("any").numpy())[clear].all()
