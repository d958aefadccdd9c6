"""Fetch: bytes, or the reason why there are none, for every URL, politely and within bounds.

Every bound stands outside the socket: a deadline over all tries of a request, a byte budget before and after decompression, a limit of
redirects. URLs are added while others are under way, so that the slow end of one shard is the busy beginning of the next one.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from yarl import URL

from tasks.methods.addresses import AddressRules, check_url
from tasks.methods.backoff import backoff_s
from tasks.methods.domains import registrable_domain
from tasks.methods.failures import Failure, reason_of
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of
from tasks.methods.requests import Fetched, Limits, Request, host_of
from tasks.methods.robots import MAX_BYTES, MAX_REDIRECTS, Robots
from tasks.methods.schedule import Schedule
from tasks.methods.throttle import Bucket
from tasks.methods.transfer import Answer, Budget, Transfer
from tasks.methods.windows import seconds_until_open

PAUSES = frozenset({"http_429", "http_503"})  # "not now", said by the host as a whole


@dataclass(eq=False)
class Job:
    """A request on its way through its tries."""

    request: Request
    host: str
    tries: int = 0
    spent_s: float = 0.0
    running: asyncio.Task[None] | None = None
    dropped: bool = False


@dataclass(eq=False)
class Arrival:
    """A result and the slot that it keeps until somebody takes it: bodies don't pile up."""

    fetched: Fetched
    slot: str | None = field(default=None)


