import asyncio
import gzip
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from tasks.methods.addresses import AddressRules
from tasks.methods.fetch import Fetcher
from tasks.methods.requests import Fetched, Limits, Request
from tasks.methods.robots import Robots

LIMITS = Limits(
    concurrency=16, per_host_concurrency=16, domain_rate=inf, domain_burst=1.0, max_pause_s=5.0, max_timeouts=20,
    attempts=3, deadline_s=3.0, max_redirects=3, max_bytes=100_000, backoff_s=0.01, bandwidth=inf,
)  # fmt: skip
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


def make_fetcher(address: str, limits: Limits = LIMITS, robots: bool = False) -> Fetcher:
    return Fetcher(
        limits=limits,
        agent="sluice/0 (+https://example.org/bot)",
        rules=AddressRules(connect={"demo.test": address}),
        robots=Robots("sluice") if robots else None,
        honoured=frozenset({"noai", "tdm_header"}),
    )


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
            async with make_fetcher(address, limits, robots) as fetcher:
                fetcher.add(map(Request, [*(f"http://demo.test{path}" for path in paths), *urls]))
                found = {}
                while fetcher.waiting:
                    fetched = await fetcher.next()
                    assert fetched is not None
                    found[fetched.url.removeprefix("http://demo.test")] = fetched
            return found, asked

    return asyncio.run(go())


def detail_of(*answers: Answer, limits: Limits = LIMITS) -> tuple[str | None, int]:
    found, _ = run({"/x": answers}, ["/x"], limits=limits)
    return found["/x"].detail, found["/x"].attempts


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


@pytest.mark.parametrize("hostile", [trickle, silence])
def test_no_server_holds_a_request_beyond_its_deadline(hostile: Answer) -> None:
    began = time.monotonic()
    assert detail_of(hostile, limits=replace(LIMITS, deadline_s=0.6))[0] == "timeout"
    assert time.monotonic() - began < 2.0


def test_a_stalled_try_leaves_time_for_another() -> None:
    assert detail_of(silence, answer(), limits=replace(LIMITS, deadline_s=1.5)) == (None, 2)


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
    async with make_fetcher(address) as fetcher:
        fetcher.add([Request(url)])
        fetched = await fetcher.next()
        assert fetched is not None
        return fetched


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
        async with site({"/x": [answer()], "/y": [silence]}) as (address, asked):
            async with make_fetcher(address) as fetcher:
                fetcher.add(map(Request, ["http://demo.test/x", "http://demo.test/x", "http://demo.test/y"]))
                fetched = await fetcher.next()
                assert fetched is not None
                assert fetched.url == "http://demo.test/x"
                assert await fetcher.next(until=asyncio.get_running_loop().time() + 0.05) is None
            assert asked["/x"] == 1
            return len(asyncio.all_tasks()) - 1

    assert asyncio.run(go()) <= 2  # only the site's own tasks


def test_the_user_agent_is_sent_and_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert detail_of(answer()) == (None, 1)


class Fetching:
    """URLs fetched under rules; results by URL, and the seconds that it took."""

    def __init__(self, rules: AddressRules, urls: Sequence[str], limits: Limits, honoured: frozenset[str]) -> None:
        self.rules, self.urls, self.limits, self.honoured = rules, urls, limits, honoured
        self.seconds = 0.0

    async def run(self) -> dict[str, Fetched]:
        began = time.monotonic()
        robots = Robots("sluice", self.honoured) if self.honoured & {"robots", "ai_txt", "tdm_file"} else None
        found = {}
        async with Fetcher(limits=self.limits, agent="sluice", rules=self.rules, robots=robots, honoured=self.honoured) as fetcher:
            fetcher.add(map(Request, self.urls))
            while fetcher.waiting:
                fetched = await fetcher.next()
                assert fetched is not None
                found[fetched.url] = fetched
        self.seconds = time.monotonic() - began
        return found


@pytest.mark.parametrize("with_robots", [False, True])
def test_hosts_that_never_answer_cost_one_deadline_altogether(with_robots: bool) -> None:
    limits = replace(LIMITS, concurrency=24, deadline_s=1.0, attempts=2)
    urls = [f"http://h{n}.test/{m}" for m in range(3) for n in range(200)]

    async def go() -> tuple[float, Counter[str | None]]:
        async with site({"/robots.txt": [answer(b"User-agent: *\nAllow: /\n")], **{f"/{m}": [answer()] for m in range(3)}}) as (good, _):
            with socket.create_server(("127.0.0.1", 0), backlog=100) as dead:  # connections are made, and nobody takes them up
                address = f"127.0.0.1:{dead.getsockname()[1]}"
                rules = AddressRules(connect={f"h{n}.test": address if n % 10 == 3 else good for n in range(200)})
                fetching = Fetching(rules, urls, limits, frozenset({"robots"}) if with_robots else frozenset())
                found = await fetching.run()
            return fetching.seconds, Counter(fetched.detail for fetched in found.values())

    seconds, details = asyncio.run(go())
    assert details == {None: 540, "timeout": 60}
    assert seconds < 1.0 + 2.5  # one deadline and what 540 answers take on a busy machine; 60 deadlines over 24 slots would be three


