"""Transfer: one try to get one URL, from redirect to redirect, within a budget of bytes before and after decompression."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from tasks.methods.addresses import AddressRules, CheckedResolver, check_url
from tasks.methods.backoff import retry_after_s
from tasks.methods.failures import Failure
from tasks.methods.optouts import header_opt_out

if TYPE_CHECKING:
    from tasks.methods.http2 import Http2Session, Response

REDIRECTS = frozenset({301, 302, 303, 307, 308})
WISHES = ("X-Robots-Tag", "TDM-Reservation")
ANY_COMPRESSION = 47  # zlib: gzip or zlib framing, whichever it is
Step = Callable[[URL], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """A body with what its server said about its version; `unchanged`: the version named in the request still holds."""

    body: bytes = b""
    etag: str | None = None
    last_modified: str | None = None
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Bounds of one transfer. `cut`: what goes beyond `max_bytes` is left out, not refused, and opt-outs in headers are not read."""

    max_bytes: int
    max_redirects: int
    cut: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Transfer:
    """An asynchronous context around one HTTP session, or with `http2` a second one for https.

    `agent` is the User-Agent header, its first word up to "/" the name that opt-outs know. `stall_s`: to connect, and between two reads.
    `proxy`: its URL, or None; the environment's is never used. `answered` hears of each host that gives an answer (to a request that
    is not `cut`), `arrived` is awaited with the size of each part of a body.
    """

    def __init__(
        self,
        *,
        agent: str,
        rules: AddressRules,
        honoured: frozenset[str],
        stall_s: float,
        proxy: str | None,
        answered: Callable[[str], None],
        arrived: Callable[[int], Awaitable[None]],
        http2: bool = False,
    ) -> None:
        self._agent, self._rules, self._honoured, self._stall_s = agent, rules, honoured, stall_s
        self._proxy, self._answered, self._arrived, self._http2 = proxy, answered, arrived, http2

    async def __aenter__(self) -> Self:
        resolver = CheckedResolver(self._rules)
        headers = {"User-Agent": self._agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            socket_factory=resolver.open_socket,
            limit=0,
            ttl_dns_cache=600,
            dns_cache_max_size=20_000,
            keepalive_timeout=15,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._stall_s, sock_read=self._stall_s),
            headers=headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        self._secure: Http2Session | None = None
        if self._http2 and self._proxy is None:  # through a proxy connections are tunnels of aiohttp's
            from tasks.methods.http2 import Http2Session

            self._secure = await Http2Session(resolver, stall_s=self._stall_s, headers=headers).__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._secure is not None:
            await self._secure.__aexit__(kind, error, trace)
        await self._session.close()

    async def get(self, url: URL, budget: Budget, before: Step) -> Answer:
        """Follow redirects; each address is checked, and `before` is awaited with it: the caller has seen to the first. Raises Failure."""
        seen = {url}
        while True:
            async with self._ask(url, budget) as response:
                if not budget.cut:
                    self._answered(url.host or "")
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    return await self._read(response, budget)
                url = check_url(_join(url, response.headers["Location"]), self._rules)
            if url in seen:
                raise Failure("redirect_loop")
            if len(seen) > budget.max_redirects:
                raise Failure("too_many_redirects")
            seen.add(url)
            await before(url)

    def _ask(self, url: URL, budget: Budget) -> AbstractAsyncContextManager[aiohttp.ClientResponse | Response]:
        if self._secure is not None and url.scheme == "https":
            return self._secure.get(url, headers=budget.headers)
        return self._session.get(url, allow_redirects=False, headers=budget.headers, proxy=self._proxy)

    async def _read(self, response: aiohttp.ClientResponse | Response, budget: Budget) -> Answer:
        if not budget.cut and response.status in (200, 304):
            wishes = {name: response.headers.getall(name, []) for name in WISHES}
            detail = header_opt_out(wishes, agent=self._agent.partition("/")[0], honoured=self._honoured)
            if detail is not None:
                raise Failure(detail, http_status=response.status)
        etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if response.status == 304 and budget.headers:
            return Answer(b"", etag, last_modified, unchanged=True)
        if response.status != 200:
            retry_after = retry_after_s(response.headers.get("Retry-After"))
            raise Failure(f"http_{response.status}", http_status=response.status, retry_after=retry_after or 0.0)
        return Answer(await self._body(response, budget), etag, last_modified)

    async def _body(self, response: aiohttp.ClientResponse | Response, budget: Budget) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > budget.max_bytes:
                break
            await self._arrived(len(part))
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        body, whole = decompressed(b"".join(parts), encoding, budget.max_bytes)
        if max(size, len(body)) > budget.max_bytes and not budget.cut:
            raise Failure("too_large", http_status=200)
        if not whole and not budget.cut:
            raise Failure("truncated", http_status=200)
        if not body:
            raise Failure("empty", http_status=200)
        return body[: budget.max_bytes]


def decompressed(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
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


def _join(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location)).with_fragment(None))
    except ValueError:
        raise Failure("invalid_url") from None
