"""Write the explorer's pages: HTML out of rows, every word from the crawl escaped, isolated and cut to what a person can read."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.methods.harmless import clip, visible
from tasks.methods.report_page import count, number, percent, words

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = {"explore.css": "text/css", "explore.js": "text/javascript"}
SAMPLE_ID = re.compile(r"[0-9a-f]{32}")
LONGEST = 4000  # characters of one value on a page


def render(page: str, context: Mapping[str, Any]) -> str:
    """One page (search, sample, review, sql or fault) as HTML."""
    return _environment().get_template(f"explore_{page}.html.j2").render(context)


def asset(name: str) -> tuple[str, str]:
    """Text and type of a style sheet or script. Raises ValueError for any other name."""
    if name not in ASSETS:
        raise ValueError(f"there is no file '{name}': only {', '.join(ASSETS)}")
    return (TEMPLATES / name).read_text(), ASSETS[name]


def value(found: Any) -> str:
    """Any value of a table as text for a person."""
    if isinstance(found, (list, tuple)):
        return clip(", ".join(value(item) for item in found[:100]), LONGEST)
    text = "" if found is None else f"{found:.6g}" if isinstance(found, float) else str(found)
    return visible(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


def is_sample(found: Any) -> bool:
    """Whether a value looks like a sample_id, so that it may be a link."""
    return isinstance(found, str) and SAMPLE_ID.fullmatch(found) is not None


def choices(given: str | None, suggested: str | None, ranked: Sequence[str], *, limit: int) -> list[str]:
    """The concepts offered for a correction: the suggestion, then the likeliest others; what `confirm` says already is left out."""
    confirmed = given if given is not None else suggested
    offered = dict.fromkeys(name for name in (suggested, *ranked) if name is not None and name != confirmed)
    return list(offered)[:limit]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clip": clip, "count": count, "percent": percent, "words": words, "number": number, "value": value}
    environment.tests["sample_id"] = is_sample
    return environment
