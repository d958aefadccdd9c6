"""Throttle: when the next unit may be used, out of a rate and a burst."""

import math
from dataclasses import dataclass, field


@dataclass
class Bucket:
    """A token bucket: `burst` units at once, then `rate` units per second. An infinite rate lets everything pass.

    Units are lent: what is taken beyond the burst is paid back by waiting, so that many askers are served in the order in which they came.
    """

    rate: float
    burst: float
    _level: float = field(init=False)
    _at: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.burst > 0):
            raise ValueError(f"a bucket needs a positive rate and burst, got {self.rate} and {self.burst}")
        self._level = self.burst

    def reserve(self, now: float, amount: float = 1.0) -> float:
        """Take `amount` units out and say from when on they may be used: `now`, or later. Times in seconds."""
        if math.isinf(self.rate):
            return now
        self._fill(now)
        self._level -= amount
        return self.free_at(now)

    def free_at(self, now: float) -> float:
        """When all that was taken is paid back."""
        if math.isinf(self.rate):
            return now
        self._fill(now)
        return now if self._level >= 0 else now - self._level / self.rate

    def _fill(self, now: float) -> None:
        if self._at != -math.inf:
            self._level = min(self.burst, self._level + max(0.0, now - self._at) * self.rate)
        self._at = max(now, self._at)
