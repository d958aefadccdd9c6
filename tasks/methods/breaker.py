"""Break off: say when the line, rather than the web, is dead, out of the latest results of a run."""

import math
from collections import Counter, deque

from tasks.methods.failures import NETWORK_DOWN

DOWN = NETWORK_DOWN | {"timeout"}
MIN_HOSTS = 10  # so many different hosts at once are not down by themselves


class Breaker:
    """A window over the last `window` results of a run. It trips when more than `share` of them found nobody there, and these were of
    many hosts, or of all hosts that the run has met: one dead host with thousands of images is that host's own affair. A request that
    timed out while others were answered says nothing of the line: silent hosts keep their slots to the end, and come last together.
    """

    def __init__(self, window: int, share: float) -> None:
        self._size, self._share = window, share
        self._window: deque[tuple[str, str | None]] = deque()
        self._details: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._reached = False
        self._answered_at = -math.inf

    def count(self, host: str, detail: str | None, began: float, ended: float) -> str | None:
        """Take in one result; a sentence with the figures if the breaker trips, else None. The host of an answer doesn't matter.

        `began` and `ended`: times in seconds; a request that was never made began at minus infinity.
        """
        down = detail if detail in DOWN else None
        if down is None:
            self._answered_at = max(self._answered_at, ended)
        elif down == "timeout" and began < self._answered_at:
            return None
        self._reached |= down is None
        self._window.append((host, down))
        if down is not None:
            self._details[down] += 1
            self._hosts[host] += 1
        if len(self._window) > self._size:
            self._forget(*self._window.popleft())
        failed = self._details.total()
        if len(self._window) < self._size or failed <= self._share * self._size:
            return None
        if self._reached and len(self._hosts) < MIN_HOSTS:
            return None
        details = ", ".join(f"{name} {n}" for name, n in self._details.most_common())
        return f"{failed} of the last {self._size} requests found nobody there ({details}), the limit is {self._share:.0%}"

    def _forget(self, host: str, down: str | None) -> None:
        if down is None:
            return
        for counter, key in ((self._details, down), (self._hosts, host)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
