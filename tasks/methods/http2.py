"""Ask over HTTP/2: one connection to an https host carries many requests. Hosts that don't speak it are asked over HTTP/1.1.

Connections go where `addresses` allows, as those of the other client do.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpcore
from h2.exceptions import H2Error
from httpcore import SOCKET_OPTION
from multidict import CIMultiDict
from yarl import URL

from tasks.methods.addresses import CheckedResolver
from tasks.methods.failures import Failure

KEEPALIVE_S = 15.0
SPARE_BYTES = 65_536  # of a body that nobody wants any more, such as a redirect's, for the sake of its connection


@dataclass(frozen=True)
class Body:
    """The parts of a body as they come."""

    parts: AsyncIterator[bytes]

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.parts


@dataclass(frozen=True)
class Response:
    """An answer, with what `transfer` reads of aiohttp's."""

    status: int
    headers: CIMultiDict[str]
    content: Body


class Http2Session:
    """An asynchronous context around a pool of connections. `stall_s`: to connect, and between two reads; `headers`: of every request."""

    def __init__(self, resolver: CheckedResolver, *, stall_s: float, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._timeout = {"connect": stall_s, "read": stall_s, "write": stall_s}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=None,
            keepalive_expiry=KEEPALIVE_S,
            http2=True,
            network_backend=CheckedBackend(resolver),
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._pool.aclose()

    @asynccontextmanager
    async def get(self, url: URL, *, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """One answer, redirects included. Raises Failure, OSError."""
        fields = [(name.encode(), value.encode()) for name, value in (self._headers | dict(headers)).items()]
        try:
            asked, answer = await self._ask(url, fields)
        except Failure as failure:
            if failure.detail != "dropped":
                raise
            asked, answer = await self._ask(url, fields)  # the pool may have given a connection that was given up below
        parts, whole = parts_of(answer), False
        try:
            given = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers)
            yield Response(answer.status, given, Body(parts))
            whole = await read_out(parts)
        except Failure:
            whole = await read_out(parts)
            raise
        finally:
            if not whole:  # it would go on coming, and fill what the connection may hold unread: all its requests would stand still
                await answer.extensions["network_stream"].aclose()
            with understood("truncated"):
                await asked.__aexit__(None, None, None)

    async def _ask(self, url: URL, fields: list[tuple[bytes, bytes]]) -> tuple[AbstractAsyncContextManager, httpcore.Response]:
        asked = self._pool.stream("GET", str(url), headers=fields, extensions={"timeout": self._timeout})
        with understood("dropped"):
            return asked, await asked.__aenter__()


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connect to addresses that the resolver has checked, the next one where one doesn't answer."""

    def __init__(self, resolver: CheckedResolver) -> None:
        self._resolver, self._inner = resolver, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises Failure for a name that leads nowhere allowed."""
        found = await self._resolver.resolve(host, port)
        for place, target in enumerate(found):
            try:
                return await self._inner.connect_tcp(target["host"], target["port"], timeout, local_address, socket_options)
            except httpcore.ConnectError:
                if place == len(found) - 1:
                    raise
        raise Failure("dns")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def parts_of(answer: httpcore.Response) -> AsyncIterator[bytes]:
    """The parts of a body. Raises Failure where it ends early."""
    with understood("truncated"):
        async for part in answer.aiter_stream():
            yield part


async def read_out(parts: AsyncIterator[bytes]) -> bool:
    """Whether a body's end could be reached by reading a little more of it."""
    size = 0
    try:
        async for part in parts:
            size += len(part)
            if size > SPARE_BYTES:
                return False
    except Failure:
        return False
    return True


@contextmanager
def understood(lost: str) -> Iterator[None]:
    """Raise httpcore's errors as what they mean: OSError for a connection that doesn't come about, Failure(`lost`) for one that ends."""
    try:
        yield
    except httpcore.TimeoutException:
        raise Failure("timeout") from None
    except httpcore.ConnectError as error:
        raise reason_of_connect(error) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, H2Error):  # the last one escapes httpcore for streams beside a broken one
        raise Failure(lost) from None


def reason_of_connect(error: BaseException) -> Exception:
    """The first error beneath that the system, or TLS, gave a number."""
    beneath = error.__cause__ or error.__context__  # the pool raises anew, `from None`
    while beneath is not None:
        if isinstance(beneath, OSError) and beneath.errno is not None:
            return beneath
        beneath = beneath.__cause__ or beneath.__context__
    return Failure("dropped")
