import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.addresses import AddressRules, CheckedResolver, check_url, is_public
from tasks.methods.failures import Failure

OPEN = AddressRules()
BLOCKED = [
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1",
    "::ffff:10.1.2.3", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "2001:db8::1", "2001::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1", "100::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", BLOCKED)
def test_addresses_that_no_crawl_may_reach(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_ipv6_counts_as_itself(ip: object) -> None:
    inner = int(ip)  # type: ignore[call-overload]
    forms = [f"::ffff:{ip}", f"64:ff9b::{inner >> 16:x}:{inner & 0xFFFF:x}", f"2002:{inner >> 16:x}:{inner & 0xFFFF:x}::1"]
    assert {is_public(form) for form in forms} == {is_public(str(ip))}


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("file:///etc/passwd", "blocked_scheme"),
        ("ftp://example.com/a.jpg", "blocked_scheme"),
        ("data:image/png;base64,AAAA", "blocked_scheme"),
        ("javascript:alert(1)", "blocked_scheme"),
        ("", "invalid_url"),
        ("//example.com/a.jpg", "invalid_url"),
        ("img/a.jpg", "invalid_url"),
        ("http://", "invalid_url"),
        ("http:///a.jpg", "invalid_url"),
        ("http://[::1/a.jpg", "invalid_url"),
        ("http://example.com:99999/", "invalid_url"),
        ("http://2130706433/", "invalid_url"),
        ("http://127.1/", "invalid_url"),
        ("http://0x7f000001/", "invalid_url"),
        ("http://0x7f.1/", "invalid_url"),
        ("http://example.com:8080/", "blocked_port"),
        ("http://example.com:22/", "blocked_port"),
        ("http://127.0.0.1/", "blocked_address"),
        ("http://user:word@127.0.0.1/", "blocked_address"),
        ("http://169.254.169.254/latest/meta-data/", "blocked_address"),
        ("http://[::1]/", "blocked_address"),
        ("http://[::ffff:169.254.169.254]/", "blocked_address"),
        ("http://[fe80::1%25eth0]/", "blocked_address"),
        ("http://0.0.0.0/", "blocked_address"),
    ],
)
def test_refused_urls(url: str, detail: str) -> None:
    with pytest.raises(Failure) as caught:
        check_url(url, OPEN)
    assert caught.value.detail == detail


def test_allowed_urls() -> None:
    for url in (
        "http://example.com/a.jpg",
        "https://example.com:443/a b.jpg?x=1#y",
        "http://example.com:80",
        "HTTP://EXAMPLE.COM/",
        "http://8.8.8.8/",
    ):
        assert check_url(url, OPEN).scheme in ("http", "https")
    assert check_url("http://bücher.example/ä.jpg", OPEN).raw_host == "xn--bcher-kva.example"


def test_exceptions_hold_for_exactly_that_host() -> None:
    rules = AddressRules(frozenset({"10.0.0.5", "mirror.internal"}), {"demo.test": "127.0.0.1:8080"})
    for url in ("http://10.0.0.5:9000/", "http://mirror.internal:9000/", "http://demo.test:1234/", "http://Demo.Test/"):
        check_url(url, rules)
    for url in ("http://10.0.0.6/", "http://a.demo.test:1234/", "http://demo.test.evil.example:1234/"):
        with pytest.raises(Failure):
            check_url(url, rules)
    with pytest.raises(Failure, match="blocked_scheme"):
        check_url("file://mirror.internal/x", rules)


def test_connect_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"connect: 'demo.test' leads to 'localhost:80', which is no address:port such as 127.0.0.1:8080"):
        AddressRules(connect={"demo.test": "localhost:80"})


def resolve(rules: AddressRules, host: str, monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[tuple[str, int]]:
    def look_up(host: str, port: int, **_: object) -> list[tuple]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, port)) for address in addresses]

    async def run() -> list[tuple[str, int]]:
        resolver = CheckedResolver(rules)
        try:
            return [(found["host"], found["port"]) for found in await resolver.resolve(host, 80)]
        finally:
            await resolver.close()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asyncio.run(run())


