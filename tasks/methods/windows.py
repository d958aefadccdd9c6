"""Keep hours: how long until a crawl may fetch, out of its hours of the day."""

import re
from collections.abc import Sequence
from datetime import datetime

DAY_S = 86_400
WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def seconds_until_open(windows: Sequence[str], now: datetime) -> float:
    """0 inside one of the windows ("22:00-06:00" goes over midnight) or without any; else the seconds until the next one begins.

    The hours are those of `now`'s own time zone. Raises ValueError for a window that can't be read.
    """
    if not windows:
        return 0.0
    second = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
    waits = []
    for begin, end in map(_seconds, windows):
        if (begin <= second < end) if begin < end else (second >= begin or second < end):
            return 0.0
        waits.append((begin - second) % DAY_S)
    return min(waits)


def _seconds(window: str) -> tuple[int, int]:
    found = WINDOW.fullmatch(window)
    if not found:
        raise ValueError(f"fetch window {window!r} is not of the form HH:MM-HH:MM, such as 22:00-06:00")
    hours = [int(part) for part in found.groups()]
    return hours[0] * 3600 + hours[1] * 60, hours[2] * 3600 + hours[3] * 60
