"""The report in a real browser: every picture loads, nothing complains, nothing leaves the file."""

from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Visit, visit
from tests.conftest import REPO
from tests.tasks.report_data import make_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
DEMO = REPO / "reports" / "index.html"
SCREENSHOT = REPO / "docs" / "report.png"


def check(seen: Visit) -> None:
    assert seen.requests == []
    assert seen.complaints == []
    assert seen.found["pictures"] > 0
    assert seen.found["broken"] == 0
    assert seen.found["without_alt"] == 0
    assert seen.found["scripts"] == seen.found["outside"] == 0


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return make_page(tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("width", [1280, 390])
def test_made_up_dataset(page, width):
    seen = visit(page, width=width)
    check(seen)
    assert seen.found["title"] == "Sluice report: alpha, beta"
    assert seen.found["width"] == width  # nothing makes the page scroll sideways


def test_light_and_dark_differ(page, tmp_path):
    light, dark = tmp_path / "light.png", tmp_path / "dark.png"
    check(visit(page, shots={light: {}, dark: {"dark": True}}))
    assert light.read_bytes() != dark.read_bytes()


def test_a_page_that_asks_and_complains_is_noticed(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png' alt=x><script>console.error('no')</script>")
    seen = visit(page)
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert len(seen.complaints) >= 2
    assert seen.found["broken"] == 1


@pytest.mark.slow
def test_the_report_and_its_screenshot_for_the_readme(request, tmp_path):
    """Of the demo, where it is built here; else of the toy workspace, and the README keeps its picture."""
    built = DEMO.is_file()
    page = DEMO if built else request.getfixturevalue("finished") / "reports" / "index.html"
    shot = SCREENSHOT if built else tmp_path / "report.png"
    assert page.stat().st_size < 10_000_000
    check(visit(page, shots={shot: {"height": 1500}}))
    assert shot.stat().st_size > 20_000
