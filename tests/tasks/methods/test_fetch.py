import asyncio
import gzip
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate

import pytest

from tasks.methods import fetch
from tasks.methods.addresses import AddressRules
from tasks.methods.fetch import Fetched, Fetcher, Limits
from tasks.methods.robots import Robots

LIMITS = Limits(
    concurrency=16, per_host_concurrency=16, attempts=3, deadline_s=3.0, total_deadline_s=20.0, max_redirects=3, max_bytes=100_000
)
BODY = bytes(range(256)) * 4
DROP = None
Answer = bytes | None | Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = BODY, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body)), "Connection": "close"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return f"HTTP/1.1 {status}\r\n{''.join(f'{name}: {value}' + chr(13) + chr(10) for name, value in fields.items())}\r\n".encode() + body


def redirect(location: str) -> bytes:
    return answer(b"", "302 Found", Location=location)


@asynccontextmanager
async def site(answers: dict[str, Sequence[Answer]]) -> AsyncIterator[tuple[str, Counter[str]]]:
    """A web site on loopback that gives each path's answers in turn, the last one for ever; yields its address and what was asked for."""
    asked: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            known = answers.get(path, [answer(b"", "404 Not Found")])
            chosen = known[min(asked[path], len(known) - 1)]
            asked[path] += 1
            if callable(chosen):
                await chosen(writer)
            elif chosen is not None:
                writer.write(chosen)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4096):
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()


def run(
    answers: dict[str, Sequence[Answer]],
    paths: Sequence[str],
    *,
    limits: Limits = LIMITS,
    robots: bool = False,
    urls: Sequence[str] = (),
) -> tuple[dict[str, Fetched], Counter[str]]:
    """Fetch the paths of demo.test, and urls, from a site with these answers."""

    async def go() -> tuple[dict[str, Fetched], Counter[str]]:
        async with site(answers) as (address, asked):
            fetcher = Fetcher(
                limits=limits,
                agent="sluice/0 (+https://example.org/bot)",
                rules=AddressRules(connect={"demo.test": address}),
                robots=Robots("sluice") if robots else None,
                opt_out=frozenset({"noai"}),
            )
            found = {}
            async with fetcher, aclosing(fetcher.fetch_all([*(f"http://demo.test{path}" for path in paths), *urls])) as results:
                async for fetched in results:
                    found[fetched.url.removeprefix("http://demo.test")] = fetched
            return found, asked

    return asyncio.run(go())


def detail_of(*answers: Answer, limits: Limits = LIMITS) -> tuple[str | None, int]:
    found, _ = run({"/x": answers}, ["/x"], limits=limits)
    return found["/x"].detail, found["/x"].attempts


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "BACKOFF_S", 0.01)


