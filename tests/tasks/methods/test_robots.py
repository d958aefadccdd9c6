import asyncio

import pytest
from yarl import URL

from tasks.methods.failures import Failure
from tasks.methods.robots import Robots

RULES = b"User-agent: *\nDisallow: /private/\n\nUser-agent: sluice\nDisallow: /secret/\n"


def verdicts(agent: str, answer: bytes | Failure, *urls: str) -> tuple[list[str | None], list[str]]:
    asked: list[str] = []

    async def read(url: URL) -> bytes:
        asked.append(str(url))
        if isinstance(answer, Failure):
            raise answer
        return answer

    async def run() -> list[str | None]:
        robots, details, under_way = Robots(agent), [], {}
        for url in urls:
            try:
                await robots.check(URL(url), read, under_way)
                details.append(None)
            except Failure as failure:
                details.append(failure.detail)
        return details

    return asyncio.run(run()), asked


def test_rules_are_read_once_per_site() -> None:
    urls = ["http://a.example/1.jpg", "http://a.example/private/1.jpg", "http://a.example:80/2.jpg", "https://a.example/private/1.jpg"]
    details, asked = verdicts("other", RULES, *urls)
    assert details == [None, "robots", None, "robots"]
    assert asked == ["http://a.example/robots.txt", "https://a.example/robots.txt"]


def test_the_agents_own_group_counts() -> None:
    details, _ = verdicts("sluice", RULES, "http://a.example/private/1.jpg", "http://a.example/secret/1.jpg")
    assert details == [None, "robots"]


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        (Failure("http_404", http_status=404), None),
        (Failure("http_403", http_status=403), None),
        (Failure("empty", http_status=200), None),
        (Failure("redirect_loop"), None),
        (Failure("http_429", http_status=429), "robots_unreachable"),
        (Failure("http_500", http_status=500), "robots_unreachable"),
        (Failure("bad_http"), "robots_unreachable"),
        (Failure("dns"), "dns"),
        (Failure("timeout"), "timeout"),
        (Failure("blocked_address"), "blocked_address"),
    ],
)
def test_a_robots_txt_that_cannot_be_read(failure: Failure, detail: str | None) -> None:
    assert verdicts("sluice", failure, "http://a.example/1.jpg")[0] == [detail]


def test_bytes_that_are_no_text_allow_everything() -> None:
    assert verdicts("sluice", bytes(range(256)), "http://a.example/1.jpg")[0] == [None]


SITE = {
    "/robots.txt": b"User-agent: *\nDisallow: /private/\nCrawl-delay: 3\n\nUser-agent: sluice\nCrawl-delay: 2.5\n",
    "/ai.txt": b"User-Agent: *\nDisallow: *.png\n",
    "/.well-known/tdmrep.json": b'[{"location": "/art/", "tdm-reservation": 1}, {"location": "/art/free/", "tdm-reservation": 0}]',
}


def asked_for(honoured: set[str], *paths: str) -> tuple[list[str | float | None], list[str]]:
    asked: list[str] = []

    async def read(url: URL) -> bytes:
        asked.append(url.path)
        if url.path not in SITE:
            raise Failure("http_404", http_status=404)
        return SITE[url.path]

    async def run() -> list[str | float | None]:
        robots, found, under_way = Robots("sluice", frozenset(honoured)), [], {}
        for path in paths:
            try:
                found.append(await robots.check(URL(f"http://a.example{path}"), read, under_way))
            except Failure as failure:
                found.append(failure.detail)
        return found

    return asyncio.run(run()), asked


def test_only_the_files_of_honoured_wishes_are_read() -> None:
    paths = ("/private/1.jpg", "/1.png", "/art/1.jpg", "/art/free/1.jpg")
    assert asked_for({"ai_txt"}, *paths) == ([0.0, "ai_txt", 0.0, 0.0], ["/ai.txt"])
    assert asked_for({"tdm_file"}, *paths) == ([0.0, 0.0, "tdm", 0.0], ["/.well-known/tdmrep.json"])
    found, asked = asked_for({"robots", "ai_txt", "tdm_file"}, *paths)
    assert found == [2.5, "ai_txt", "tdm", 2.5]
    assert asked == ["/robots.txt", "/ai.txt", "/.well-known/tdmrep.json"]


def test_a_site_that_is_not_there_is_asked_for_one_file() -> None:
    asked: list[str] = []

    async def read(url: URL) -> bytes:
        asked.append(url.path)
        raise Failure("timeout")

    async def run() -> None:
        with pytest.raises(Failure, match="timeout"):
            await Robots("sluice", frozenset({"robots", "ai_txt"})).check(URL("http://a.example/1.jpg"), read, {})

    asyncio.run(run())
    assert asked == ["/robots.txt"]
