"""Assemble the page: one HTML file that asks for nothing outside itself, every word from the crawl escaped and isolated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.methods.harmless import clip
from tasks.methods.reasons import Reason

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = (
    *(("funnel", "Where the rows went"), ("tradeoff", "Purity against yield"), ("gain", "What the cleaning bought")),
    *(("kept", "What is kept"), ("dropped", "What is dropped"), ("browse", "Look through it"), ("boundary", "Close calls")),
    *(("concepts", "The concepts"), ("confusion", "Given against suggested"), ("map", "The map"), ("scores", "Scores")),
    ("drift", "Crawl against crawl"),
    *(("label", "Nutrition label"), ("next", "What to look at next"), ("making", "How it was made")),
)
MEANINGS = {
    Reason.FORGOTTEN: "its owner asked for it, or you did: it is gone from the disk",
    Reason.UNREACHABLE: "the address answered with an error, or not at all",
    Reason.TIMEOUT: "the server took too long",
    Reason.DISALLOWED: "robots.txt or a noai header says no",
    Reason.BLOCKED: "the address leads where a crawl must not go",
    Reason.TOO_LARGE: "more bytes or pixels than allowed",
    Reason.BROKEN: "what came is no whole picture",
    Reason.TOO_SMALL: "too few pixels",
    Reason.INVALID: "refused by an expectation at the door",
    Reason.LEAK: "a copy of a picture in the clean test sets",
    Reason.DUPLICATE: "a copy of a picture that stays",
    Reason.REJECTED: "a person looked at it and said no",
    Reason.OUT_OF_DISTRIBUTION: "shows none of the concepts",
    Reason.LABEL_NOISE: "shows another concept than the one given",
    Reason.MISMATCHED_TEXT: "the text does not belong to the picture",
    Reason.PRUNED: "good, but more of its kind than needed",
}


def render(context: Mapping[str, Any]) -> str:
    """The page's HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clip": clip, "count": count, "percent": percent, "words": words, "number": number}
    environment.globals["style"] = (TEMPLATES / "report_page.css").read_text()
    return environment.get_template("report_page.html.j2").render(context)


def count(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{int(value):,}".replace(",", "\u202f")


def percent(share: float | None, digits: int = 0) -> str:
    """A share in [0, 1] in percent; a dash for none. What is not nothing is never shown as nothing."""
    if share is None:
        return "–"
    least = 10.0**-digits / 2
    return f"<{10.0**-digits:g}\u202f%" if 0 < 100 * share < least else f"{100 * share:.{digits}f}\u202f%"


def number(value: float | None) -> str:
    """A figure with three significant digits, or as a whole number from 1,000 on; a dash for none."""
    if value is None:
        return "–"
    return count(value) if abs(value) >= 1000 else f"{value:.3g}"


def words(name: str | None) -> str:
    """A name of ours (`out_of_distribution`) as words."""
    return (name or "none").replace("_", " ")
