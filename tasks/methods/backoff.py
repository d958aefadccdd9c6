"""Back off: how long to wait before another try, out of the number of tries and what the server said."""

import random
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def backoff_s(seed: str, tries: int, *, first_s: float, max_s: float) -> float:
    """Seconds before try `tries` + 1: anything between 0 and `first_s` x 2^(tries - 1), at most `max_s`, drawn from the seed.

    "Full jitter": Brooker, Exponential Backoff And Jitter, 2015: sleep = random_between(0, min(cap, base * 2 ** attempt)).
    """
    ceiling = min(max_s, first_s * 2 ** min(tries - 1, 60))
    return random.Random(f"{seed} {tries}").uniform(0.0, ceiling)


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait as Retry-After says, in seconds or as a date; None if it says nothing that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:12])
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds())
    return None
