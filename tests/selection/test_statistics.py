"""Statistics by name: a user's test from one file, found by every selection, and what it returns looked at."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app
from tlesion.selection import register_statistic, select_from_cache, statistic_names
from tlesion.selection import statistics as registry
from tlesion.selection.statistics import statistic_named

PAIRS = [(f"The boy {verb} him.", f"The girl {verb} her.") for verb in ("saw", "told", "gave", "asked", "helped")]
MINE = """
import torch
from tlesion.selection import register_statistic


@register_statistic("z", summary="a z-test")
def z(a, b):
    error = (a.variance / a.n + b.variance / b.n).sqrt()
    z = (a.mean - b.mean) / error
    pooled = ((a.variance + b.variance) / 2).sqrt()
    return {"t": z, "p": torch.special.erfc(z.abs() / 2**0.5), "dof": torch.inf, "effect_size": z * error / pooled}


@register_statistic("rank sum", takes="rows")
def rank_sum(rows_a, rows_b, seed):
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(rows_a.double(), rows_b.double(), axis=0, method="asymptotic")
    n = len(rows_a) * len(rows_b)
    size = 2 * test.statistic / n - 1
    return {"t": size, "p": test.pvalue, "dof": float("inf"), "effect_size": size}


@register_statistic("pairs", paired=True)
def pairs(difference, dead):
    t = difference.mean / (difference.variance / difference.n).sqrt()
    return {"t": t, "p": torch.full_like(t, 0.5), "dof": 2.0, "effect_size": t.clamp(-1, 1)}
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry._STATISTICS, "_entries", dict(registry._STATISTICS._entries))


@pytest.fixture
def mine(tmp_path):
    return module(tmp_path, "my_statistics")


def module(folder: Path, name: str):
    path = folder / f"{name}.py"
    path.write_text(MINE)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def contrast() -> tlesion.Contrast:
    return tlesion.Contrast.from_pairs(PAIRS, words=("him", "her"))


def caches(n: int = 6, n_neurons: int = 4) -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, n, 1, n_neurons)) + np.arange(2)[:, None, None, None]
    rows[:, :, :, 0] = 1.0
    a, b = ({"blocks.0.mlp.hook_pre": torch.from_numpy(part)} for part in rows)
    return a, b


def select(test: str, **options) -> tlesion.NeuronSelection:
    return select_from_cache(*caches(), 0, 0, test=test, **options)


def returning(**changes):
    """A statistic that returns numbers for four neurons, of which the first is dead."""
    good = {"t": torch.tensor([[torch.nan, 1.0, -2.0, 3.0]]), "p": torch.tensor([[torch.nan, 0.5, 0.2, 0.0]]),
            "dof": 3.0, "effect_size": torch.tensor([[torch.nan, 0.1, -0.2, 0.3]])}  # fmt: skip
    register_statistic("made")(lambda a, b: good | changes)


def test_the_librarys_own_are_registered_like_any_other():
    assert statistic_names()[:6] == ("student", "welch", "moderated", "paired", "moderated_paired", "permutation")
    assert all(statistic_named(name).summary for name in statistic_names()[:6])
    assert [name for name in statistic_names()[:6] if statistic_named(name).paired] == ["paired", "moderated_paired"]


def test_a_users_test_selects_neurons_from_a_model(toy_bert, mine):
    selection = tlesion.select_neurons(toy_bert, contrast(), test="z", correction="none")
    welch = tlesion.select_neurons(toy_bert, contrast(), test="welch")
    torch.testing.assert_close(selection.t, welch.t, rtol=1e-9, atol=1e-12)
    live = ~welch.dead
    expected = 2 * scipy_stats.norm.sf(welch.t[live].abs().numpy())
    np.testing.assert_allclose(selection.p[live].numpy(), expected, rtol=1e-6, atol=1e-300)  # below: subnormal
    assert bool(selection.dof[live].isinf().all())
    assert selection.test == "z"
    assert selection.provenance.settings["test_function"].startswith("my_statistics.z (")
    assert "test_function" not in welch.provenance.settings


def test_a_users_test_of_rows_selects_from_a_cache(mine):
    cache_a, cache_b = caches()
    selection = select("rank sum")
    a, b = (cache["blocks.0.mlp.hook_pre"][:, 0, 1:].numpy() for cache in (cache_a, cache_b))
    expected = scipy_stats.mannwhitneyu(a, b, axis=0, method="asymptotic").pvalue
    np.testing.assert_allclose(selection.p[0, 1:].numpy(), expected)
    torch.testing.assert_close(selection.log_p[0, 1:], selection.p[0, 1:].log())
    assert selection.dead.tolist() == [[True, False, False, False]]
    assert bool(selection.t[0, 0].isnan()), "a number for a neuron that does not vary is put aside"
    assert not selection.is_paired


