"""Values on the explorer's pages."""

import pytest

from tasks.methods.explore_pages import LONGEST, asset, choices, is_sample, render, value


def test_values_are_text_of_a_bounded_length():
    assert value(None) == ""
    assert value(0.123456789) == "0.123457"
    assert value(["a\x1b", 0.5, None]) == "a\\x1b, 0.5,"
    assert value("x" * 10**6) == "x" * LONGEST + "…"
    assert len(value(["x" * 10**5] * 10**5)) == LONGEST


def test_links_lead_to_samples_alone():
    assert is_sample("0a" * 16)
    assert not any(map(is_sample, ("0A" * 16, "0a" * 15, "javascript:alert(1)", None, 5, "0a" * 16 + "\n")))


def test_a_correction_offers_what_a_confirmation_does_not():
    assert choices("cat", "dog", ["emu", "dog", "cat"], limit=9) == ["dog", "emu"]
    assert choices("cat", "cat", ["emu", "dog"], limit=1) == ["emu"]
    assert choices(None, "dog", ["dog", "cat"], limit=9) == ["cat"]
    assert choices(None, None, [], limit=9) == []


def test_there_are_two_assets_and_no_way_to_a_third():
    assert asset("explore.js")[1] == "text/javascript"
    assert "innerHTML" not in asset("explore.js")[0]
    for name in ("explore_page.html.j2", "../explore_app.py", ""):
        with pytest.raises(ValueError, match="only explore.css, explore.js"):
            asset(name)


def test_a_page_escapes():
    page = render("fault", {"page": "", "title": "<b>", "fault": "<script>x</script>\u202e"})
    assert "<title>&lt;b&gt; - Sluice</title>" in page
    assert "&lt;script&gt;x&lt;/script&gt;\\u202e" in page