def test_a_body_comes_whole() -> None:
    found, asked = run({"/x": [answer()], "/empty": [answer(b"")]}, ["/x", "/empty", "/gone"])
    assert (found["/x"].status, found["/x"].body, found["/x"].http_status, found["/x"].attempts) == ("ok", BODY, 200, 1)
    assert (found["/empty"].status, found["/empty"].detail) == ("failed", "empty")
    assert (found["/gone"].detail, found["/gone"].http_status, found["/gone"].body) == ("http_404", 404, b"")
    assert asked == {"/x": 1, "/empty": 1, "/gone": 1}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([answer(b"", "410 Gone")], ("http_410", 1)),
        ([answer(b"", "500 Oops")], ("http_500", 1)),
        ([answer(b"", "204 No Content")], ("http_204", 1)),
        ([answer(b"", "302 Found")], ("http_302", 1)),
        ([answer(b"", "503 Busy"), answer()], (None, 2)),
        ([answer(b"", "503 Busy")], ("http_503", 3)),
        ([answer(b"", "429 Slow", Retry_After="0"), answer(b"", "429 Slow"), answer()], (None, 3)),
        ([answer(b"", "429 Slow", Retry_After="60"), answer()], ("http_429", 1)),
        ([DROP], ("dropped", 3)),
        ([answer()[:-100]], ("truncated", 3)),
        ([answer()[:-100], answer()], (None, 2)),
        ([flood], ("too_large", 1)),
        ([answer(bytes(100_001))], ("too_large", 1)),
        ([answer(bytes(100_000))], (None, 1)),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], ("bad_http", 1)),
        ([answer(X_Robots_Tag="noai")], ("noai", 1)),
        ([answer(X_Robots_Tag="otherbot: noai")], (None, 1)),
        ([answer(gzip.compress(BODY), Content_Encoding="gzip")], (None, 1)),
        ([answer(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")], ("too_large", 1)),
        ([answer(gzip.compress(BODY)[:-9], Content_Encoding="gzip")], ("truncated", 3)),
        ([answer(BODY, Content_Encoding="gzip")], ("bad_encoding", 1)),
        ([answer(BODY, Content_Encoding="br")], ("bad_encoding", 1)),
    ],
)
def test_details_and_tries(answers: list[Answer], expected: tuple[str | None, int]) -> None:
    assert detail_of(*answers) == expected


def test_a_dropped_connection_is_tried_again() -> None:
    detail, attempts = detail_of(DROP, answer())
    assert detail is None
    assert attempts <= 2  # the client library tries once more by itself


def test_retry_after_is_waited_for() -> None:
    began = time.monotonic()
    assert detail_of(answer(b"", "429 Slow", Retry_After="1"), answer()) == (None, 2)
    assert 1.0 <= time.monotonic() - began < 2.5
    assert fetch._retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert fetch._retry_after("soon") == fetch._retry_after(None) == fetch._retry_after(formatdate(0)) == 0.0


@pytest.mark.parametrize("hostile", [trickle, silence])
def test_no_server_holds_a_request_beyond_its_deadline(hostile: Answer) -> None:
    began = time.monotonic()
    assert detail_of(hostile, limits=replace(LIMITS, deadline_s=0.6))[0] == "timeout"
    assert time.monotonic() - began < 2.0


def test_a_stalled_try_leaves_time_for_another() -> None:
    assert detail_of(silence, answer(), limits=replace(LIMITS, deadline_s=1.5)) == (None, 2)


def test_the_watchdog_ends_what_is_left() -> None:
    answers = {f"/{n}": [silence] for n in range(4)} | {"/x": [answer()]}
    began = time.monotonic()
    found, _ = run(answers, list(answers), limits=replace(LIMITS, deadline_s=10.0, total_deadline_s=0.5))
    assert time.monotonic() - began < 3.0
    assert Counter(fetched.detail for fetched in found.values()) == {"shard_timeout": 4, None: 1}


def test_redirects() -> None:
    answers = {
        "/x": [redirect("/a")],
        "/a": [redirect("http://demo.test/b?q=1#top")],
        "/b?q=1": [answer()],
        "/loop": [redirect("/pool")],
        "/pool": [redirect("/loop")],
        "/self": [redirect("")],
        "/bad": [redirect("http://[::1/")],
    } | {f"/{n}": [redirect(f"/{n + 1}")] for n in range(9)}
    found, asked = run(answers, ["/x", "/loop", "/self", "/bad", "/0"])
    assert {path: fetched.detail for path, fetched in found.items()} == {
        "/x": None, "/loop": "redirect_loop", "/self": "redirect_loop", "/bad": "invalid_url", "/0": "too_many_redirects",
    }  # fmt: skip
    assert "/5" not in asked


HOSTILE = {
    "http://169.254.169.254/latest/meta-data/": "blocked_address",
    "http://127.0.0.1/": "blocked_address",
    "http://[::ffff:10.0.0.1]/": "blocked_address",
    "http://rebind.example/": "blocked_address",
    "http://demo.example:8080/": "blocked_port",
    "file:///etc/passwd": "blocked_scheme",
}


@pytest.mark.parametrize(("location", "detail"), HOSTILE.items())
def test_no_redirect_leads_to_a_private_network(monkeypatch: pytest.MonkeyPatch, location: str, detail: str) -> None:
    reached: list[object] = []
    real_connect, real_look_up = socket.socket.connect, socket.getaddrinfo

    class Watched(socket.socket):
        def connect(self, address: tuple) -> None:
            reached.append(address)
            real_connect(self, address)

    def look_up(host: str, port: int, **options: object) -> list[tuple]:
        if host == "rebind.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return real_look_up(host, port, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", Watched)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found, _ = run({"/x": [redirect(location)]}, ["/x"], urls=[location])
    assert (found["/x"].detail, found[location].detail) == (detail, detail)
    assert len(set(reached)) == 1  # the site itself, and nobody else


