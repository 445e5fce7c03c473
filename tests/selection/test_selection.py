"""Selection: batches, masks, tables and caches; what a shuffled contrast selects; what cannot be selected."""

from typing import Any

import numpy as np
import pytest
import torch

from tlesion import Contrast, NeuronSelection, load_model, load_result, select_from_cache, select_neurons
from tlesion.encoding import encode_sentence
from tlesion.tokens import collate, is_masked

pytestmark = pytest.mark.slow

SUBJECTS = (
    "We",
    "The boy",
    "The old teacher",
    "Robert",
    "The girl by the river",
    "People",
    "The nurse and her brother",
)
VERBS = ("saw", "told", "thanked", "helped", "called")
ENDS = (".", " in the garden.", " to share the blue cup with the girl.", " today, and she listened.")
TEXTS = [f"{subject} {verb} {{}}{end}" for subject in SUBJECTS for verb in VERBS for end in ENDS]


def pairs(n: int, *, seed: int = 0) -> list[tuple[str, str]]:
    chosen = np.random.default_rng(seed).permutation(len(TEXTS))[:n]
    # A sentence may hold its word only once: "her brother" stands in some of the a-sentences, not in b's.
    texts = [TEXTS[i].replace("her brother", "the boy") for i in chosen]
    return [(text.format("him"), text.format("her")) for text in texts]


# The oracles here are of sentences, each by itself; tests/selection/test_templates_are_rows.py has those of templates.
CONTRAST = Contrast.from_pairs(pairs(14), ("him", "her"), groups=range(14))
# Float32: activations of sentences in other batches differ by rounding (1e-6 of their size); t reaches tens.
CLOSE: dict[str, Any] = {"rtol": 2e-3, "atol": 2e-3, "equal_nan": True}


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def selection(model):
    return select_neurons(model, CONTRAST, test="paired")


