"""Options are settled in the first second: NumPy's numbers become Python's; what cannot be is refused before a run."""

# What types allow is not the question here: people pass what they have.
# mypy: disable-error-code="arg-type, list-item, call-arg, attr-defined"

import inspect

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy.runners import CausalRunner, MaskedRunner
from tlesion.checks import flag, integer, number, plain
from tlesion.options import checked_options

pytestmark = pytest.mark.slow

PLANTED = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=16, layers=(1,), n_causal=2, n_decoys=2, n_token=2)
MODEL, CONTRAST = PLANTED.model, PLANTED.language.contrast(8, seed=0)
PROMPTS = PLANTED.language.prompts(4, seed=1)
MASK = torch.zeros(2, 16, dtype=torch.bool)
MASK[:, 3] = True
TEXT = PROMPTS[0].text

WHOLE = [np.int64, np.int32, np.uint8, torch.tensor, np.array]
REAL = [np.float64, np.float32, torch.tensor, np.array]


def selected(**options):
    return tlesion.select_neurons(MODEL, CONTRAST, position="before", **options)


def profiled(**options):
    return tlesion.laminar_profile(MODEL, {"him": MASK}, PROMPTS, **{"n_controls": 0} | options)


def kept(**options):
    return tlesion.sufficiency(MODEL, {"him": MASK}, PROMPTS, **{"n_controls": 1} | options)


def halved(**options):
    return tlesion.minimality(MODEL, {"him": MASK}, PROMPTS, **options)


def removed(**options):
    return tlesion.subspace_removal(MODEL, TEXT, **{"n_random": 1} | options)


def crossed(**options):
    return tlesion.cross_fit(MODEL, CONTRAST, **{"position": "before", "k": 2} | options)


def dosed(**options):
    return tlesion.dose_response(MODEL, selected(), PROMPTS, **{"n_controls": 1, "doses": (50,)} | options)


def replaced(**options):
    return tlesion.replacement(MODEL, PROMPTS, tlesion.scale_variants(MODEL, layers=[0]), **options)


def compared(**options):
    return tlesion.context_modulation(MODEL, TEXT, **options)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_number_of_any_kind_becomes_pythons(kind):
    assert (integer("n", kind(3)), type(integer("n", kind(3)))) == (3, int)


@pytest.mark.parametrize("kind", REAL)
def test_a_number_of_any_kind_becomes_pythons(kind):
    assert (number("x", kind(0.25)), type(number("x", kind(0.25)))) == (0.25, float)


@pytest.mark.parametrize("kind", [np.int64, torch.tensor])
@pytest.mark.parametrize(
    ("study", "name", "value"),
    [
        (selected, "top_k", 2),
        (selected, "batch_size", 3),
        (selected, "seed", 1),
        (profiled, "n_controls", 2),
        (profiled, "seed", 1),
        (profiled, "position", 1),
        (profiled, "max_bytes", 200),
        (removed, "rank", 1),
        (removed, "n_random", 1),
        (crossed, "k", 2),
        (dosed, "n_controls", 1),
        (kept, "n_controls", 2),
        (halved, "n_halves", 4),
        (replaced, "top_k", 2),
        (compared, "keep", 2),
        (compared, "n_windows", 2),
    ],
)
def test_whole_numbers_of_numpy_and_torch_are_pythons(study, name, value, kind, tmp_path):
    own, theirs = study(**{name: value}), study(**{name: kind(value)})
    assert theirs.provenance == own.provenance
    assert tlesion.load_result(theirs.save(tmp_path / "x")).content_hash == own.content_hash


@pytest.mark.parametrize("kind", [np.float32, torch.tensor])
@pytest.mark.parametrize(
    ("study", "name", "value"),
    [(selected, "alpha", 0.25), (selected, "min_effect", 0.5), (crossed, "alpha", 0.25), (compared, "level", 0.5)],
)
def test_numbers_of_numpy_and_torch_are_pythons(study, name, value, kind, tmp_path):
    own, theirs = study(**{name: value}), study(**{name: kind(value)})
    assert theirs.provenance == own.provenance
    assert tlesion.load_result(theirs.save(tmp_path / "x")).content_hash == own.content_hash


@pytest.mark.parametrize("layers", [np.array([1]), torch.tensor([1]), range(1, 2), (np.int64(1),), [torch.tensor(1)]])
def test_layers_may_be_any_list_of_whole_numbers(layers, tmp_path):
    for study in (selected, removed, compared):
        result = study(layers=layers)
        assert result.layers == (1,)
        result.save(tmp_path / "x")


def test_truth_values_texts_and_offsets_of_numpy_are_pythons(tmp_path):
    profile = profiled(prepend_bos=np.bool_(False), ablation=np.str_("zero"), plan=np.str_("loop"))
    assert profile.provenance.settings["prepend_bos"] is False
    assert type(profile.provenance.settings["ablation"]) is str
    assert tlesion.Offset(np.int64(-1)) == tlesion.Offset(-1)
    profile.save(tmp_path / "x")


