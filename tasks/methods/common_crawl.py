"""Find images in Common Crawl's files: address, alt text, text around it and page of every picture, out of WARC and WAT records.

The only door to FastWARC and resiliparse (the extra `commoncrawl`), which are imported here alone, when a file is read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import numpy as np

MAX_PAGE = 8 << 20  # bytes of a record that are read; larger pages, and larger records of links, are left out
MAX_TEXT = 1000  # characters kept of a text
MAX_URL = 4000  # characters; longer ones are data, not addresses
CLIMB = 3  # elements above an image in which text is looked for
LAZY = ("src", "data-src", "data-original", "data-lazy-src")


class Found(NamedTuple):
    """One picture of a page. `context`: the text around it, or where only links are known (WAT) the page's title."""

    url: str
    alt_text: str
    context: str
    page_url: str


@dataclass
class Seen:
    """Remembers what went by in a table of fixed size: nothing new is ever taken for known; of what is known, a little is forgotten."""

    slots: int = 1 << 23  # eight bytes each

    def __post_init__(self) -> None:
        self._table = np.zeros(self.slots, np.uint64)

    def __call__(self, *parts: str) -> bool:
        """Whether these parts went by before."""
        digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        slot, mark = int.from_bytes(digest[:8], "big") % self.slots, np.uint64(int.from_bytes(digest[8:], "big") | 1)
        known = bool(self._table[slot] == mark)
        self._table[slot] = mark
        return known


def extract(path: Path, seen: Seen) -> Iterator[Found]:
    """The pictures of a WARC or WAT file (.gz too), without those seen before (same url and alt text). Raises ValueError for a file that
    is neither, and ImportError without the extra.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.response | WarcRecordType.metadata
    n_records = 0
    with path.open("rb") as stream:
        try:
            for record in ArchiveIterator(stream, record_types=wanted, max_content_length=MAX_PAGE):
                n_records += 1
                for found in _pictures(record, record.record_type == WarcRecordType.metadata):
                    if not seen(found.url, found.alt_text):
                        yield found
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{path} can't be read as WARC or WAT: {error}") from None
    if not n_records:
        raise ValueError(f"{path} holds no record of a page: is it WARC or WAT?")


def _pictures(record: Any, is_metadata: bool) -> Iterator[Found]:
    page_url = record.headers.get("WARC-Target-URI", "").strip("<>")
    if is_metadata:
        if "json" in record.headers.get("Content-Type", ""):
            yield from from_links(record.reader.read(MAX_PAGE), page_url)
        return
    kind = (record.http_content_type or "").lower()
    if record.http_headers is not None and kind in ("text/html", "application/xhtml+xml"):
        yield from from_page(record.reader.read(MAX_PAGE), page_url)


def from_page(body: bytes, page_url: str) -> Iterator[Found]:
    """The pictures of an HTML page, in their order."""
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse_from_bytes(body, detect_encoding(body) or "utf-8")
    if tree is None or tree.body is None:
        return
    head = tree.head.query_selector("base[href]") if tree.head is not None else None
    base = _absolute(page_url, head.getattr("href")) if head is not None else None
    for image in tree.body.query_selector_all("img"):
        sources = (image.getattr(name) for name in LAZY)
        srcset = (image.getattr("srcset") or "").strip().split(",")[0].split(" ")[0]
        given = next((source for source in sources if source and not source.startswith("data:")), srcset)
        url = _absolute(base or page_url, given)
        if url is not None:
            yield Found(url, _clean(image.getattr("alt")), _context(image), page_url)


def from_links(body: bytes, page_url: str) -> Iterator[Found]:
    """The pictures of a WAT record, in their order."""
    try:
        page = json.loads(body)["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]
        links, head = page.get("Links") or [], page.get("Head") or {}
        base = _absolute(page_url, head.get("Base"))
        title = _clean(head.get("Title"))
        pictures = [link for link in links if str(link.get("path", "")).upper().startswith("IMG@/")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return  # robots.txt, redirects and other records without a page
    for link in pictures:
        url = _absolute(base or page_url, link.get("url"))
        if url is not None:
            yield Found(url, _clean(link.get("alt")), title, page_url)


def _context(image: Any) -> str:
    """The text of the nearest element around an image that has any."""
    element = image.parent
    for _ in range(CLIMB):
        if element is None or element.tag in ("body", "html"):
            return ""
        text = _clean(element.text)
        if text:
            return text
        element = element.parent
    return ""


def _absolute(base: str, given: Any) -> str | None:
    """The full address, without fragment; None for what is no web address."""
    if not isinstance(given, str) or not given.strip() or len(given) > MAX_URL:
        return None
    try:
        url = urljoin(base, given.strip()).partition("#")[0]
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


def _clean(text: Any) -> str:
    """One line, at most MAX_TEXT characters, without halves of characters, which no file can hold."""
    if not isinstance(text, str):
        return ""
    return " ".join(text[: 4 * MAX_TEXT].encode("utf-8", "replace").decode().split())[:MAX_TEXT]
