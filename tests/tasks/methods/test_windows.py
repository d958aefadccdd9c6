from datetime import UTC, datetime

import pytest

from tasks.methods.windows import seconds_until_open


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, 1, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("windows", "now", "seconds"),
    [
        ([], at(12), 0),
        (["09:00-17:00"], at(12), 0),
        (["09:00-17:00"], at(9), 0),
        (["09:00-17:00"], at(17), 16 * 3600),
        (["22:00-06:00"], at(23), 0),
        (["22:00-06:00"], at(5, 59), 0),
        (["22:00-06:00"], at(6), 16 * 3600),
        (["22:00-06:00", "12:30-13:00"], at(12), 1800),
        (["00:00-00:00"], at(3), 0),
    ],
)
def test_how_long_until_a_window_opens(windows: list[str], now: datetime, seconds: int) -> None:
    assert seconds_until_open(windows, now) == seconds


def test_a_window_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"fetch window '9-17' is not of the form HH:MM-HH:MM, such as 22:00-06:00"):
        seconds_until_open(["9-17"], at(1))