def test_edits_take_numbers_of_numpy_and_torch():
    one = iv.gaussian("blocks.0.mlp.hook_post", mean=1.0, std=2.0, seed=3)
    other = iv.gaussian("blocks.0.mlp.hook_post", mean=np.float32(1), std=torch.tensor(2.0), seed=np.int64(3))
    zeros = torch.zeros(1, 2, 4)
    assert one.edit(zeros).equal(other.edit(zeros))
    assert iv.scale("blocks.0.hook_resid_post", np.float16(0.5)).edit(zeros + 1).equal(zeros + 0.5)
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 5, 4)))
    first = iv.remove_leading("blocks.0.hook_resid_post", 1).edit(rows)
    assert iv.remove_leading("blocks.0.hook_resid_post", np.int64(1)).edit(rows).equal(first)
    assert [variant.label for variant in tlesion.head_variants(MODEL, heads=np.array([0]), layers=[1])] == [
        "key head 1.0"
    ]


BAD = [
    (selected, {"alpha": "0.05"}, "alpha is '0.05'"),
    (selected, {"alpha": float("nan")}, "alpha nan"),
    (selected, {"alpha": 5}, "alpha must lie between 0 and 1"),
    (selected, {"alpha": True}, "alpha is True"),
    (selected, {"top_k": 2.0}, "top_k is 2.0"),
    (selected, {"top_k": "5"}, "top_k is '5'"),
    (selected, {"top_k": True}, "top_k is True"),
    (selected, {"batch_size": 0}, "batch_size is 0"),
    (selected, {"batch_size": None}, "batch_size is None"),
    (selected, {"seed": -1, "test": "permutation"}, "seed -1 is negative"),
    (selected, {"seed": 2**63}, "too large"),
    (selected, {"n_permutations": 10.5, "test": "permutation"}, "n_permutations is 10.5"),
    (selected, {"layers": 1}, r"layers is 1, one number; give a list, layers=\[1\]"),
    (selected, {"layers": [0.9]}, r"layers are list, \[0.9\]; give a list of whole numbers"),
    (selected, {"layers": [True, False]}, r"layers are list, \[True, False\]"),
    (selected, {"correction": ""}, "correction '' is unknown"),
    (selected, {"correction": "bh"}, "correction 'bh' is unknown"),
    (selected, {"family": "layers"}, "unknown family 'layers'"),
    (selected, {"test": "t"}, "test 't' is unknown"),
    (selected, {"prepend_bos": "no"}, "prepend_bos is 'no'"),
    (selected, {"prepend_bos": 0}, "prepend_bos is 0"),
    (selected, {"hook_point": None}, "hook_point is None"),
    (profiled, {"n_controls": 2.5}, "n_controls is 2.5"),
    (profiled, {"max_bytes": 0}, "max_bytes is 0"),
    (profiled, {"max_bytes": "1GB"}, "max_bytes is '1GB'"),
    (profiled, {"plan": "fast"}, "plan 'fast' is unknown"),
    (profiled, {"position": 1.5}, "position 1.5"),
    (profiled, {"position": True}, "position True"),
    (profiled, {"ablation": "none"}, "ablation 'none' is unknown"),
    (profiled, {"allow_shared": "yes"}, "allow_shared is 'yes'"),
    (profiled, {"about": "him"}, "about is a str"),
    (profiled, {"match": [1.0], "n_controls": 1}, "match is a list"),
    (profiled, {"ablation": "mean", "reference": [0.0]}, "reference is a list"),
    (profiled, {"checkpoint": 3}, "checkpoint is 3"),
    (profiled, {"checkpoint": "/proc/nowhere"}, "cannot write into"),
    (kept, {"measure": "margins"}, "measure 'margins' is unknown"),
    (kept, {"alternative": "more"}, "alternative 'more' is unknown"),
    (kept, {"level": 95}, "level must lie between 0 and 1"),
    (kept, {"n_controls": -1}, "n_controls is -1"),
    (kept, {"match": "size"}, "match 'size' is unknown"),
    (kept, {"selected_on": "him"}, "a str has no sentences to compare with"),
    (halved, {"n_halves": 1}, "n_halves is 1; give 2 or more; an even number"),
    (halved, {"n_halves": 2.0}, "n_halves is 2.0"),
    (halved, {"measure": "margins"}, "measure 'margins' is unknown"),
    (halved, {"about": {"him": "them"}}, "the word of mask 'him' 'them' is unknown"),
    (removed, {"n_sampled": -1}, "n_sampled must be a whole number, 0 or more"),
    (removed, {"control": "any"}, "control 'any' is unknown"),
    (removed, {"ranks": 2}, "ranks is 2"),
    (crossed, {"ablation": "none"}, "ablation 'none' is unknown"),
    (crossed, {"lesion_hook_point": "mlp.post"}, "'blocks.0.mlp.post' is not in this model"),
    (crossed, {"lesion_hook_point": "hook_resid_post"}, "units are the selected ones"),
    (crossed, {"lesion_position": "word"}, "position 'word' is unknown"),
    (crossed, {"plan": "fast"}, "plan 'fast' is unknown"),
    (crossed, {"n_controls": -1}, "n_controls is -1"),
    (crossed, {"k": "2"}, "k is '2'"),
    (replaced, {"top_k": 0}, "top_k is 0"),
    (replaced, {"plan": "prefix"}, "plan 'prefix' is unknown"),
    (compared, {"level": 95}, "level must lie between 0 and 1"),
    (compared, {"keep": -1}, "keep is -1"),
    (compared, {"context_lengths": [1.5]}, r"context_lengths are list, \[1.5\]"),
    (compared, {"context_lengths": 3}, "context_lengths is 3"),
]


