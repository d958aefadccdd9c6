import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods.source_parquet import holds_images, read_parquet

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_hugging_faces_images_come_with_the_names_of_their_labels(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    images = pa.array([{"bytes": b"one", "path": None}, None, {"bytes": b"0123456789", "path": "x.jpg"}], IMAGE)
    table = pa.table({"image": images, "label": [1, 0, 5], "text": ["a", "b", None]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "hf.parquet")
    assert holds_images(tmp_path / "hf.parquet")
    assert list(read_parquet(tmp_path / "hf.parquet", 4)) == [
        (b"one", {"file": "hf.parquet/0", "label": "dog", "text": "a"}),
        (b"01234", {"file": "hf.parquet/2", "label": 5, "text": None}),
    ]


def test_plain_columns_of_bytes_are_known_by_their_names(tmp_path: Path) -> None:
    path = write(tmp_path / "i2d.parquet", url=["http://a.test/"], jpg=[b"one"], vector=[b"\0\0"])
    assert list(read_parquet(path, 10)) == [(b"one", {"file": "i2d.parquet/0", "url": "http://a.test/"})]
    assert not holds_images(write(tmp_path / "m.parquet", url=["http://a.test/"], blob=[b"x"]))


def test_files_by_reference_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "ref.parquet", image=pa.array([{"bytes": None, "path": "/etc/passwd"}], IMAGE))
    with pytest.raises(ValueError, match="row 0 names the file '/etc/passwd' instead of holding its bytes"):
        list(read_parquet(path, 10))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(ValueError, match="broken.parquet can't be read as parquet"):
        holds_images(tmp_path / "broken.parquet")
    with pytest.raises(ValueError, match="no column of images"):
        list(read_parquet(write(tmp_path / "m.parquet", url=["u"]), 10))
