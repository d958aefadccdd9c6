import pytest

from tasks.methods.requests import Fetched, Request, host_of


def test_a_version_is_named_as_far_as_it_is_known() -> None:
    assert Request("http://a.test/x").headers == {}
    assert Request("http://a.test/x", etag='"1"').headers == {"If-None-Match": '"1"'}
    both = Request("http://a.test/x", etag='"1"', last_modified="then").headers
    assert both == {"If-None-Match": '"1"', "If-Modified-Since": "then"}


def test_results() -> None:
    good, bad = Fetched("http://a.test/x", body=b"abc", attempts=1), Fetched("http://a.test/x", "dns")
    assert (good.status, bad.status, good.host) == ("ok", "failed", "a.test")
    assert good.without_body() == Fetched("http://a.test/x", attempts=1)


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://A.test:80/x", "a.test"), ("http://[::1]/", "::1"), ("nonsense", ""), ("http://[::1/", ""), ("http://a:x/", "")],
)
def test_hosts(url: str, host: str) -> None:
    assert host_of(url) == host
