"""Reports: the registry says which page, tables and names belong to which results."""

import dataclasses

import pandas as pd
import pytest

import tlesion
from tlesion.keep.results import Result
from tlesion.paper import Page, Section
from tlesion.studies.common import registry
from tlesion.studies.common.registry import Study, register_study, studies
from tlesion.studies.evidence.pages import page_of


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Counted(Result):
    """A result of these tests."""

    n: int


def count(model, *, n: int = 3) -> Counted:
    raise AssertionError("a page is made of a result; nothing is run for it")


@pytest.fixture
def counted(by_hand, monkeypatch) -> Counted:
    """A result of a study that is registered for one test."""
    monkeypatch.setattr(registry, "_STUDIES", studies())
    register_study(
        Study(
            name="count",
            help="How many?",
            run=count,
            result=Counted,
            summary=lambda result: [f"There are {result.n}."],
            tables={"how_many": lambda result: pd.DataFrame({"n": [result.n]})},
        )
    )
    return Counted(n=3, provenance=by_hand.profile().provenance)


@pytest.mark.slow
def test_a_list_of_results_gets_the_names_of_their_studies(by_hand):
    report = tlesion.Report([by_hand.profile(), by_hand.selection(), by_hand.histogram()])
    assert sorted(report.results) == ["histogram", "profile", "selection"]
    assert sorted(report.tables()) == ["profile"]
    assert report.page().html() == page_of([by_hand.histogram(), by_hand.selection(), by_hand.profile()]).html()
    assert report.summary() == list(report.page().summary)


def test_two_results_of_one_kind_are_refused(by_hand):
    with pytest.raises(ValueError, match=r"hold two results of one kind, .*; make a report of each"):
        tlesion.Report([by_hand.profile(), by_hand.profile()])


def test_a_study_without_a_page_of_its_own_has_a_plain_one(counted, tmp_path):
    report = tlesion.Report([counted])
    page = report.page()
    assert list(page.summary) == ["There are 3."]
    assert [section.title for section in page.sections] == ["How many", "What was run"]
    assert page.sections[0].tables[0].rows == [["3"]]
    written = report.write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["count", "how_many.csv", "report.html"]
    assert written["report"].read_text(encoding="utf-8") == page.html()
    assert pd.read_csv(written["how_many"])["n"].tolist() == [3]


def test_results_of_several_studies_share_a_page(counted, by_hand):
    page = page_of([counted, by_hand.profile()])
    titles = [section.title for section in page.sections]
    assert any(title.startswith("Count: ") and title.endswith("How many") for title in titles)
    assert any(title.endswith("What does each lesion cost?") for title in titles)
    assert len(titles) == len(set(titles))
    assert "There are 3." in page.summary


def test_a_page_without_layers_refuses_one(counted, monkeypatch):
    monkeypatch.setitem(
        registry._STUDIES,
        "count",
        dataclasses.replace(studies()["count"], page=lambda result: Page("Counted", [], [Section("One")])),
    )
    assert page_of([counted]).title == "Counted"
    with pytest.raises(ValueError, match="the page of 'count' shows no layer in particular; leave the layer 2 out"):
        page_of([counted], layer=2)


def test_nothing_makes_no_page(by_hand):
    with pytest.raises(ValueError, match=r"no report is made of nothing alone; a report needs one of .*LaminarProfile"):
        page_of([])
    with pytest.raises(ValueError, match="no report is made of NeuronSelection alone"):
        tlesion.Report([by_hand.selection()]).page()
