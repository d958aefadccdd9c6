"""Clean sets: Parquet files and folders of folders read alike."""

from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.methods.clean_sets import read_clean_set


def png(colour: str) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (12, 10), colour).save(stream, "PNG")
    return stream.getvalue()


def test_parquet_and_folder_give_the_same_pictures(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": [png("red"), png("blue")], "concept": ["fire", "sea"], "alt_text": [None, "sea"]}), tmp_path / "a.parquet"
    )
    for concept, colour in (("fire", "red"), ("sea", "blue")):
        (tmp_path / "b" / concept).mkdir(parents=True)
        (tmp_path / "b" / concept / "1.png").write_bytes(png(colour))
    first, second = read_clean_set(tmp_path, "a"), read_clean_set(tmp_path, "b")
    assert first is not None
    assert second is not None
    assert first.concepts == second.concepts == ["fire", "sea"]
    assert first.texts == ["", "sea"]
    assert first.picture_ids() == second.picture_ids()
    assert first.picture_ids()[1].startswith("000001-")
    assert first.pictures(8).shape == (2, 8, 8, 3)
    assert first.pictures(8)[0, 0, 0].tolist() == [255, 0, 0]
    assert first.classes(["sea", "land"]).tolist() == [-1, 0]


def test_missing_and_empty_sets_are_none_and_wrong_columns_are_refused(tmp_path: Path) -> None:
    assert read_clean_set(tmp_path, "nothing") is None
    pq.write_table(pa.table({"jpg": [b""], "concept": ["x"]}), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=r"bad.parquet has columns jpg, concept: a clean set needs image \(bytes\) and concept"):
        read_clean_set(tmp_path, "bad")
