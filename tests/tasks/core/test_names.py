import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import CrawlError
from tasks.core.names import check_crawl_name


@pytest.mark.parametrize("name", ["a", "0", "2026-11-21", "demo_1", "a" * 63])
def test_good_names(name):
    assert check_crawl_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "a/b", "..", "a\n", "a;b", "$(x)", "a" * 64, None, 7])
def test_hostile_names(name):
    with pytest.raises(CrawlError, match="use 1 to 63 of a-z, 0-9"):
        check_crawl_name(name)


@given(st.text())
def test_whatever_passes_is_harmless_in_a_shell_and_a_path(name):
    try:
        check_crawl_name(name)
    except CrawlError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert name[0] not in "-_"
