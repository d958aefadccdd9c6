import hashlib
import json
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tasks.methods.decoding import Bounds
from tasks.methods.inspection import Inspection
from tasks.methods.requests import Fetched


def jpeg() -> bytes:
    stream = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(stream, "JPEG")
    return stream.getvalue()


DATA = jpeg()
BOUNDS = Bounds(decoders=("jpeg",), max_pixels=10_000, max_side=64, shortest=False, memory_mb=500)


def inspect(data: bytes, row: dict[str, Any] | None = None, **options: Any) -> Any:
    return Inspection(bounds=BOUNDS, encoding="jpg", quality=90, **options).outcome(Fetched("u", body=data), row or {})


def test_a_picture_has_all_its_columns() -> None:
    outcome = inspect(DATA)
    assert (outcome.data, outcome.extension) == (DATA, "jpg")
    columns = dict(outcome.columns)
    assert len(columns.pop("thumbnail")) == 1024
    assert isinstance(columns.pop("phash"), int)
    assert isinstance(columns.pop("phash_mirrored"), int)
    assert columns == {
        "status": "ok", "format": "jpeg", "width": 40, "height": 30, "original_width": 40, "original_height": 30,
        "sha256": hashlib.sha256(DATA).hexdigest(), "bytes": len(DATA), "safety": None,
    }  # fmt: skip


def test_failures_keep_what_is_known() -> None:
    assert Inspection(bounds=BOUNDS, encoding="jpg", quality=90).outcome(Fetched("u", "dns"), {}).columns == {
        "status": "failed",
        "detail": "dns",
    }
    outcome = inspect(b"<html>")
    assert outcome.columns == {
        "status": "failed", "detail": "not_an_image", "bytes": 6, "sha256": hashlib.sha256(b"<html>").hexdigest(),
    }  # fmt: skip


def test_blocked_and_changed_bytes_are_never_decoded() -> None:
    md5 = hashlib.md5(DATA).hexdigest()
    for outcome in (inspect(DATA, blocked={md5}), inspect(b"no picture", blocked={hashlib.md5(b"no picture").hexdigest()})):
        assert (outcome.columns["detail"], outcome.data) == ("blocked_hash", b"")
    row = {"extra": json.dumps({"md5": "0" * 32})}
    assert inspect(DATA, row, verify_hash=True).columns["detail"] == "changed"
    assert inspect(DATA, row, verify_hash=False).columns["status"] == "ok"
    assert inspect(DATA, {"extra": json.dumps({"md5": md5})}, verify_hash=True).columns["status"] == "ok"


def test_a_scorer_sees_what_is_stored_and_the_row() -> None:
    asked = []

    def scorer(data: bytes, row: Any) -> dict[str, float]:
        asked.append((data, row["alt_text"]))
        return {"harmless": 0.5}

    assert inspect(DATA, {"alt_text": "a cat"}, scorer=scorer).columns["safety"] == '{"harmless": 0.5}'
    inspect(b"<html>", {"alt_text": "none"}, scorer=scorer)
    assert asked == [(DATA, "a cat")]
    with pytest.raises(ValueError, match="the scorer gives 'harmless' -1"):
        inspect(DATA, scorer=lambda data, row: {"harmless": -1.0})
