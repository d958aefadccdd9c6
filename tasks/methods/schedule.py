"""Schedule requests: which one may start now, out of queues per host, buckets per registrable domain and what hosts asked for.

Hosts take turns, so that none is stormed. A host that has not answered yet gets one request: those that never do hold one slot each.
No clock here: times are handed in, in seconds.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from tasks.methods.throttle import Bucket

J = TypeVar("J")
MAX_HOSTS = 100_000  # that are remembered; the one that was idle longest is forgotten first
FOR_EVER = float("inf")
SILENCE = ("dns", "timeout", "no_route")  # what comes of a host that isn't there


@dataclass(eq=False)
class Host(Generic[J]):
    """What is known of a host in this run."""

    bucket: Bucket
    queue: deque[J] = field(default_factory=deque)
    active: int = 0
    answered: bool = False
    timeouts: int = 0  # in a row
    interval: float = 0.0  # between two requests: Crawl-delay
    next_at: float = 0.0
    resume_at: float = 0.0  # Retry-After
    granted: float | None = None  # when the bucket lets the next request pass
    closed: str | None = None  # the detail of all requests until `closed_until`
    closed_until: float = 0.0
    listed: bool = False
    waiting: int = 0  # retries that are not due yet


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How many requests at a time and per second; how long a pause is waited for; after how many timeouts in a row a host is given up."""

    concurrency: int
    per_host_concurrency: int
    domain_rate: float
    domain_burst: float
    max_pause_s: float
    max_timeouts: int


class Schedule(Generic[J]):
    """Jobs by host. `domain_of` says which hosts share a bucket; those of `own` servers have none."""

    def __init__(self, manners: Manners, domain_of: Callable[[str], str], own: Collection[str] = ()) -> None:
        self._manners, self._domain_of, self._own = manners, domain_of, own
        self._hosts: OrderedDict[str, Host[J]] = OrderedDict()
        self._buckets: WeakValueDictionary[str, Bucket] = WeakValueDictionary()
        self._ready: deque[Host[J]] = deque()
        self._later: list[tuple[float, int, Host[J], J | None]] = []
        self._serial = count()
        self._refused: list[tuple[J, str]] = []
        self.active = 0
        self.queued = 0

    def add(self, job: J, host: str, *, at: float = 0.0, now: float = 0.0) -> None:
        """Queue a job; one that has a time goes before the host's others when that has come (a retry)."""
        found = self.host(host)
        self.queued += 1
        if at > now:
            found.waiting += 1
            heapq.heappush(self._later, (at, next(self._serial), found, job))
            return
        found.queue.append(job)
        self._list(found)

    def take(self, now: float) -> J | None:
        """A job that may start now, None if there is none or all slots are taken."""
        self._wake(now)
        while self._ready and self.active < self._manners.concurrency:
            host = self._ready.popleft()
            host.listed = False
            start = self._start(host, now)
            if start is None:
                continue
            if start > now:
                self._hold(host, start)
                continue
            host.granted = None
            host.next_at = now + host.interval
            host.active += 1
            self.active += 1
            self.queued -= 1
            job = host.queue.popleft()
            self._list(host)
            return job
        return None

    def finish(self, host: str) -> None:
        """A job of this host has ended, and its slot is free."""
        found = self.host(host)
        found.active -= 1
        self.active -= 1
        self._list(found)

    def refused(self) -> Iterator[tuple[J, str]]:
        """Jobs that are not to be started at all, with the detail that says why."""
        while self._refused:
            yield self._refused.pop()

    def next_at(self) -> float | None:
        """When the next held host or retry is due."""
        return self._later[0][0] if self._later else None

    def idle(self, now: float) -> bool:
        """Whether slots stay free because nothing that is queued may start now."""
        self._wake(now)
        return self.active < self._manners.concurrency and not self._ready

    def admit(self, host: str, now: float) -> float:
        """For a request within a job (a redirect, a robots.txt): when it may start. Its host's bucket is charged."""
        found = self.host(host)
        start = max(found.bucket.reserve(now), found.resume_at, found.next_at)
        found.next_at = start + found.interval
        return start

    def answered(self, host: str) -> bool:
        """Somebody is there; whether that is news."""
        found = self.host(host)
        news = not found.answered
        found.answered = True
        self._list(found)
        return news

    def ended(self, host: str, detail: str | None) -> None:
        """A request had its tries: close the host if it never answered, or if too many in a row timed out."""
        found = self.host(host)
        found.timeouts = found.timeouts + 1 if detail == "timeout" else 0
        if (detail in SILENCE and not found.answered) or found.timeouts >= self._manners.max_timeouts:
            self._close(found, detail or "timeout", FOR_EVER)

    def pause(self, host: str, until: float) -> None:
        """Nothing goes to this host before `until`."""
        found = self.host(host)
        found.resume_at = max(found.resume_at, until)

    def slow_down(self, host: str, interval: float, now: float) -> None:
        """At least so many seconds between two requests, of which one begins now."""
        found = self.host(host)
        found.interval = interval
        found.next_at = max(found.next_at, now + interval)

    def host(self, name: str) -> Host[J]:
        """What is known of a host; it is the one used last from now on."""
        found = self._hosts.get(name)
        if found is None:
            self._forget_idle()
            found = self._hosts[name] = Host(self._bucket(name))
        else:
            self._hosts.move_to_end(name)
        return found

    def _bucket(self, name: str) -> Bucket:
        if name in self._own:
            return Bucket(FOR_EVER, 1.0)
        domain = self._domain_of(name)
        bucket = self._buckets.get(domain)
        if bucket is None:
            bucket = self._buckets[domain] = Bucket(self._manners.domain_rate, self._manners.domain_burst)
        return bucket

    def _start(self, host: Host[J], now: float) -> float | None:
        """When the host's next job may start; None if it has none, or no room, or is closed."""
        held = max(host.resume_at, host.next_at)
        if host.closed is None and host.queue and held - now > self._manners.max_pause_s:
            self._close(host, "retry_later", held)
        if host.closed is not None and now < host.closed_until:
            self._refuse(host)
            return None
        host.closed = None
        room = self._manners.per_host_concurrency if host.answered else 1
        if not host.queue or host.active >= room:
            return None
        if host.granted is None:
            host.granted = host.bucket.reserve(now)
        return max(held, host.granted)

    def _close(self, host: Host[J], detail: str, until: float) -> None:
        host.closed, host.closed_until = detail, until
        self._refuse(host)

    def _refuse(self, host: Host[J]) -> None:
        self._refused += [(job, host.closed or "") for job in host.queue]
        self.queued -= len(host.queue)
        host.queue.clear()

    def _list(self, host: Host[J]) -> None:
        if not host.listed and host.queue:
            host.listed = True
            self._ready.append(host)

    def _hold(self, host: Host[J], until: float) -> None:
        host.listed = True
        heapq.heappush(self._later, (until, next(self._serial), host, None))

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, host, job = heapq.heappop(self._later)
            if job is None:
                host.listed = False
            else:
                host.waiting -= 1
                host.queue.appendleft(job)
            self._list(host)

    def _forget_idle(self) -> None:
        for _ in range(min(8, max(0, len(self._hosts) - MAX_HOSTS))):
            name, host = next(iter(self._hosts.items()))
            if host.active or host.queue or host.waiting:
                self._hosts.move_to_end(name)
            else:
                del self._hosts[name]
