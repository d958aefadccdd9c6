"""Fetch: bytes, or the reason why there are none, for every URL, politely and within bounds.

Every bound stands outside the socket: a deadline over all tries of a request, a byte budget before and after decompression, a limit of
redirects, and a deadline over all requests together, so that no server can hold a run.
"""

import asyncio
import random
import time
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from tasks.methods.addresses import AddressRules, CheckedResolver, check_url
from tasks.methods.failures import Failure
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of
from tasks.methods.robots import MAX_BYTES, MAX_REDIRECTS, Robots, opted_out

REDIRECTS = frozenset({301, 302, 303, 307, 308})
BACKOFF_S = 0.5  # before the second try, doubled for each one after it, half to one and a half times at random
ANY_COMPRESSION = 47  # zlib: gzip or zlib framing, whichever it is


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on requests. `deadline_s` holds for all tries and redirects of a URL, `total_deadline_s` for all URLs together."""

    concurrency: int
    per_host_concurrency: int
    attempts: int
    deadline_s: float
    total_deadline_s: float
    max_redirects: int
    max_bytes: int


@dataclass(frozen=True)
class Fetched:
    """What came of a URL: `body` if `detail` is None."""

    url: str
    detail: str | None = None
    body: bytes = b""
    http_status: int | None = None
    attempts: int = 0
    seconds: float = 0.0

    @property
    def status(self) -> str:
        return "ok" if self.detail is None else "failed"


class Fetcher:
    """An asynchronous context. `agent` is the User-Agent header, its first word up to "/" the name that robots.txt knows.
    `robots` None: robots.txt is not asked for. `opt_out`: directives of X-Robots-Tag that are obeyed.
    """

    def __init__(self, *, limits: Limits, agent: str, rules: AddressRules, robots: Robots | None, opt_out: frozenset[str]) -> None:
        self._limits, self._rules, self._robots, self._opt_out = limits, rules, robots, opt_out
        self._agent = agent
        self._asked: dict[str, asyncio.Task] = {}
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._hosts: dict[str, asyncio.Semaphore] = {}

    async def __aenter__(self) -> Self:
        # One try in `attempts` may stall to connect or between two reads without using up the deadline of the others.
        share = self._limits.deadline_s / self._limits.attempts
        resolver = CheckedResolver(self._rules)
        connector = aiohttp.TCPConnector(
            resolver=resolver, socket_factory=resolver.open_socket, limit=0, ttl_dns_cache=600, keepalive_timeout=15
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=share, sock_read=share),
            headers={"User-Agent": self._agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        readings = list(self._asked.values())
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        await self._session.close()

    async def fetch_all(self, urls: Sequence[str]) -> AsyncGenerator[Fetched, None]:
        """One result per URL, as they come. What has not ended by `total_deadline_s` is `shard_timeout`."""
        results: asyncio.Queue[Fetched | Exception | None] = asyncio.Queue(maxsize=self._limits.concurrency)
        waiting = dict.fromkeys(urls)
        tasks = [asyncio.create_task(self._serve(url, results)) for url in waiting]
        tasks.append(asyncio.create_task(self._ring(results)))
        try:
            while waiting:
                result = await results.get()
                if result is None:
                    break
                if isinstance(result, Exception):
                    raise result
                del waiting[result.url]
                yield result
                await asyncio.sleep(0)  # a full queue must not keep the sockets from being read
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for url in waiting:
            yield Fetched(url, "shard_timeout", seconds=self._limits.total_deadline_s)

    async def _ring(self, results: asyncio.Queue[Fetched | Exception | None]) -> None:
        await asyncio.sleep(self._limits.total_deadline_s)
        await results.put(None)

    async def _serve(self, url: str, results: asyncio.Queue[Fetched | Exception | None]) -> None:
        """Fetch when there is a free slot, which is kept until the result has been taken in: bodies don't pile up."""
        async with self._host_slot(url), self._slots:
            try:
                result: Fetched | Exception = await self.fetch(url)
            except Exception as error:
                await results.put(error)
                raise
            await results.put(result)

    def _host_slot(self, url: str) -> asyncio.Semaphore:
        try:
            host = URL(url).host or ""
        except ValueError:
            host = ""
        return self._hosts.setdefault(host, asyncio.Semaphore(self._limits.per_host_concurrency))

    async def fetch(self, url: str) -> Fetched:
        """One URL, whatever it takes: at most the time for its site's robots.txt, and then `deadline_s`."""
        began = time.monotonic()
        tries = [0]
        try:
            target = check_url(url, self._rules)
            await self._permit(target)
            body = await self._within_deadline(target, self._limits.max_bytes, self._limits.max_redirects, tries=tries)
            return Fetched(url, None, body, 200, tries[0], time.monotonic() - began)
        except NETWORK_ERRORS as error:
            failure = failure_of(error)
            return Fetched(url, failure.detail, b"", failure.http_status, tries[0], time.monotonic() - began)

    async def _permit(self, url: URL) -> None:
        if self._robots is not None:
            await self._robots.check(url, self._read_robots, self._asked)

    async def _read_robots(self, url: URL) -> bytes:
        return await self._within_deadline(url, MAX_BYTES, MAX_REDIRECTS, tries=[0], is_robots=True)

    async def _within_deadline(self, url: URL, max_bytes: int, max_redirects: int, *, tries: list[int], is_robots: bool = False) -> bytes:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.deadline_s
        async with asyncio.timeout_at(end):
            while True:
                tries[0] += 1
                try:
                    return await self._follow(url, max_bytes, max_redirects, is_robots)
                except NETWORK_ERRORS as error:
                    failure = failure_of(error)
                backoff = BACKOFF_S * 2 ** (tries[0] - 1) * (0.5 + random.random())
                pause = max(backoff, failure.retry_after)
                if not failure.retryable or tries[0] >= self._limits.attempts or loop.time() + pause >= end:
                    raise failure
                await asyncio.sleep(pause)

    async def _follow(self, url: URL, max_bytes: int, max_redirects: int, is_robots: bool) -> bytes:
        """Go from redirect to redirect; each address is checked, and asked about, as the first one was."""
        seen = {url}
        while True:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    return await self._body(response, max_bytes, cut=is_robots)
                url = check_url(_join(url, response.headers["Location"]), self._rules)
            if url in seen:
                raise Failure("redirect_loop")
            if len(seen) > max_redirects:
                raise Failure("too_many_redirects")
            seen.add(url)
            if not is_robots:
                await self._permit(url)

    async def _body(self, response: aiohttp.ClientResponse, max_bytes: int, cut: bool) -> bytes:
        """The body, read within the budget. `cut`: what goes beyond it is left out instead of refused."""
        if response.status != 200:
            retry_after = _retry_after(response.headers.get("Retry-After"))
            raise Failure(f"http_{response.status}", http_status=response.status, retry_after=retry_after)
        name = self._agent.partition("/")[0]
        if not cut and opted_out(response.headers.getall("X-Robots-Tag", []), agent=name, directives=self._opt_out):
            raise Failure("noai", http_status=200)
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                break
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        body, whole = _decompressed(b"".join(parts), encoding, max_bytes)
        if max(size, len(body)) > max_bytes and not cut:
            raise Failure("too_large", http_status=200)
        if not whole and not cut:
            raise Failure("truncated", http_status=200)
        if not body:
            raise Failure("empty", http_status=200)
        return body[:max_bytes]


def _join(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location)).with_fragment(None))
    except ValueError:
        raise Failure("invalid_url") from None


def _decompressed(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """At most `max_bytes` + 1 bytes of what an answer holds, and whether it ended; servers compress although nobody asked for it."""
    if encoding in ("identity", ""):
        return body, True
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Failure("bad_encoding", http_status=200)
    inflater = zlib.decompressobj(ANY_COMPRESSION)
    try:
        return inflater.decompress(body, max_bytes + 1), inflater.eof
    except zlib.error:
        raise Failure("bad_encoding", http_status=200) from None


def _retry_after(value: str | None) -> float:
    """Seconds to wait as Retry-After says, in seconds or as a date; 0 if it says nothing that can be read."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return 0.0
