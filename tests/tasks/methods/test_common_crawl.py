import gzip
import json
from io import BytesIO
from pathlib import Path

import pytest

from tasks.methods.common_crawl import Found, Seen, extract, from_links, from_page

PAGE = """<html><head><title>Zoo</title></head><body>
<figure><a href="/x"><img src="img/cat.jpg#top" alt=" A  cat "></a><figcaption>Our <b>cat</b>, asleep</figcaption></figure>
<p>Two <img src="//cdn.test/dog.png"> dogs</p>
<img data-src="https://a.test/lazy.webp" src="data:image/gif;base64,R0lG" alt="lazy">
<img srcset="small.jpg 1x, large.jpg 2x"><img alt="nothing"><img src="javascript:alert(1)"><img src="file:///etc/passwd">
<img src="http://[broken/"><img src="img/cat.jpg" alt="A cat"></body></html>"""


def record(kind: str, url: str, body: bytes, content_type: str) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def response(url: str, page: str, kind: str = "text/html; charset=utf-8") -> bytes:
    body = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + page.encode()
    return record("response", url, body, "application/http; msgtype=response")


def links(url: str, html: object) -> bytes:
    body = {"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": html}}}}
    return record("metadata", url, json.dumps(body).encode(), "application/json")


def test_pictures_of_a_page_come_with_alt_text_context_and_full_address() -> None:
    page_url = "http://a.test/zoo/index.html"
    found = list(from_page(PAGE.encode(), page_url))
    assert found == [
        Found("http://a.test/zoo/img/cat.jpg", "A cat", "Our cat, asleep", page_url),
        Found("http://cdn.test/dog.png", "", "Two dogs", page_url),
        Found("https://a.test/lazy.webp", "lazy", "", page_url),
        Found("http://a.test/zoo/small.jpg", "", "", page_url),
        Found("http://a.test/zoo/img/cat.jpg", "A cat", "", page_url),
    ]


def test_a_pages_base_counts_for_its_addresses() -> None:
    page = '<html><head><base href="/pics/"></head><body><img src="1.jpg"></body></html>'
    assert [found.url for found in from_page(page.encode(), "http://a.test/x/y")] == ["http://a.test/pics/1.jpg"]
    body = {"Head": {"Base": "http://b.test/", "Title": "A  page"}, "Links": [{"path": "IMG@/src", "url": "1.jpg", "alt": "one"}]}
    record_body = json.dumps({"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": body}}}})
    assert list(from_links(record_body.encode(), "http://a.test/")) == [Found("http://b.test/1.jpg", "one", "A page", "http://a.test/")]


@pytest.mark.parametrize("compressed", [False, True])
def test_both_kinds_of_record_are_read_and_repeated_pictures_left_out(tmp_path: Path, compressed: bool) -> None:
    records = [
        record("warcinfo", "", b"software: test", "application/warc-fields"),
        response("http://a.test/zoo/index.html", PAGE),
        response("http://a.test/data.json", '{"img": 1}', "application/json"),
        links("http://a.test/wat", {"Links": [{"path": "IMG@/src", "url": "/w.jpg", "alt": "w"}, {"path": "A@/href", "url": "/page"}]}),
        links("http://a.test/again", {"Links": [{"path": "IMG@/src", "url": "http://a.test/zoo/img/cat.jpg", "alt": "A cat"}]}),
        links("http://a.test/odd", None),
        record("metadata", "http://a.test/odd", b"{broken", "application/json"),
    ]
    path = tmp_path / ("x.warc.gz" if compressed else "x.warc")
    path.write_bytes(b"".join(gzip.compress(part) if compressed else part for part in records))
    found = list(extract(path, Seen(1 << 10)))
    assert [(one.url.rpartition("/")[2], one.alt_text) for one in found] == [
        ("cat.jpg", "A cat"), ("dog.png", ""), ("lazy.webp", "lazy"), ("small.jpg", ""), ("w.jpg", "w"),
    ]  # fmt: skip
    assert found[-1].page_url == "http://a.test/wat"


def test_odd_pages_give_what_they_hold() -> None:
    for body in (b"", b"\xff\xfe", b"<img", b"<img src=1.jpg>" * 3, b"<p>" * 5000 + b"<img src=2.jpg>", BytesIO(bytes(1000)).read()):
        assert all(found.url.startswith("http://a.test/") for found in from_page(body, "http://a.test/"))
    long = f'<p>{"word " * 5000}<img src="1.jpg" alt="{"x" * 9000}"></p>'
    (found,) = from_page(long.encode(), "http://a.test/")
    assert (len(found.alt_text), len(found.context)) == (1000, 1000)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    for body in (b"", b"no archive at all\n" * 100):
        (tmp_path / "x.warc").write_bytes(body)
        with pytest.raises(ValueError, match=r"x\.warc (holds no record|can't be read)"):
            list(extract(tmp_path / "x.warc", Seen(16)))


def test_seen_forgets_but_never_invents() -> None:
    seen = Seen(64)
    assert not any(seen(str(number), "") for number in range(1000))
    assert seen("999", "")
    assert not seen("999", "other")
