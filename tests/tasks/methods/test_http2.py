"""HTTP/2 where it is spoken; the same checks, bounds and failures as over HTTP/1.1."""

import asyncio
import socket
from typing import Any

import pytest
from yarl import URL

from tasks.methods import addresses
from tasks.methods.addresses import AddressRules
from tasks.methods.fetch import Fetcher
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of
from tasks.methods.requests import Fetched, Request
from tasks.methods.transfer import Answer, Budget, Transfer
from tests.tasks.methods.test_fetch import LIMITS
from tests.tasks.methods.tls_site import HOST, Site, certify

BODY = Site.body


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    """A site whose certificate is trusted here."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certify(tmp_path)))
    return Site(tmp_path)


def get(
    site: Site, *paths: str, connect: str = "", host: str = HOST, stall_s: float = 5.0, max_bytes: int = 100_000, in_turn: bool = False
) -> list[Any]:
    """For each path, all asked for at once or in turn, its answer or the detail of its failure."""

    async def nothing(_: object) -> None:
        pass

    async def one(transfer: Transfer, path: str) -> Answer | str:
        try:
            return await transfer.get(URL(f"https://{host}{path}"), Budget(max_bytes=max_bytes, max_redirects=2), nothing)
        except NETWORK_ERRORS as error:
            return failure_of(error).detail

    async def go() -> list[Any]:
        async with site.up():
            rules = AddressRules(connect={HOST: connect or site.address})
            transfer = Transfer(
                agent="sluice/0", rules=rules, honoured=frozenset({"noai"}), stall_s=stall_s, proxy=None,
                answered=lambda host: None, arrived=nothing, http2=True,
            )  # fmt: skip
            async with transfer, asyncio.timeout(20):
                if in_turn:
                    return [await one(transfer, path) for path in paths]
                return await asyncio.gather(*(one(transfer, path) for path in paths))

    return asyncio.run(go())


def test_requests_at_once_share_one_connection(site):
    assert get(site, *(f"/{n}" for n in range(20))) == [Answer(BODY, '"1"')] * 20
    assert {version for version, _, _ in site.asked} == {"2"}
    assert len({port for _, port, _ in site.asked}) == 1
    assert len(site.asked) == 20


def test_a_host_without_http2_is_asked_over_http1(site):
    site.protocols = ("http/1.1",)
    assert get(site, "/x", "/y", "/moved") == [Answer(BODY, '"1"')] * 3
    assert {version for version, _, _ in site.asked} == {"1.1"}


def test_redirects_opt_outs_and_budgets_hold(site):
    assert get(site, "/moved", "/reserved", "/x") == [Answer(BODY, '"1"'), "noai", Answer(BODY, '"1"')]
    assert get(site, "/x", max_bytes=1000) == ["too_large"]


def test_large_bodies_that_nobody_wants_stop_no_later_request(site):
    site.body = bytes(2_000_000)  # ten of them are more than a connection may hold unread
    assert get(site, *["/x"] * 12, "/moved", max_bytes=1000, in_turn=True) == ["too_large"] * 13
    assert len({port for _, port, _ in site.asked}) > 1


def test_small_ones_are_read_out_for_the_sake_of_their_connection(site):
    assert get(site, *["/x"] * 12, "/moved", "/reserved", max_bytes=1000, in_turn=True) == [*["too_large"] * 13, "noai"]
    assert len({port for _, port, _ in site.asked}) == 1


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_a_body_that_breaks_off_is_truncated(site, protocol):
    site.protocols = (protocol,)
    assert get(site, "/torn") == ["truncated"]
    torn, beside = get(site, "/torn", "/x")
    assert torn == "truncated"
    assert beside in (Answer(BODY, '"1"'), "dropped", "truncated")  # what shares a broken connection may have to be asked for again


def test_silence_is_a_timeout(site):
    assert get(site, "/silent", "/x", stall_s=1.0) == ["timeout", Answer(BODY, '"1"')]


def test_nobody_there(site):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert get(site, "/x", connect=f"127.0.0.1:{port}") == ["refused"]


def test_a_certificate_that_nobody_trusts(site, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    assert get(site, "/x") == ["tls"]
    assert site.asked == []


def test_a_name_that_leads_into_a_private_network_is_not_connected_to(site, monkeypatch):
    tried: list[object] = []
    monkeypatch.setattr(addresses, "_look_up", lambda *_: ["127.0.0.1", "169.254.169.254"])
    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", lambda *given: tried.append(given))
    assert get(site, "/x", host="inside.test") == ["blocked_address"]
    assert tried == []


def test_of_several_addresses_the_first_that_answers_counts(site, monkeypatch):
    async def go() -> list[str]:
        from tasks.methods.addresses import CheckedResolver
        from tasks.methods.http2 import CheckedBackend

        async with site.up():
            port = int(site.address.rpartition(":")[2])
            monkeypatch.setattr(addresses, "_look_up", lambda *_: ["127.0.0.2", "127.0.0.1"])
            backend = CheckedBackend(CheckedResolver(AddressRules(allow_hosts=frozenset({HOST}))))
            stream = await backend.connect_tcp(HOST, port)
            found = stream.get_extra_info("server_addr")
            await stream.aclose()
            return list(map(str, found))

    assert asyncio.run(go())[0] == "127.0.0.1"


def test_the_fetcher_asks_over_http2_if_told_to(site):
    async def go() -> list[Fetched | None]:
        async with site.up():
            fetcher = Fetcher(
                limits=LIMITS, agent="sluice/0", rules=AddressRules(connect={HOST: site.address}), robots=None,
                honoured=frozenset(), http2=True,
            )  # fmt: skip
            async with fetcher:
                fetcher.add(Request(f"https://{HOST}/{n}") for n in range(5))
                return [await fetcher.next() for _ in range(5)]

    assert all(found is not None and found.body == BODY and found.detail is None for found in asyncio.run(go()))
    assert {version for version, _, _ in site.asked} == {"2"}