def test_a_pause_holds_for_the_whole_host_and_for_no_other() -> None:
    times: dict[str, float] = {}

    def noting(name: str) -> Answer:
        async def serve(writer: asyncio.StreamWriter) -> None:
            times[name] = time.monotonic()
            writer.write(answer())

        return serve

    answers = {
        "/busy": [answer(b"", "503 Busy", Retry_After="1"), noting("again")],
        "/other": [noting("other")],
        "/z": [noting("elsewhere")],
    }

    async def go() -> dict[str, Fetched]:
        async with site(answers) as (address, _):
            rules = AddressRules(connect={"a.test": address, "b.test": address})
            async with Fetcher(limits=LIMITS, agent="sluice", rules=rules, robots=None, honoured=frozenset()) as fetcher:
                fetcher.add([Request("http://a.test/busy"), Request("http://a.test/other"), Request("http://b.test/z")])
                found = [await fetcher.next() for _ in range(3)]
            return {fetched.url: fetched for fetched in found if fetched is not None}

    began = time.monotonic()
    found = asyncio.run(go())
    assert {fetched.detail for fetched in found.values()} == {None}
    assert times["elsewhere"] - began < 0.9
    assert min(times["other"], times["again"]) - began >= 1.0
    assert found["http://a.test/busy"].attempts == 2
    assert found["http://a.test/busy"].seconds < 0.9  # waiting for its turn is not held against it


def test_a_pause_beyond_the_limit_gives_the_rest_of_the_host_up() -> None:
    found, asked = run({"/x": [answer(b"", "429 Slow", Retry_After="3600")], "/y": [answer()]}, ["/x", "/y"])
    assert {path: (fetched.detail, fetched.attempts) for path, fetched in found.items()} == {
        "/x": ("http_429", 1),
        "/y": ("retry_later", 0),
    }
    assert asked == {"/x": 1}


def test_waiting_for_another_try_takes_no_slot() -> None:
    answers = {"/x": [answer(b"", "502 Oops"), answer()], "/y": [answer()]}
    limits = replace(LIMITS, concurrency=1, per_host_concurrency=1, backoff_s=2.0)
    began = time.monotonic()

    async def go() -> list[str]:
        async with site(answers) as (address, _), make_fetcher(address, limits) as fetcher:
            fetcher.add(map(Request, ["http://demo.test/x", "http://demo.test/y"]))
            found = [await fetcher.next() for _ in range(2)]
            return [fetched.url[-1] for fetched in found if fetched is not None]

    assert asyncio.run(go()) == ["y", "x"]
    assert time.monotonic() - began < 4


def test_requests_to_a_domain_keep_its_rate_unless_its_server_is_the_crawls_own() -> None:
    limits = replace(LIMITS, domain_rate=10.0, domain_burst=2.0)
    answers = {f"/{n}": [answer()] for n in range(8)}

    async def go() -> float:
        async with site(answers) as (address, _):
            rules = AddressRules(frozenset({"127.0.0.1"}))
            fetching = Fetching(rules, [f"http://{address}{path}" for path in answers], limits, frozenset())
            assert {fetched.detail for fetched in (await fetching.run()).values()} == {None}
            return fetching.seconds

    assert 0.6 <= asyncio.run(go()) < 3.0
    began = time.monotonic()
    run(answers, list(answers), limits=limits)
    assert time.monotonic() - began < 0.5


def test_bandwidth_is_kept() -> None:
    limits = replace(LIMITS, bandwidth=200_000.0)
    answers = {f"/{n}": [answer(bytes(50_000))] for n in range(10)}
    began = time.monotonic()
    found, _ = run(answers, list(answers), limits=limits)
    assert {fetched.detail for fetched in found.values()} == {None}
    assert 1.4 <= time.monotonic() - began < 6.0  # half a megabyte, of which a second's worth may come at once


def test_nothing_begins_outside_the_windows() -> None:
    now = [datetime(2026, 5, 1, 11, 59, 59, 600_000, tzinfo=UTC)]

    async def go() -> list[float]:
        async with site({"/x": [answer()]}) as (address, asked):
            limits = replace(LIMITS, windows=("12:00-13:00",))
            rules, began = AddressRules(connect={"demo.test": address}), asyncio.get_running_loop().time()

            def clock() -> datetime:
                return now[0] + timedelta(seconds=asyncio.get_running_loop().time() - began)

            async with Fetcher(limits=limits, agent="sluice", rules=rules, robots=None, honoured=frozenset(), clock=clock) as fetcher:
                fetcher.add([Request("http://demo.test/x")])
                assert await fetcher.next(until=began + 0.3) is None
                assert not asked
                fetched = await fetcher.next()
                assert fetched is not None
                assert fetched.detail is None
                return [asyncio.get_running_loop().time() - began]

    assert asyncio.run(go())[0] >= 0.4


def test_a_crawl_delay_is_kept() -> None:
    answers = {"/robots.txt": [answer(b"User-agent: *\nCrawl-delay: 0.4\n")], "/x": [answer()], "/y": [answer()], "/z": [answer()]}
    began = time.monotonic()
    found, _ = run(answers, ["/x", "/y", "/z"], robots=True)
    assert {fetched.detail for fetched in found.values()} == {None}
    assert time.monotonic() - began >= 0.8