def test_names_and_ports_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int, **options: object) -> list[tuple]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found, _ = run({}, [], urls=["http://gone.example/", "nonsense"])
    assert {url: fetched.detail for url, fetched in found.items()} == {"http://gone.example/": "dns", "nonsense": "invalid_url"}


async def fetch_at(address: str, url: str) -> Fetched:
    rules = AddressRules(connect={"demo.test": address})
    async with Fetcher(limits=LIMITS, agent="sluice", rules=rules, robots=None, opt_out=frozenset()) as fetcher:
        return await fetcher.fetch(url)


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    assert asyncio.run(fetch_at(address, "http://demo.test/x")).detail == "refused"


def test_a_site_without_trusted_tls() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())
        await reader.read()
        writer.close()

    async def go() -> Fetched:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            return await fetch_at(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "https://demo.test/x")

    assert asyncio.run(go()).detail == "tls"


def test_robots_are_asked_once_and_obeyed_on_every_hop() -> None:
    answers = {
        "/robots.txt": [answer(b"User-agent: *\nDisallow: /private/\n")],
        "/private/1": [answer()],
        "/x": [answer()],
        "/y": [redirect("/private/1")],
    }
    found, asked = run(answers, ["/x", "/private/1", "/y"], robots=True)
    assert {path: fetched.detail for path, fetched in found.items()} == {"/x": None, "/private/1": "robots", "/y": "robots"}
    assert asked == {"/robots.txt": 1, "/x": 1, "/y": 1}


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        ([answer(b"", "404 Not Found")], None),
        ([answer(b"", "500 Oops")], "robots_unreachable"),
        ([answer(b"", "503 Busy"), answer(b"User-agent: *\nAllow: /\n")], None),
        ([redirect("/robots.txt")], None),
        ([answer(b"User-agent: *\nDisallow: /x\n" + b"#" * 600_000)], "robots"),
        ([answer(gzip.compress(b"User-agent: *\nDisallow: /x\n"), Content_Encoding="gzip")], "robots"),
        ([DROP], "dropped"),
    ],
)
def test_robots_that_misbehave(answers: list[Answer], detail: str | None) -> None:
    found, _ = run({"/robots.txt": answers, "/x": [answer()]}, ["/x"], robots=True)
    assert found["/x"].detail == detail


def test_bounds_on_what_is_open_at_a_time() -> None:
    most, now = 0, 0

    async def count(writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(answer())

    answers = {f"/{n}": [count] for n in range(20)}
    found, _ = run(answers, list(answers), limits=replace(LIMITS, per_host_concurrency=3))
    assert {fetched.detail for fetched in found.values()} == {None}
    assert most == 3


def test_repeated_urls_come_once_and_closing_early_leaves_nothing_open() -> None:
    async def go() -> int:
        async with site({"/x": [answer()], "/y": [silence]}) as (address, _):
            rules = AddressRules(connect={"demo.test": address})
            async with Fetcher(limits=LIMITS, agent="sluice", rules=rules, robots=None, opt_out=frozenset()) as fetcher:
                async with aclosing(fetcher.fetch_all(["http://demo.test/x", "http://demo.test/x", "http://demo.test/y"])) as results:
                    async for fetched in results:
                        assert fetched.url == "http://demo.test/x"
                        break
                return len(asyncio.all_tasks()) - 1

    assert asyncio.run(go()) <= 2  # only the site's own tasks


def test_the_user_agent_is_sent_and_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert detail_of(answer()) == (None, 1)
