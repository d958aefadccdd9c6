"""What a crawl's settings allow the fetcher and a picture."""

from types import SimpleNamespace

import pytest

from tasks import ingest_bounds
from tasks.core.crawls import CrawlSettings
from tasks.core.errors import CrawlError
from tasks.core.forgotten import Forgotten
from tasks.ingest_bounds import bounds_of, inspection_of, limits_of, make_fetcher
from tests.tasks.test_ingest import SETTINGS

HASH = "a" * 64


def settings(**changes: object) -> CrawlSettings:
    return CrawlSettings.model_validate(SETTINGS | changes)


def test_what_is_open_and_what_goes_per_second_is_shared_out_among_the_workers():
    one, four = (limits_of(settings(domain_rate=8.0, megabytes_per_s=2.0), workers) for workers in (1, 4))
    assert (one.concurrency, one.domain_rate, one.domain_burst, one.bandwidth) == (32, 8.0, 32.0, 2e6)
    assert (four.concurrency, four.domain_rate, four.domain_burst, four.bandwidth) == (8, 2.0, 8.0, 5e5)
    assert limits_of(settings(concurrency=2), 4).concurrency == 1


@pytest.fixture
def fetcher(monkeypatch):
    """What a fetcher would be made of."""
    monkeypatch.setattr(ingest_bounds, "Fetcher", SimpleNamespace)
    return lambda **changes: make_fetcher(settings(**changes), {}, limits_of(settings(), 1), frozenset({HASH, "bad.example"}))


def test_the_agent_says_whom_to_ask_and_block_lists_go_where_they_belong(fetcher):
    assert fetcher().agent == "sluice/0 (+https://example.org/bot)"
    assert fetcher(contact="").agent == "sluice/0"
    assert fetcher().rules.blocked == {"bad.example"}
    assert inspection_of(settings(), frozenset({HASH, "bad.example"}), Forgotten()).blocked == {HASH}


def test_a_site_is_asked_for_its_wishes_only_where_they_are_honoured(fetcher):
    assert fetcher().robots is not None
    assert fetcher(opt_outs=["noai"]).robots is None


def test_bounds_of_a_picture():
    bounds = bounds_of(settings(bounded_side="shortest", max_side=64))
    assert (bounds.max_side, bounds.shortest, bounds.max_pixels) == (64, True, 1_000_000)


def test_a_scorer_that_is_not_there():
    with pytest.raises(CrawlError, match="no_such_module"):
        inspection_of(settings(scorer="no_such_module:score"), frozenset(), Forgotten())