@pytest.fixture
def no_run(monkeypatch):
    """Any forward pass is an error."""

    def run(*args, **kwargs):
        raise AssertionError("the model was run before its options were looked at")

    for runner in (CausalRunner, MaskedRunner):
        monkeypatch.setattr(runner, "embed", run)
    monkeypatch.setattr(MODEL, "forward", run)


@pytest.mark.parametrize(("study", "options", "message"), BAD, ids=lambda one: str(getattr(one, "__name__", one))[:40])
def test_what_cannot_be_is_refused_before_the_model_runs(study, options, message, no_run):
    with pytest.raises((TypeError, ValueError), match=message):
        study(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correction": "bh"}, "unknown correction 'bh'"),
        ({"level": 2}, "level must lie between 0 and 1"),
        ({"words": "apple"}, "words are a str"),
    ],
)
def test_space_modulation_looks_at_its_options_first(options, message, toy_gpt, monkeypatch):
    monkeypatch.setattr(CausalRunner, "embed", lambda *_, **__: pytest.fail("the model was run"))
    with pytest.raises((TypeError, ValueError), match=message):
        tlesion.space_modulation(toy_gpt, **{"words": ["apple", "dog"]} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ablation": "none"}, "ablation 'none' is unknown"),
        ({"hook_point": "mlp.post"}, "is not in this model"),
        ({"position": "word"}, "position 'word' is unknown"),
        ({"plan": "fast"}, "plan 'fast' is unknown"),
        ({"checkpoint": "/proc/nowhere"}, "cannot write into"),
        ({"out": "/proc/nowhere"}, "cannot write into"),
        ({"about": {"it": "him"}}, "mask 'it' is unknown"),
        ({"prompts": "She thanked"}, "prompts is a single str"),
        ({"prompts": [tlesion.Prompt(f"{CONTRAST.a[0].before}", ("him", "her"))]}, "made from sentences"),
        ({"selection": MASK}, r"the selection is a Tensor; give what tlesion\.select_neurons returned"),
    ],
)
def test_the_whole_study_looks_at_its_lesions_before_it_selects(options, message, no_run):
    with pytest.raises((TypeError, ValueError), match=message):
        tlesion.report.laminar(MODEL, CONTRAST, **{"prompts": PROMPTS} | options)


def test_a_second_position_is_looked_at_before_the_first_is_selected_at(no_run):
    with pytest.raises(ValueError, match="position 'mask' needs a masked model"):
        tlesion.compare_positions(MODEL, CONTRAST, positions=["before", "mask"])


def test_every_public_function_of_a_model_settles_its_options():
    names = [name for name in dir(tlesion) if not name.startswith("_")]
    functions = [one for one in (getattr(tlesion, name) for name in names) if inspect.isfunction(one)]
    of_models = [one for one in functions if next(iter(inspect.signature(one).parameters), "") == "model"]
    assert len(of_models) > 10
    for function in of_models:
        with pytest.raises(TypeError, match=r"model is a str, 'toy-bert'; load it first: tlesion\.load_model"):
            function("toy-bert", *[None] * (len(required(function)) - 1))


def required(function):
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.default is one.empty]


def test_checks_say_what_came_and_what_is_allowed():
    with pytest.raises(TypeError, match=r"n is 2\.0 \(float\); give a whole number, 1 or more; 50 is usual"):
        integer("n", 2.0, least=1, usual="50 is usual")
    with pytest.raises(ValueError, match="n -1 is negative; give 0 or more"):
        integer("n", -1, least=0)
    with pytest.raises(ValueError, match="x inf is not finite"):
        number("x", np.float32(np.inf))
    with pytest.raises(TypeError, match=r"x is 1 \(int\); give True or False"):
        flag("x", 1)
    assert [type(plain(one)) for one in (np.float64(1), np.bool_(1), np.str_("a"), torch.tensor(1))] == [
        float,
        bool,
        str,
        int,
    ]
    assert plain(np.array([1])).shape == (1,)


def test_pythons_own_words_for_arguments_that_do_not_fit_are_kept():
    @checked_options
    def draw(n, *, seed=0):
        return n, seed

    assert draw(3, seed=np.int64(2)) == (3, 2)
    assert inspect.signature(draw) == inspect.signature(draw.__wrapped__)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        draw(3, sed=1)
