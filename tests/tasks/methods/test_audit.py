"""Samples by hand, and intervals that hold what they say."""

import numpy as np
import pytest

from tasks.methods.audit import Purity, allocated, measured, statement


def test_doubtful_and_large_strata_get_more():
    # Five each, then in proportion: deviations of .3 (at a chance of .9) and .5.
    assert allocated([1000, 1000], [0.99, 0.5], 80) == [31, 49]
    assert allocated([3000, 1000], [0.5, 0.5], 40) == [28, 12]
    assert allocated([1000, 3, 0], [0.9, 0.9, 0.9], 20) == [17, 3, 0]
    assert allocated([4, 2], [0.5, 0.5], 100) == [4, 2]
    assert sum(allocated([997, 513, 48, 7], [0.97, 0.9, 0.8, 0.4], 200)) == 200
    with pytest.raises(ValueError, match="0 rows are no sample: draw at least 1"):
        allocated([5], [0.5], 0)


def test_one_stratum_is_wilsons_interval():
    found = measured([10**9], [50], [45], level=0.95)
    assert found.purity == pytest.approx(0.9)
    assert (found.low, found.high) == pytest.approx((0.7864, 0.9565), abs=1e-4)  # Wilson's for 45 of 50
    assert found.n == 50


def test_strata_count_by_their_size():
    assert measured([900, 100], [10, 10], [10, 5], level=0.95).purity == pytest.approx(0.95)


def test_where_everything_was_judged_nothing_is_open():
    assert measured([10, 4, 0], [10, 4, 0], [9, 4, 0], level=0.95) == Purity(13 / 14, 13 / 14, 13 / 14, 14)


def test_without_an_error_the_interval_is_still_one():
    found = measured([5000, 5000], [40, 40], [40, 40], level=0.95)
    assert (found.purity, found.high) == pytest.approx((1, 1))
    assert 0.9 < found.low < 0.97


@pytest.mark.parametrize("chances", [(0.99, 0.95, 0.7), (0.9, 0.9, 0.9), (1.0, 0.98, 0.5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(chances):
    rng = np.random.default_rng(0)
    sizes = [6000, 3000, 1000]
    truth = sum(size * chance for size, chance in zip(sizes, chances, strict=True)) / 10_000
    n = allocated(sizes, chances, 150)
    held = 0
    for _ in range(600):
        found = measured(sizes, n, [int(rng.binomial(m, chance)) for m, chance in zip(n, chances, strict=True)], level=0.95)
        held += found.low <= truth <= found.high
    assert held / 600 > 0.93


def test_a_stratum_without_a_verdict_is_named():
    with pytest.raises(ValueError, match="1 of 2 strata have no verdict: judge at least one row of each"):
        measured([10, 10], [5, 0], [5, 0], level=0.95)


@pytest.mark.parametrize(
    ("strata", "level", "message"),
    [
        (([10, 10], [5, 5], [5, 9]), 0.95, "stratum 1 has 9 right of 5 verdicts on 10 rows: count no row twice"),
        (([10], [12], [9]), 0.95, "stratum 0 has 9 right of 12 verdicts on 10 rows"),
        (([10], [5], [-1]), 0.95, "stratum 0 has -1 right of 5 verdicts"),
        (([10], [5], [5]), 1.5, "level 1.5 is the interval's chance to hold the truth: give a number between 0 and 1"),
        (([10], [5], [5]), 0.0, "level 0.0 is the interval's chance"),
    ],
)
def test_counts_and_levels_without_a_meaning_are_refused(strata, level, message):
    with pytest.raises(ValueError, match=message):
        measured(*strata, level=level)


def test_promises_in_words():
    found = Purity(0.93, 0.90, 0.95, 100)
    assert statement(found, 0.92) == "the promise lies within the interval"
    assert statement(found, 0.97).startswith("the promise is too high")
    assert statement(found, 0.80).startswith("the promise is too low")
