import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.throttle import Bucket


def test_a_burst_then_a_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3.0)
    assert [bucket.reserve(10.0) for _ in range(6)] == [10.0, 10.0, 10.0, 10.5, 11.0, 11.5]
    assert bucket.free_at(10.0) == 11.5
    assert bucket.free_at(11.5) == 11.5
    assert bucket.reserve(11.5) == 12.0
    assert bucket.reserve(100.0) == 100.0  # full again, and no fuller than the burst
    assert [bucket.reserve(100.0) for _ in range(3)] == [100.0, 100.0, 100.5]


def test_amounts_and_no_limit() -> None:
    bucket = Bucket(rate=1000.0, burst=1000.0)
    assert bucket.reserve(0.0, 1500.0) == 0.5
    free = Bucket(rate=math.inf, burst=1.0)
    assert {free.reserve(5.0, 1e9) for _ in range(9)} == {5.0} == {free.free_at(5.0)}


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_second_sees_more_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, starts = Bucket(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        starts.append(bucket.reserve(now))
    assert starts == sorted(starts)
    for first in starts:
        assert sum(first <= start <= first + 1.0 for start in starts) <= burst + rate + 1 + 1e-6


def test_a_bucket_that_lets_nothing_pass_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a bucket needs a positive rate and burst, got 0.0 and 1.0"):
        Bucket(0.0, 1.0)
