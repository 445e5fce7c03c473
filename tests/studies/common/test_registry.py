"""The registry of studies: everything it names is there, and listing them is light."""

import subprocess
import sys
from typing import Any

import pytest

from tlesion.keep.results import Result
from tlesion.studies.common import registry
from tlesion.studies.common.registry import Study, register_study, studies


@pytest.fixture
def own(monkeypatch):
    """A registry of this test's own: what it registers is gone afterwards."""
    monkeypatch.setattr(registry, "_STUDIES", studies())


def mine(model):
    return model


def study(**options) -> Study:
    given: dict[str, Any] = {"name": "mine", "run": mine, "result": Result, "summary": list, "help": "Mine?"}
    return Study(**given | options)


@pytest.mark.parametrize("name", sorted(studies()))
def test_everything_that_a_study_names_is_there(name):
    loaded = studies()[name].loaded()
    assert isinstance(loaded.result, type)
    assert issubclass(loaded.result, Result)
    assert all(issubclass(kind, Result) for kind in loaded.beside.values())
    assert all(map(callable, (loaded.run, loaded.summary, *loaded.tables.values())))
    assert loaded.page is None or loaded.page == "plain" or callable(loaded.page)
    assert loaded.help.endswith((".", "?"))


@pytest.mark.slow
def test_listing_the_studies_imports_nothing_heavy():
    script = """
import sys
from tlesion.studies.common.registry import studies
assert {"laminar", "subspace", "replace", "context", "neurons"} <= set(studies())
print({"torch", "transformer_lens", "transformers", "pandas", "plotly", "scipy", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_study_is_found_under_its_name(own):
    registered = register_study(study())
    assert studies()["mine"] is registered
    assert registered.loaded().run is mine
    assert (registered.folder, study(saved_as="other").folder) == ("mine", "other")


def test_a_module_that_is_imported_again_registers_again_and_another_study_may_not_take_the_name(own):
    register_study(study())
    again = register_study(study(help="Mine, mended?"))
    assert studies()["mine"] is again
    with pytest.raises(ValueError, match=r"there is a study 'mine' already \(.*mine\); give this one \(.*\) another"):
        register_study(study(run=study))


@pytest.mark.parametrize("name", ["", "My study", "mine.py"])
def test_a_name_that_is_no_command_is_refused(name):
    with pytest.raises(ValueError, match="is no name of a command; give small letters"):
        study(name=name)


def test_a_reference_to_nothing_is_named():
    with pytest.raises(ValueError, match=r"study 'mine' names 'tlesion.nowhere:f', and that is not there"):
        study(run="tlesion.nowhere:f").loaded()
    with pytest.raises(ValueError, match=r"names 'tlesion.checks:nothing', and that is not there"):
        study(summary="tlesion.checks:nothing").loaded()
