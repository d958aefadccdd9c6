from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tasks.methods.backoff import backoff_s, retry_after_s

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def test_full_jitter_under_a_doubling_ceiling() -> None:
    for tries, ceiling in ((1, 0.5), (2, 1.0), (3, 2.0), (9, 10.0), (5000, 10.0)):
        waits = [backoff_s(f"http://a.test/{n}", tries, first_s=0.5, max_s=10.0) for n in range(400)]
        assert 0 <= min(waits) < 0.05 * ceiling
        assert 0.95 * ceiling < max(waits) <= ceiling
        assert sum(waits) / len(waits) == pytest.approx(ceiling / 2, rel=0.1)


def test_equal_seeds_wait_equally_long() -> None:
    assert backoff_s("x", 2, first_s=1.0, max_s=9.0) == backoff_s("x", 2, first_s=1.0, max_s=9.0)
    assert backoff_s("x", 2, first_s=1.0, max_s=9.0) != backoff_s("y", 2, first_s=1.0, max_s=9.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds
