"""A ratio of two means: Fieller's interval is Student's, turned round."""

import numpy as np
import pytest
import torch

from tlesion.inference import bootstrap_mean
from tlesion.inference.ratio import ratio_of_means

GROUPS = [i // 3 for i in range(12)]


def samples(n_rows: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    part = torch.from_numpy(rng.standard_normal((n_rows, 12)))
    return part, 0.3 * part + torch.from_numpy(0.8 + rng.standard_normal((n_rows, 12)))


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_ratio_is_in_the_interval_where_students_interval_of_the_difference_holds_zero(groups, level):
    part, whole = samples()
    found = ratio_of_means(part, whole, level=level, groups=groups)
    student = bootstrap_mean(whole, method="t", level=level, groups=groups)
    shown = (student.low > 0) | (student.high < 0)
    assert 5 < int(shown.sum()) < 55, "both kinds of rows are there"
    assert torch.equal(~found.value.isnan(), shown)
    assert torch.equal(found.low.isnan(), found.value.isnan())
    part, whole = part[shown], whole[shown]
    torch.testing.assert_close(found.value[shown], part.mean(dim=1) / whole.mean(dim=1))
    for end in (found.low[shown], found.high[shown]):
        at_end = bootstrap_mean(part - end[:, None] * whole, method="t", level=level, groups=groups)
        size = (at_end.high - at_end.low).clamp(min=1)
        # One end of Student's interval is zero there, but for rounding of float64.
        torch.testing.assert_close(
            torch.minimum(at_end.low.abs(), at_end.high.abs()) / size, torch.zeros_like(end), atol=1e-9, rtol=0
        )


def test_parts_in_proportion_have_no_spread():
    _, whole = samples()
    whole = whole + 5
    for factor in (1.0, 0.5, -0.25, 0.0):
        found = ratio_of_means(factor * whole, whole, level=0.95)
        for value in (found.low, found.value, found.high):
            assert torch.equal(value, torch.full_like(value, factor)), factor
            assert not (value.signbit() & (value == 0)).any(), "no −0"


def test_by_hand():
    """Three samples, y = 1 without spread: the interval is Student's of x, 2 ± 4.3027 / √3."""
    x, one = torch.tensor([1.0, 2.0, 3.0]).double(), torch.ones(3).double()
    found = ratio_of_means(x, one, level=0.95)
    assert found.value.item() == 2
    assert found.high.item() == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-6)
    assert found.low.item() == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-6)


def test_rounding_and_nothing_have_no_ratio():
    x, tiny = torch.tensor([1.0, 2.0, 3.0]).double(), torch.full((3,), 1e-6).double()
    assert ratio_of_means(x, tiny, level=0.95, least=1e-5).value.isnan()
    assert not ratio_of_means(x, tiny, level=0.95).value.isnan()
    assert ratio_of_means(x, torch.zeros(3).double(), level=0.95).value.isnan()


def test_a_single_sample_shows_nothing():
    with pytest.raises(ValueError, match=r"1 sample\(s\) cannot show how much samples vary"):
        ratio_of_means(torch.ones(1).double(), torch.ones(1).double(), level=0.95)