def test_a_name_leads_to_its_public_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(OPEN, "a.example", monkeypatch, ["10.0.0.1", "8.8.8.8", "8.8.8.8", "::1"]) == [("8.8.8.8", 80)]
    with pytest.raises(Failure, match="blocked_address"):
        resolve(OPEN, "rebind.example", monkeypatch, ["127.0.0.1", "169.254.169.254"])
    with pytest.raises(Failure, match="dns"):
        resolve(OPEN, "gone.example", monkeypatch, [])


def test_exempt_names(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = AddressRules(frozenset({"mirror.internal"}), {"demo.test": "127.0.0.1:8080", "six.test": "[::1]:81"})
    assert resolve(rules, "mirror.internal", monkeypatch, ["10.0.0.1"]) == [("10.0.0.1", 80)]
    assert resolve(rules, "demo.test", monkeypatch, []) == [("127.0.0.1", 8080)]
    assert resolve(rules, "six.test", monkeypatch, []) == [("::1", 81)]


def test_an_address_opened_for_one_name_is_closed_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(socket.AF_INET, 1, 6, "", ("10.0.0.1", port))])
        resolver = CheckedResolver(AddressRules(frozenset({"mirror.internal"})))
        assert await resolver.resolve("mirror.internal", 80)
        with pytest.raises(Failure, match="blocked_address"):
            await resolver.resolve("evil.example", 80)
        await resolver.close()

    asyncio.run(run())


def test_the_last_gate_opens_no_socket_to_a_private_address() -> None:
    resolver = CheckedResolver(AddressRules(frozenset({"10.0.0.5"})))
    with pytest.raises(Failure, match="blocked_address"):
        resolver.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)))
    for address in ("8.8.8.8", "10.0.0.5"):
        resolver.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))).close()


def test_a_proxy_may_lie_in_a_private_network_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = AddressRules(proxy="http://proxy.internal:3128")
    assert resolve(rules, "proxy.internal", monkeypatch, ["10.0.0.9"]) == [("10.0.0.9", 80)]
    with pytest.raises(Failure, match="blocked_address"):
        resolve(rules, "evil.example", monkeypatch, ["10.0.0.9"])
    with pytest.raises(Failure, match="blocked_port"):
        check_url("http://proxy.internal:3128/admin", rules)
    literal = AddressRules(proxy="http://10.0.0.9:3128")
    CheckedResolver(literal).open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.9", 3128))).close()
    with pytest.raises(Failure, match="blocked_address"):
        check_url("http://10.0.0.9/", literal)


def test_a_proxy_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"proxy: 'socks5://10.0.0.1:1080' is no URL such as http://10.0.0.1:3128"):
        AddressRules(proxy="socks5://10.0.0.1:1080")


@given(st.ip_addresses(v=4))
def test_no_form_of_a_private_address_gets_past_the_url(ip: object) -> None:
    inner = int(ip)  # type: ignore[call-overload]
    groups = f"{inner >> 16:x}:{inner & 0xFFFF:x}"
    hosts = [str(ip), f"[::ffff:{ip}]", f"[::{groups}]", f"[64:ff9b::{groups}]", f"[2002:{groups}::1]"]
    for host in hosts:
        if is_public(str(ip)):
            check_url(f"http://{host}/", OPEN)
        else:
            with pytest.raises(Failure) as caught:
                check_url(f"http://{host}/", OPEN)
            assert caught.value.detail in ("blocked_address", "invalid_url")


def test_blocked_domains_are_never_asked_not_even_where_an_exception_stands() -> None:
    rules = AddressRules(frozenset({"cdn.bad.test"}), {"www.bad.test": "127.0.0.1:80"}, blocked=frozenset({"bad.test"}))
    for host in ("bad.test", "cdn.bad.test", "www.bad.test"):
        with pytest.raises(Failure) as caught:
            check_url(f"http://{host}/1.jpg", rules)
        assert caught.value.detail == "blocked_domain"
    check_url("http://notbad.test/1.jpg", rules)
