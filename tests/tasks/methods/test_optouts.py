from typing import get_args

import pytest

from tasks.core.crawls import OptOut
from tasks.methods.optouts import OPT_OUTS, header_opt_out, parse_reservations

AI = {"noai", "noimageai"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        (["noai"], "noai"),
        (["noai, noimageai"], "noai"),
        (["index, NoImageAI"], "noimageai"),
        (["all", "noai"], "noai"),
        (["noindex"], None),
        (["otherbot: noai"], None),
        (["Sluice: noai"], "noai"),
        (["*: noai"], "noai"),
        (["noindex, otherbot: noai"], None),
        (["otherbot: noindex, noai"], None),
        (["otherbot: noindex, sluice: noai"], "noai"),
        (["noai, otherbot: noindex"], "noai"),
        (["unavailable_after: Wed, 25 Jun 2027 15:00:00 GMT, noai"], "noai"),
        (["max-snippet: 10, noimageai"], "noimageai"),
        ([":, , noai"], "noai"),
    ],
)
def test_x_robots_tag(values: list[str], expected: str | None) -> None:
    assert header_opt_out({"X-Robots-Tag": values}, agent="sluice", honoured=AI) == expected


def test_what_is_honoured_is_a_choice() -> None:
    headers = {"X-Robots-Tag": ["noindex"], "TDM-Reservation": [" 1 "]}
    assert header_opt_out(headers, agent="sluice", honoured={"noindex", "tdm_header"}) == "noindex"
    assert header_opt_out(headers, agent="sluice", honoured={"tdm_header"}) == "tdm"
    assert header_opt_out(headers, agent="sluice", honoured={"noai", "robots", "tdm_file"}) is None
    assert header_opt_out({"TDM-Reservation": ["0"]}, agent="sluice", honoured={"tdm_header"}) is None


def test_settings_name_the_same_opt_outs() -> None:
    assert get_args(OptOut) == OPT_OUTS


@pytest.mark.parametrize(
    ("body", "path", "reserved"),
    [
        (b'[{"location": "/", "tdm-reservation": 1}]', "/a.jpg", True),
        (b'\xef\xbb\xbf[{"location": "/", "tdm-reservation": 1}]', "/a.jpg", True),
        (b'[{"location": "/img/*.png$", "tdm-reservation": 1}]', "/img/x/a.png", True),
        (b'[{"location": "/img/*.png$", "tdm-reservation": 1}]', "/img/a.png?x=1", False),
        (b'[{"location": "/img/*.png$", "tdm-reservation": 1}]', "/img/a.png.png", True),
        (b'[{"location": "/img", "tdm-reservation": 1}]', "/other/img", False),
        (b'[{"location": "/", "tdm-reservation": 1}, {"location": "/free/", "tdm-reservation": 0}]', "/free/a.jpg", False),
        (b'[{"location": "/a", "tdm-reservation": 0}, {"location": "/a", "tdm-reservation": 1}]', "/a", True),
        (b'[{"location": "/", "tdm-reservation": 0}]', "/a.jpg", False),
        (b'[{"location": 7, "tdm-reservation": 1}, 3, {"tdm-reservation": 1}]', "/a.jpg", False),
        (b'{"location": "/", "tdm-reservation": 1}', "/a.jpg", False),
        (b"<html>", "/a.jpg", False),
        (b"[" * 100_000, "/a.jpg", False),
    ],
)
def test_tdmrep(body: bytes, path: str, reserved: bool) -> None:
    assert parse_reservations(body).reserved(path) is reserved
