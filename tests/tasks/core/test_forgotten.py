"""The list of what is forgotten: what it hides, and what is left of a row."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.crawls import MANIFEST
from tasks.core.errors import CrawlError
from tasks.core.forgotten import Forgotten, on_host, read_forgotten, write_forgotten

ROWS = pa.Table.from_pylist(
    [
        {
            "sample_id": "s1",
            "image_id": "i1",
            "url": "http://a.test/1",
            "alt_text": "one",
            "concept": "cat",
            "page_url": "p",
            "extra": "{}",
        },
        {
            "sample_id": "s2",
            "image_id": "i2",
            "url": "http://b.a.test/2",
            "alt_text": "two",
            "concept": None,
            "page_url": None,
            "extra": None,
        },
    ],
    schema=MANIFEST,
)


def test_masked_rows_keep_their_hashes_alone() -> None:
    rows, hidden = Forgotten(images=frozenset({"i1"})).masked(ROWS)
    assert hidden == {"i1"}
    nothing = {"concept": None, "page_url": None, "extra": None}
    assert rows.to_pylist() == [{"sample_id": "s1", "image_id": "i1", "url": "", "alt_text": "", **nothing}, ROWS.to_pylist()[1]]
    again, _ = Forgotten(images=frozenset({"i1"})).masked(rows)
    assert again.equals(rows)
    assert Forgotten().masked(ROWS) == (ROWS, frozenset())


def test_a_host_stands_for_those_below_it() -> None:
    assert Forgotten(hosts=frozenset({"a.test"})).masked(ROWS)[1] == {"i1", "i2"}
    assert Forgotten(hosts=frozenset({"b.a.test"})).masked(ROWS)[1] == {"i2"}
    assert on_host("https://A.TEST.:443/x", frozenset({"a.test"}))
    assert not on_host("http://nota.test/", frozenset({"a.test"}))
    assert not on_host("http://[broken/", frozenset({"a.test"}))


def test_the_list_survives_a_round_trip_and_damage_is_named(tmp_path: Path) -> None:
    assert read_forgotten(tmp_path) == Forgotten()
    first = Forgotten(frozenset({"i1"}), frozenset({"d"}), frozenset({"a.test"}))
    write_forgotten(tmp_path, first.union(Forgotten(images=frozenset({"i2"}))))
    assert read_forgotten(tmp_path) == Forgotten(frozenset({"i1", "i2"}), frozenset({"d"}), frozenset({"a.test"}))
    (tmp_path / "forgotten.json").write_text("{}")
    with pytest.raises(CrawlError, match=r"forgotten\.json can't be read \('images'\): restore it with git"):
        read_forgotten(tmp_path)