@pytest.mark.parametrize("test", ["student", "paired", "moderated", "moderated_paired"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_changes_no_number(model, test, batch_size):
    reference = select_neurons(model, CONTRAST, test=test, batch_size=2)
    other = select_neurons(model, CONTRAST, test=test, batch_size=batch_size)
    for name in ("t", "dof", "effect_size", "mean_a", "mean_b"):
        torch.testing.assert_close(getattr(other, name), getattr(reference, name), **CLOSE)
    # Three of the sentences begin like others, so that a causal model reads the same in them up to the word.
    assert (other.n_a, other.n_b) == ((14, 14) if is_masked(model) else (11, 11))


def test_padding_changes_no_number(checkpoint_folder):
    """In float64 what padding may leave is visible far below float32's rounding: there is nothing."""
    for family in ("bert", "gpt2", "gpt-neo", "llama"):
        model = load_model(checkpoint_folder(family), dtype=torch.float64)
        alone = select_neurons(model, CONTRAST, test="paired", batch_size=1)
        unpaired = Contrast(a=CONTRAST.a, b=CONTRAST.b, conditions=CONTRAST.conditions, paired=False)
        padded = select_neurons(model, unpaired, test="student", batch_size=1000, groups=None)
        torch.testing.assert_close(padded.mean_a, alone.mean_a, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(padded.mean_b, alone.mean_b, rtol=1e-11, atol=1e-12)


def caches(model, sentences):
    """One padded run_with_cache over all sentences, and where their words stand."""
    encoded = [encode_sentence(model, sentence) for sentence in sentences]
    tokens, real = collate([one.ids for one in encoded], pad_id=model.tokenizer.pad_token_id or 0)
    # HookedEncoder calls it one_zero_attention_mask; on the right of a causal model padding needs none.
    options = {"one_zero_attention_mask": real.long()} if is_masked(model) else {}
    _, cache = model.run_with_cache(tokens, **options)
    return cache, [one.positions[0] for one in encoded]


@pytest.mark.parametrize("test", ["student", "welch", "paired", "moderated", "moderated_paired"])
@pytest.mark.parametrize("hook_point", ["mlp.hook_pre", "attn.hook_z", "blocks.1.mlp.hook_post"])
def test_from_caches_the_same_selection(model, test, hook_point):
    streamed = select_neurons(model, CONTRAST, test=test, hook_point=hook_point, family="model")
    cache_a, where_a = caches(model, CONTRAST.a)
    cache_b, where_b = caches(model, CONTRAST.b)
    before = {name: value.clone() for name, value in cache_a.items()}
    options = {"hook_point": hook_point, "conditions": ("him", "her"), "test": test, "family": "model"}
    cached = select_from_cache(cache_a, cache_b, torch.tensor(where_a), torch.tensor(where_b), **options)
    for name in ("t", "dof", "effect_size", "mean_a"):
        torch.testing.assert_close(getattr(cached, name), getattr(streamed, name), **CLOSE)
    assert cached.layers == streamed.layers
    assert cached.hook_point == streamed.hook_point
    assert cached.conditions == ("him", "her")
    for kind in (list, np.array, tuple):
        again = select_from_cache(dict(cache_a), dict(cache_b), kind(where_a), kind(where_b), **options)
        assert again.content_hash == cached.content_hash
    assert all(torch.equal(cache_a[name], value) for name, value in before.items())


def test_layers_come_in_the_order_asked_for(model, selection):
    chosen = select_neurons(model, CONTRAST, test="paired", layers=[2, -3])
    assert chosen.layers == (2, 0)
    torch.testing.assert_close(chosen.t, selection.t[[2, 0]], **CLOSE)
    assert list(chosen.by_layer("any")) == [2, 0]
    assert list(chosen.density()["layer"]) == [2, 0]
    one = select_neurons(model, CONTRAST, test="paired", hook_point="blocks.2.mlp.hook_pre")
    assert one.layers == (2,)
    assert one.hook_point == "mlp.hook_pre"
    torch.testing.assert_close(one.t, selection.t[[2]], **CLOSE)


def test_swapping_the_conditions_turns_the_signs(model, selection):
    swapped = Contrast(a=CONTRAST.b, b=CONTRAST.a, conditions=("her", "him"), groups=CONTRAST.groups)
    other = select_neurons(model, swapped, test="paired")
    torch.testing.assert_close(other.t, -selection.t, **CLOSE)
    assert (selection.mask("him") & (selection.mean_a < selection.mean_b)).sum() == 0
    assert torch.equal(other.mask("him"), selection.mask("him"))


def test_an_identical_pair_of_conditions_is_dead_or_null(model):
    """The same sentences on both sides: differences are exactly zero, so that no paired test exists."""
    same = Contrast(a=CONTRAST.a, b=CONTRAST.a, conditions=("x", "y"))
    paired = select_neurons(model, same, test="paired", batch_size=4)
    # Both sentences of a pair run in one batch: identical to the last bit, or rounding alone would be tested.
    assert paired.dead.all()
    assert paired.t.isnan().all()
    assert not paired.mask("any").any()
    assert list(paired.density()["n_dead"]) == [paired.t.shape[1]] * 3
    student = select_neurons(model, same, test="student", batch_size=1000)
    assert student.t.abs().max() < 1e-3
    assert not student.mask("any").any()


def test_shuffled_labels_select_almost_nothing(model):
    """Benjamini-Hochberg bounds the chance that a layer of nulls has any selection by alpha, 0.05.

    Three layers make 0.15 for a shuffle (the layers of one shuffle are not independent: a union bound). Of 20 shuffles
    more than 9 would have some with a chance below Binomial(20, 0.15) > 9 = 2.5e-4. The contrast itself selects.
    """
    texts = pairs(24, seed=1)
    contrast = Contrast.from_pairs(texts, ("him", "her"))
    cache_a, where_a = caches(model, contrast.a)
    cache_b, where_b = caches(model, contrast.b)
    names = [f"blocks.{layer}.mlp.hook_pre" for layer in range(3)]
    rows = {
        name: torch.stack([cache_a[name][range(24), where_a], cache_b[name][range(24), where_b]], dim=1)[:, :, None]
        for name in names
    }
    real = {side: {name: value[:, side] for name, value in rows.items()} for side in (0, 1)}
    chosen = select_from_cache(real[0], real[1], 0, 0, test="paired").mask("any")
    assert chosen.double().mean() > 0.2
    rng = np.random.default_rng(0)
    n_with_any = 0
    for _ in range(20):
        swap = torch.from_numpy(rng.integers(2, size=24))
        shuffled = [{name: value[range(24), swap ^ side] for name, value in rows.items()} for side in (0, 1)]
        n_with_any += bool(select_from_cache(shuffled[0], shuffled[1], 0, 0, test="paired").mask("any").any())
    assert n_with_any <= 9


def test_a_shuffled_contrast_through_the_model_selects_nothing(model):
    """The same through select_neurons: labels swapped in every other pair, so that no difference is left."""
    texts = pairs(24, seed=2)
    swapped = [(b, a) if index % 2 else (a, b) for index, (a, b) in enumerate(texts)]
    words = [("her", "him") if index % 2 else ("him", "her") for index in range(24)]
    shuffled = Contrast.from_pairs(swapped, words, conditions=("x", "y"))
    assert select_neurons(model, shuffled, test="paired").mask("any").double().mean() < 0.01
    assert select_neurons(model, Contrast.from_pairs(texts, ("him", "her")), test="paired").mask("any").any()


def test_the_masks_are_what_the_statistics_say(selection):
    significant = selection.p_adjusted <= 0.05
    assert torch.equal(selection.mask("him"), significant & (selection.t > 0))
    assert torch.equal(selection.mask("her"), significant & (selection.t < 0))
    assert torch.equal(selection.mask("any"), significant)
    assert torch.equal(selection.mask(), significant)
    assert torch.equal(torch.stack(list(selection.by_layer("her").values())), selection.mask("her"))
    with pytest.raises(ValueError, match=r"direction 'them' is unknown; allowed: 'him', 'her', 'any'"):
        selection.mask("them")


def test_top_k_keeps_the_strongest_of_each_layer_and_direction(model, selection):
    limited = select_neurons(model, CONTRAST, test="paired", top_k=3)
    for direction in ("him", "her"):
        full, few = selection.mask(direction), limited.mask(direction)
        assert torch.equal(few.sum(dim=1), full.sum(dim=1).clamp(max=3))
        assert not (few & ~full).any()
        for layer in range(3):
            kept, left = selection.t[layer][few[layer]].abs(), selection.t[layer][full[layer] & ~few[layer]].abs()
            assert not len(left) or kept.min() >= left.max()


def test_tables(selection, model):
    frame = selection.to_frame()
    assert list(frame.columns) == ["layer", "neuron", "t", "dof", "p", "p_adjusted", "effect_size", "direction"]
    assert len(frame) == selection.t.numel()
    row = frame.query("layer == 2 and neuron == 5").iloc[0]
    for name in ("t", "dof", "p", "p_adjusted", "effect_size"):
        assert row[name] == getattr(selection, name)[2, 5]
    counts = frame["direction"].value_counts()
    assert counts["him"] == selection.mask("him").sum()
    assert counts["her"] == selection.mask("her").sum()
    density = selection.density()
    assert list(density.columns) == ["layer", "him", "her", "any", "n_selected", "n_neurons", "n_dead"]
    np.testing.assert_allclose(density["him"] + density["her"], density["any"])
    assert list(density["n_selected"]) == selection.mask("any").sum(dim=1).tolist()
    assert (density["n_neurons"] == model.cfg.d_mlp).all()


def test_a_selection_says_where_it_came_from_and_is_the_same_twice(model, selection, tmp_path):
    again = select_neurons(model, CONTRAST, test="paired")
    assert again.content_hash == selection.content_hash
    loaded = load_result(selection.save(tmp_path / "selection"))
    assert isinstance(loaded, NeuronSelection)
    assert loaded.content_hash == selection.content_hash
    assert torch.equal(loaded.mask("him"), selection.mask("him"))
    provenance = selection.provenance
    assert len(provenance.stimuli) == 28
    expected = {"test": "paired", "hook_point": "mlp.hook_pre", "position": "word", "subword": "last", "alpha": 0.05}
    assert expected.items() <= provenance.settings.items()
    assert provenance.model["dtype"] == "float32"
    assert provenance.model["processing"] == "none"
    other = select_neurons(model, CONTRAST.subset(range(10)), test="paired")
    assert other.content_hash != selection.content_hash


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("subword", ["last", "mean"])
def test_half_precision_models_are_tested_in_float64(checkpoint_folder, dtype, subword):
    """t is that of the half-precision activations themselves, in full precision: no sum of theirs is rounded."""
    model = load_model(checkpoint_folder("gpt2"), dtype=dtype)
    contrast = Contrast.from_pairs(
        [(a.replace("him", "himself"), b.replace("her", "herbs")) for a, b in pairs(6)], ("himself", "herbs"),
        subword=subword, groups=range(6),
    )  # fmt: skip
    selection = select_neurons(model, contrast, test="student", layers=[0], batch_size=1)
    rows = []
    for sentence in (*contrast.a, *contrast.b):
        encoded = encode_sentence(model, sentence, subword=subword)
        # Alone, as select_neurons runs it with batch_size=1: the same half-precision numbers.
        _, cache = model.run_with_cache(encoded.ids[None])
        rows.append(cache["blocks.0.mlp.hook_pre"][0, list(encoded.positions)].double().mean(dim=0))
    a, b = torch.stack(rows).chunk(2)
    # Up to the float32 in which a word's tokens are averaged.
    torch.testing.assert_close(selection.mean_a[0], a.mean(dim=0), rtol=1e-6, atol=1e-6)
    pooled = ((a.var(dim=0) + b.var(dim=0)) / 2).sqrt()
    t = (a.mean(dim=0) - b.mean(dim=0)) / (pooled * (2 / 6) ** 0.5)
    torch.testing.assert_close(selection.t[0], t, rtol=1e-4, atol=1e-4)
    assert selection.t.dtype == torch.float64
