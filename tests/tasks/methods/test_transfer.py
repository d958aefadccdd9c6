import asyncio
import gzip
import zlib

import pytest
from yarl import URL

from tasks.methods.addresses import AddressRules
from tasks.methods.failures import Failure
from tasks.methods.transfer import Answer, Budget, Transfer, decompressed
from tests.tasks.methods.test_fetch import BODY, answer, redirect, site


def get(answers: dict, path: str, **budget: object) -> tuple[Answer, list[str], list[str], int]:
    """The answer, the hosts that gave one, the URLs of redirects, and the bytes that arrived."""

    async def go() -> tuple[Answer, list[str], list[str], int]:
        hosts: list[str] = []
        steps: list[str] = []
        sizes: list[int] = []

        async def arrived(size: int) -> None:
            sizes.append(size)

        async def before(url: URL) -> None:
            steps.append(str(url))

        async with site(answers) as (address, _):
            transfer = Transfer(
                agent="sluice/0", rules=AddressRules(connect={"a.test": address, "b.test": address}), honoured=frozenset({"noai"}),
                stall_s=1.0, proxy=None, answered=hosts.append, arrived=arrived,
            )  # fmt: skip
            async with transfer:
                bounds = Budget(**({"max_bytes": 5000, "max_redirects": 2} | budget))  # type: ignore[arg-type]
                return await transfer.get(URL(f"http://a.test{path}"), bounds, before), hosts, steps, sum(sizes)

    return asyncio.run(go())


def test_every_hop_is_told() -> None:
    answers = {"/x": [redirect("http://b.test/y")], "/y": [redirect("/z?q=1")], "/z?q=1": [answer(ETag='"1"', Last_Modified="then")]}
    found, hosts, steps, size = get(answers, "/x")
    assert found == Answer(BODY, '"1"', "then")
    assert hosts == ["a.test", "b.test", "b.test"]
    assert steps == ["http://b.test/y", "http://b.test/z?q=1"]
    assert size == len(BODY)


def test_a_file_of_the_sites_own_is_cut_and_its_headers_are_no_opt_out() -> None:
    found, hosts, _, _ = get({"/x": [answer(bytes(9000), X_Robots_Tag="noai")]}, "/x", cut=True)
    assert len(found.body) == 5000
    assert hosts == []
    with pytest.raises(Failure, match="noai"):
        get({"/x": [answer(bytes(9000), X_Robots_Tag="noai")]}, "/x")
    with pytest.raises(Failure, match="too_large"):
        get({"/x": [answer(bytes(9000))]}, "/x")


def test_an_opt_out_counts_for_what_has_not_changed_too() -> None:
    answers = {"/x": [answer(b"", "304 Not Modified", X_Robots_Tag="noai")]}
    with pytest.raises(Failure, match="noai"):
        get(answers, "/x", headers={"If-None-Match": '"1"'})


def test_a_failure_says_when_to_come_back() -> None:
    with pytest.raises(Failure, match="http_503") as caught:
        get({"/x": [answer(b"", "503 Busy", Retry_After="7")]}, "/x")
    assert (caught.value.http_status, caught.value.retry_after) == (503, 7.0)


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"abc", "", (b"abc", True)),
        (b"abc", "identity", (b"abc", True)),
        (gzip.compress(b"abc"), "gzip", (b"abc", True)),
        (zlib.compress(b"abc"), "deflate", (b"abc", True)),
        (gzip.compress(b"abc")[:-9], "x-gzip", (b"abc", False)),
        (gzip.compress(bytes(10_000_000)), "gzip", (bytes(101), False)),
    ],
)
def test_decompression_is_bounded(body: bytes, encoding: str, expected: tuple[bytes, bool]) -> None:
    assert decompressed(body, encoding, 100) == expected


@pytest.mark.parametrize(("body", "encoding"), [(b"abc", "br"), (b"abc", "gzip"), (b"abc", "gzip, gzip")])
def test_encodings_that_are_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(Failure, match="bad_encoding"):
        decompressed(body, encoding, 100)