def test_opt_outs_of_headers_and_site_files_have_their_own_details() -> None:
    answers = {
        "/ai.txt": [answer(b"User-Agent: *\nDisallow: *.png$\n")],
        "/.well-known/tdmrep.json": [answer(b'[{"location": "/art/", "tdm-reservation": 1}]')],
        "/a.png": [answer()],
        "/art/b": [answer()],
        "/c": [answer(TDM_Reservation="1", TDM_Policy="https://example.org/policy")],
        "/d": [answer(X_Robots_Tag="otherbot: noai, sluice: noimageai")],
        "/e": [answer(X_Robots_Tag="noindex")],
        "/f": [redirect("/art/b")],
    }

    async def go() -> dict[str, str | None]:
        async with site(answers) as (address, asked):
            honoured = frozenset({"noimageai", "noindex", "ai_txt", "tdm_header", "tdm_file"})
            urls = [f"http://demo.test{path}" for path in ("/a.png", "/art/b", "/c", "/d", "/e", "/f")]
            found = await Fetching(AddressRules(connect={"demo.test": address}), urls, LIMITS, honoured).run()
            assert not {"/robots.txt", "/a.png", "/art/b"} & set(asked)
            return {url.removeprefix("http://demo.test"): fetched.detail for url, fetched in found.items()}

    assert asyncio.run(go()) == {"/a.png": "ai_txt", "/art/b": "tdm", "/c": "tdm", "/d": "noimageai", "/e": "noindex", "/f": "tdm"}


def test_a_version_that_is_there_is_asked_about() -> None:
    seen: list[bytes] = []

    async def go() -> list[Fetched]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head)
            unchanged = b'If-None-Match: "v1"' in head
            writer.write(answer(b"", "304 Not Modified", ETag='"v1"') if unchanged else answer(ETag='"v2"', Last_Modified="yesterday"))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, make_fetcher(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as fetcher:
            found = []
            for request in (
                Request("http://demo.test/a", etag='"v1"', last_modified="Mon, 01 Jan 2026 00:00:00 GMT"),
                Request("http://demo.test/b", etag='"v0"'),
            ):
                fetcher.add([request])
                fetched = await fetcher.next()
                assert fetched is not None
                found.append(fetched)
            return found

    same, other = asyncio.run(go())
    assert (same.detail, same.unchanged, same.http_status, same.body, same.etag) == (None, True, 304, b"", '"v1"')
    assert (other.detail, other.unchanged, other.body, other.etag, other.last_modified) == (None, False, BODY, '"v2"', "yesterday")
    assert b"If-Modified-Since: Mon, 01 Jan 2026 00:00:00 GMT" in seen[0]
    assert b"If-Modified-Since" not in seen[1]
    assert detail_of(answer(b"", "304 Not Modified")) == ("http_304", 1)


def test_a_proxy_is_used_if_it_is_asked_for() -> None:
    async def go() -> tuple[list[str], Fetched | None, Fetched | None]:
        asked: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
            writer.write(answer())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        rules = AddressRules(proxy=f"http://{address}")
        async with server, Fetcher(limits=LIMITS, agent="sluice", rules=rules, robots=None, honoured=frozenset()) as fetcher:
            fetcher.add([Request("http://far.example/x")])
            through = await fetcher.next()
            fetcher.add([Request(f"http://{address}/admin")])
            return asked, through, await fetcher.next()

    asked, through, refused = asyncio.run(go())
    assert asked == ["GET http://far.example/x HTTP/1.1"]
    assert through is not None
    assert through.detail is None
    assert refused is not None
    assert refused.detail == "blocked_port"


def test_what_is_dropped_gives_no_result_and_frees_its_slot() -> None:
    async def go() -> None:
        limits = replace(LIMITS, concurrency=1)
        async with site({"/slow": [silence], "/x": [answer()]}) as (address, _), make_fetcher(address, limits) as fetcher:
            fetcher.add(map(Request, ["http://demo.test/slow", "http://demo.test/x"]))
            assert await fetcher.next(until=asyncio.get_running_loop().time() + 0.1) is None
            assert fetcher.waiting == 2
            fetcher.drop(["http://demo.test/slow", "http://demo.test/unknown"])
            fetched = await fetcher.next(until=asyncio.get_running_loop().time() + 2.0)
            assert fetched is not None
            assert fetched.url == "http://demo.test/x"
            assert fetcher.waiting == 0

    asyncio.run(go())


def test_fifty_milliseconds_on_every_answer_are_hidden() -> None:
    def seconds(latency: float) -> float:
        async def late(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(latency)
            writer.write(answer())

        answers = {f"/{n}": [late] for n in range(256)}
        began = time.monotonic()
        found, _ = run(answers, list(answers), limits=replace(LIMITS, concurrency=128, per_host_concurrency=128))
        assert len(found) == 256
        return time.monotonic() - began

    assert seconds(0.05) < seconds(0.0) + 0.05 * (256 / 128 + 2) + 0.3
