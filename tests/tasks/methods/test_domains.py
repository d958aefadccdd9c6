import socket

import pytest

from tasks.methods import domains
from tasks.methods.domains import registrable_domain


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("img.example.co.uk", "example.co.uk"),
        ("one.github.io", "one.github.io"),  # whoever rents there is on his own
        ("a.one.github.io", "one.github.io"),
        ("co.uk", "co.uk"),
        ("img.tinyweb.test", "tinyweb.test"),
        ("localhost", "localhost"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_what_is_registered(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


def test_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    domains._extractor.cache_clear()
    registrable_domain.cache_clear()
    assert registrable_domain("www.example.org") == "example.org"
