"""Where a plan calls a planted effect detectable, the verdict finds it. In large: benchmarks/plan_power.py."""

import math

import pandas as pd
import pytest

from benchmarks import plan_power

pytestmark = pytest.mark.slow

N_STUDIES = 20


@pytest.fixture(scope="module")
def records():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_power, "N_POPULATION", 200)
        return [row for number in range(N_STUDIES) for row in plan_power.study(number)]


@pytest.mark.filterwarnings("ignore:the controls of mask")
def test_what_a_plan_calls_detectable_is_called_specific(records):
    frame = pd.DataFrame(records)
    detectable = frame[frame["truth"] >= frame["detectable"]]
    assert len(detectable) >= 10
    assert detectable["specific"].mean() >= 0.9
    hopeless = frame[frame["truth"] < frame["detectable"] / 2]
    assert hopeless["specific"].mean() < 0.5 or hopeless.empty


def test_the_table_counts_what_was_recorded():
    record = {"study": 0, "share": 0.1, "word": "specific", "specific": True, "by_itself": 1.0}
    many = [record | {"truth": 2.0, "detectable": 1.0}] * 90 + [
        *[record | {"truth": 1.1, "detectable": 1.0, "specific": False}] * 10,
        record | {"truth": 0.6, "detectable": 1.0, "share": 0.2},
        record | {"truth": 9.0, "detectable": math.inf},
    ]
    rows = {row.what: row for row in plan_power.rows_of(many)}
    first = rows["detectable effects"]
    assert (first.n, first.specific, first.holds) == (100, 0.9, "yes")
    assert rows["detectable effects, sets of 20% of the layer"].n == 0
    assert rows["true effect 0 to 0.5 times what the plan calls detectable"].n == 1
    assert rows["effects that are detectable by the plan's own pilot"].n == 101
    assert rows["effects that are not detectable by the pilot"].n == 2
    near = rows["true effect 1 to 1.25 times what the plan calls detectable"]
    assert (near.n, near.specific, near.holds) == (10, 0.0, "NO")
    result = {"studies": 6, "machine": {"cores": 2}, "minutes": 1, "notes": ["A note."], "rows": [vars(first)]}
    page = plan_power.render(result)
    assert "| detectable effects | 100 | 0.900 |" in page