def test_a_users_paired_test_is_given_differences(toy_bert, mine):
    selection = tlesion.select_neurons(toy_bert, contrast(), test="pairs")
    expected = tlesion.select_neurons(toy_bert, contrast(), test="paired")
    torch.testing.assert_close(selection.t, expected.t, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert selection.is_paired
    unpaired = tlesion.Contrast.from_sentences(
        [one for one, _ in PAIRS], [one for _, one in PAIRS[1:]], words=("him", "her")
    )
    with pytest.raises(ValueError, match=r"test 'pairs' needs pairs"):
        tlesion.select_neurons(toy_bert, unpaired, test="pairs")


def test_an_unknown_test_lists_a_users_own_and_the_way_to_register(mine):
    way = r"register your own: decorate a function with @tlesion\.register_statistic"
    with pytest.raises(ValueError, match=rf"test 'rank sun' is unknown; .*'z', 'rank sum'.*mean 'rank sum'\?\); {way}"):
        select("rank sun")


def test_a_name_is_taken_once_but_a_module_may_define_its_own_again(tmp_path, mine):
    module(tmp_path, "my_statistics")
    with pytest.raises(ValueError, match=r"test name 'z' is taken by my_statistics\.z; register yours under another"):
        module(tmp_path, "another_module")
    with pytest.raises(ValueError, match=r"test name 'welch' is taken by tlesion\.stats\.ttest\.welch"):
        register_statistic("welch")(mine.z)


def test_what_is_no_name_and_no_function_is_refused():
    with pytest.raises(TypeError, match=r"test name <function .* is no text; give a name in quotes: decorate"):
        register_statistic(returning)
    with pytest.raises(TypeError, match=r"test 'five' is 5, which cannot be called"):
        register_statistic("five")(5)
    with pytest.raises(ValueError, match=r"takes 'row' is unknown; allowed: 'moments', 'rows'"):
        register_statistic("five", takes="row")


def test_an_effect_is_asked_of_a_test_that_knows_of_it_alone(mine):
    with pytest.raises(ValueError, match=r"min_effect 0\.3 with test='z', which tests whether there is any difference"):
        select("z", min_effect=0.3)
    seen: dict[str, Any] = {}

    @register_statistic("with effect", takes="rows")
    def with_effect(rows_a, rows_b, *, min_effect, seed, n_permutations, family, dead, paired):
        seen.update(min_effect=min_effect, seed=seed, n_permutations=n_permutations, family=family, paired=paired)
        seen["dead"] = dead.tolist()
        return select("welch")

    select("with effect", min_effect=0.3, seed=5, n_permutations=9, family="model")
    assert seen == {"min_effect": 0.3, "seed": 5, "n_permutations": 9, "family": "model", "paired": False,
                    "dead": [[True, False, False, False]]}  # fmt: skip


def test_a_correction_of_its_own_is_taken_unless_another_is_asked_for():
    adjusted = torch.tensor([[torch.nan, 0.9, 0.8, 0.7]])
    register_statistic("own", own_correction="mine")(
        lambda a, b: vars(select("welch")) | {"p_adjusted": adjusted, "dof": 3}
    )
    assert select("own").correction == "mine"
    assert select("own").p_adjusted.tolist()[0][1:] == pytest.approx([0.9, 0.8, 0.7])
    torch.testing.assert_close(
        select("own", correction="holm").p_adjusted, select("welch", correction="holm").p_adjusted, equal_nan=True
    )
    with pytest.raises(ValueError, match=r"correction 'mine' needs test='own', got test='welch'; use 'holm' with it"):
        select("welch", correction="mine")


def test_what_is_returned_as_it_should_be_is_taken():
    returning()
    selection = select("made", correction="none")
    assert selection.t[0, 1:].tolist() == [1, -2, 3]
    assert selection.dof[0, 1:].tolist() == [3, 3, 3]
    assert selection.log_p[0, 3] == pytest.approx(np.log(5e-324))
    assert selection.mask("b").tolist() == [[False, False, False, False]]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"p": None}, TypeError, r"test 'made' returned a dict whose p is None; return a mapping with t, p"),
        ({"t": "high"}, TypeError, r"whose t is 'high'"),
        ({"t": torch.zeros(4)}, ValueError, r"returned t of shape \[4\] for 1 layers of 4 neurons; .* \[1, 4\]"),
        ({"p": torch.tensor([[0.1, 0.5, 1.5, -0.2]])}, ValueError, r"returned p = 1\.5 for neuron 2 of row 0, and "
         r"for 2 in all; p has to be from 0 to 1"),
        ({"p": torch.tensor([[0.1, torch.nan, 0.5, 0.2]])}, ValueError, r"returned p = nan for neuron 1"),
        ({"t": torch.tensor([[0.1, 0.2, torch.nan, 0.2]])}, ValueError, r"t = nan for neuron 2 .* t has to be finite"),
        ({"t": torch.tensor([[0.1, 0.2, 0.2, torch.inf]])}, ValueError, r"t = inf for neuron 3"),
        ({"effect_size": torch.full((1, 4), torch.nan)}, ValueError, r"effect_size = nan for neuron 1 .* 3 in all"),
        ({"dof": 0}, ValueError, r"dof = 0 for neuron 1 .* above 0"),
        ({"p_adjusted": torch.full((1, 4), 2.0)}, ValueError, r"p_adjusted = 2 for neuron 1 .* from 0 to 1"),
    ],
)  # fmt: skip
def test_what_a_test_returns_is_looked_at(changes, error, message):
    returning(**changes)
    with pytest.raises(error, match=message):
        select("made")


@pytest.mark.slow
def test_the_command_line_finds_it(mine, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a,b,word_a,word_b\n" + "".join(f"{one},{other},him,her\n" for one, other in PAIRS))
    command = ["neurons", "--model", "toy-bert", "--pairs", str(pairs), "--limit", "1", "--json"]
    done = CliRunner().invoke(app, [*command, "--test", "z"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["neurons"][0]["dof"] in (None, "inf", float("inf"))
    refused = CliRunner().invoke(app, [*command, "--test", "rank sun"])
    assert "did you mean 'rank sum'?" in " ".join(refused.output.split())