class Fetcher:
    """An asynchronous context: `add` requests, take results with `next`, ask `hungry` whether more could be under way.

    `agent` is the User-Agent header, its first word up to "/" the name that opt-outs know. `robots` None: no site is asked for permission.
    `honoured`: the opt-outs in headers that are obeyed.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        agent: str,
        rules: AddressRules,
        robots: Robots | None,
        honoured: frozenset[str],
        http2: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits, self._rules, self._robots, self._clock = limits, rules, robots, clock
        self._bandwidth = Bucket(limits.bandwidth, limits.bandwidth)  # a second's worth at once
        self._schedule: Schedule[Job] = Schedule(limits, registrable_domain, own=rules.connect)
        self._transfer = Transfer(
            agent=agent,
            rules=rules,
            honoured=honoured,
            stall_s=limits.deadline_s / limits.attempts,  # so that a stalled try leaves time for the others
            proxy=rules.proxy,
            answered=self._answered,
            arrived=self._arrived,
            http2=http2,
        )
        self._asked: dict[str, asyncio.Task] = {}
        self._jobs: dict[str, Job] = {}
        self._results: asyncio.Queue[Arrival | Exception] = asyncio.Queue()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._transfer.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = [*self._asked.values(), *(job.running for job in self._jobs.values() if job.running is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transfer.__aexit__(kind, error, trace)

    def add(self, requests: Iterable[Request]) -> None:
        """Queue requests; a URL that is under way already is not asked for twice."""
        for request in requests:
            if request.url not in self._jobs:
                job = self._jobs[request.url] = Job(request, host_of(request.url))
                self._schedule.add(job, job.host)
        self._pump()

    async def next(self, until: float | None = None) -> Fetched | None:
        """The next result; None if the event loop's clock passes `until` first."""
        if self._results.empty():
            try:
                async with asyncio.timeout_at(until):
                    arrival = await self._results.get()
            except TimeoutError:
                return None
        else:
            arrival = self._results.get_nowait()  # without a timer
        if isinstance(arrival, Exception):
            raise arrival
        self._jobs.pop(arrival.fetched.url, None)
        if arrival.slot is not None:
            self._schedule.finish(arrival.slot)
        self._pump()
        return arrival.fetched

    def drop(self, urls: Iterable[str]) -> None:
        """Forget requests, under way or not: no result will come of them."""
        for url in urls:
            job = self._jobs.pop(url, None)
            if job is not None:
                job.dropped = True
                if job.running is not None:
                    job.running.cancel()

    @property
    def waiting(self) -> int:
        """Requests without a result yet."""
        return len(self._jobs)

    @property
    def hungry(self) -> bool:
        """Whether more requests could be under way if there were more."""
        return self._schedule.queued < self._limits.concurrency or self._schedule.idle(self._loop.time())

    def _pump(self) -> None:
        """Start what may start, and come back when more may."""
        if self._closed:
            return
        now = self._loop.time()
        held = max(self._bandwidth.free_at(now) - now, seconds_until_open(self._limits.windows, self._clock()))
        if held <= 0:
            while (job := self._schedule.take(now)) is not None:
                if job.dropped:
                    self._schedule.finish(job.host)
                else:
                    job.running = self._loop.create_task(self._run(job))
        for job, detail in self._schedule.refused():
            if not job.dropped:
                self._results.put_nowait(Arrival(Fetched(job.request.url, detail, at=time.time(), attempts=job.tries, seconds=job.spent_s)))
        if self._alarm is not None:
            self._alarm.cancel()
        due = now + held if held > 0 else self._schedule.next_at()
        self._alarm = self._loop.call_at(due, self._pump) if due is not None else None

    async def _run(self, job: Job) -> None:
        """One try, and what follows from it: a result, or another try later."""
        try:
            result: Arrival | Exception | None = await self._try(job)
        except asyncio.CancelledError:
            self._schedule.finish(job.host)
            self._loop.call_soon(self._pump)
            raise
        except Exception as error:  # noqa: BLE001  raised where the results are taken
            result = error
        job.running = None
        if result is None:
            self._schedule.finish(job.host)
            self._pump()
        else:
            self._results.put_nowait(result)

    async def _try(self, job: Job) -> Arrival | None:
        began = self._loop.time()
        url = job.request.url
        try:
            target = check_url(url, self._rules)
            await self._permit(target)
            began = self._loop.time()  # a site's robots.txt has a deadline of its own
            async with asyncio.timeout(self._limits.deadline_s - job.spent_s):
                job.tries += 1
                budget = Budget(max_bytes=self._limits.max_bytes, max_redirects=self._limits.max_redirects, headers=job.request.headers)
                answer = await self._transfer.get(target, budget, self._before)
            self._schedule.ended(job.host, None)
            return Arrival(self._result(job, began, answer), job.host)
        except NETWORK_ERRORS as error:
            failure = failure_of(error)
        now = self._loop.time()
        wait = self._wait_after(job, failure)
        if wait is not None and job.spent_s + now - began < self._limits.deadline_s:
            job.spent_s += now - began
            self._schedule.add(job, job.host, at=now + wait, now=now)
            return None
        self._schedule.ended(job.host, failure.detail)
        seconds = job.spent_s + now - began
        return Arrival(Fetched(url, failure.detail, b"", failure.http_status, job.tries, seconds, at=time.time()), job.host)

    def _result(self, job: Job, began: float, answer: Answer) -> Fetched:
        seconds = job.spent_s + self._loop.time() - began
        return Fetched(
            job.request.url,
            body=answer.body,
            http_status=304 if answer.unchanged else 200,
            attempts=job.tries,
            seconds=seconds,
            etag=answer.etag,
            last_modified=answer.last_modified,
            unchanged=answer.unchanged,
            at=time.time(),
        )

    def _wait_after(self, job: Job, failure: Failure) -> float | None:
        """Seconds until another try, None if there is none; a host that says "not now" is left alone as a whole."""
        limits = self._limits
        wait = backoff_s(job.request.url, max(1, job.tries), first_s=limits.backoff_s, max_s=limits.max_pause_s)
        if failure.detail in PAUSES and (failure.retry_after or failure.detail == "http_429"):
            wait = max(wait, failure.retry_after)
            self._schedule.pause(job.host, self._loop.time() + wait)
        if not failure.retryable or job.tries >= limits.attempts or wait > limits.max_pause_s:
            return None
        return wait

    async def _before(self, url: URL) -> None:
        """What a redirect's target has to pass beside the check of its address."""
        await self._permit(url)
        await self._turn(url)

    async def _turn(self, url: URL) -> None:
        await asyncio.sleep(self._schedule.admit(url.host or "", self._loop.time()) - self._loop.time())

    async def _permit(self, url: URL) -> None:
        if self._robots is None:
            return
        host = url.host or ""
        try:
            delay = await self._robots.check(url, self._read_site_file, self._asked)
        except Failure as failure:
            if reason_of(failure.detail) == "disallowed":
                self._answered(host)
            raise
        if delay:
            self._schedule.slow_down(host, delay * self._limits.share, self._loop.time())
        self._answered(host)

    async def _read_site_file(self, url: URL) -> bytes:
        """A robots.txt or the like, with its own tries and its own deadline; its redirects are checked for their addresses alone."""
        budget = Budget(max_bytes=MAX_BYTES, max_redirects=MAX_REDIRECTS, cut=True)
        async with asyncio.timeout(self._limits.deadline_s):
            for tries in range(1, self._limits.attempts + 1):
                try:
                    return (await self._transfer.get(url, budget, self._turn)).body
                except NETWORK_ERRORS as error:
                    failure = failure_of(error)
                wait = max(failure.retry_after, backoff_s(str(url), tries, first_s=self._limits.backoff_s, max_s=self._limits.max_pause_s))
                if not failure.retryable or tries == self._limits.attempts or wait > self._limits.deadline_s:
                    raise failure
                await asyncio.sleep(wait)
        raise Failure("timeout")

    def _answered(self, host: str) -> None:
        if self._schedule.answered(host):
            self._loop.call_soon(self._pump)

    async def _arrived(self, size: int) -> None:
        now = self._loop.time()
        free_at = self._bandwidth.reserve(now, size)
        if free_at > now:
            await asyncio.sleep(free_at - now)
