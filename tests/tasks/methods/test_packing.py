from pathlib import Path

import pytest

from tasks.methods.packing import Outcome, Packing
from tasks.methods.tars import read_images, write_in_order

SIZES = {"width": 1, "height": 2, "original_width": 3, "original_height": 4, "sha256": "00"}
ROWS = [
    {"image_id": image, "url": f"http://a.test/{image}", "alt_text": text}
    for image, text in (("a", "A"), ("b", "B"), ("b", "B2"), ("c", ""))
]
KEYS = {"a": "000000000", "b": "000000001", "c": "000000002"}


def test_images_come_back_in_order_however_they_came(tmp_path: Path) -> None:
    with Packing(tmp_path) as packing:
        packing.put("c", Outcome({"status": "ok", **SIZES}, "png", b"three"))
        packing.put("a", Outcome({"status": "failed", "detail": "dns"}))
        packing.put("b", Outcome({"status": "ok", **SIZES}, "jpg", b"two"))
        assert len(packing) == 3
        entries = list(packing.entries(ROWS, KEYS))
        assert [(entry.key, entry.extension, entry.data, entry.text) for entry in entries] == [
            ("000000001", "jpg", b"two", "B"),
            ("000000002", "png", b"three", ""),
        ]
        assert entries[0].fields["url"] == "http://a.test/b"
        assert entries[0].fields["status"] == "success"
        assert packing.columns("a") == {"status": "failed", "detail": "dns"}
        write_in_order(tmp_path / "x.tar", packing.entries(ROWS, KEYS))
    assert dict(read_images(tmp_path / "x.tar")) == {"000000001": b"two", "000000002": b"three"}


def test_what_is_put_aside_counts_only_if_it_is_wanted(tmp_path: Path) -> None:
    with Packing(tmp_path) as packing:
        old = packing.store(Outcome({"status": "ok", **SIZES}, "jpg", b"old"))
        unused = packing.store(Outcome({"status": "ok", **SIZES}, "jpg", b"unused"))
        packing.put("b", Outcome({"status": "failed", "detail": "http_404"}))
        packing.restore("a", old)
        assert unused.size == 6
        packing.put("c", Outcome({"status": "ok", **SIZES}, "jpg", b"new"))
        assert [entry.data for entry in packing.entries(ROWS, KEYS)] == [b"old", b"new"]


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    packing = Packing(tmp_path)
    packing.put("a", Outcome({"status": "ok"}, "jpg", b"x" * 100))
    assert list(tmp_path.iterdir()) == []
    packing.close()
    with pytest.raises(ValueError, match="closed"):
        packing.put("a", Outcome({"status": "ok"}, "jpg", b"x"))
