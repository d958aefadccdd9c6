"""The page of a validation: everything escaped, nothing fetched."""

from tasks.methods.validation_page import validation_page


def test_values_are_escaped_and_nothing_is_loaded() -> None:
    result = {"column": "format", "expectation": "expect", "figure": 0.5, "bound": 0.99, "limit": "min_conforming_share", "passed": False}
    report = {
        "crawl": "alpha",
        "accepted": False,
        "figures": {"success_share": 1 / 3, "n_rows": 3},
        "details": {"<script>": 1},
        "reasons": {},
        "results": [result | {"examples": ["<img src=x>"]}],
    }
    page = validation_page(report)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "failed: &lt;img src=x&gt;" in page
    assert "0.333333" in page
    assert "//" not in page
    assert "<title>alpha: refused</title>" in page
