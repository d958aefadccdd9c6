import asyncio

import pytest
from yarl import URL

from tasks.methods.failures import Failure
from tasks.methods.robots import Robots, opted_out

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


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        (["noai"], True),
        (["index, NoImageAI"], True),
        (["all", "noai"], True),
        (["noindex"], False),
        (["otherbot: noai"], False),
        (["Sluice: noai"], True),
        (["noindex, otherbot: noai"], False),
        (["unavailable_after: 25 Jun 2027 15:00:00 GMT, noai"], True),
    ],
)
def test_x_robots_tag(headers: list[str], expected: bool) -> None:
    assert opted_out(headers, agent="sluice", directives=frozenset({"noai", "noimageai"})) is expected


def test_directives_are_a_choice() -> None:
    assert opted_out(["noindex"], agent="sluice", directives={"noindex"})
    assert not opted_out(["noai"], agent="sluice", directives=set())
