from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.methods.known import KnownImages


def test_images_are_found_in_the_row_groups_that_may_hold_them(tmp_path: Path) -> None:
    ids = [f"{n:03d}" for n in range(100)]
    with pq.ParquetWriter(tmp_path / "k.parquet", pa.schema([("image_id", pa.string()), ("n", pa.int64())])) as writer:
        for start in range(0, 100, 10):
            part = {"image_id": ids[start : start + 10], "n": list(range(start, start + 10))}
            writer.write_table(pa.table(part))
        writer.write_table(pa.table({"image_id": ["015x", "902"], "n": [1000, 2000]}))
    known = KnownImages(tmp_path / "k.parquet")
    tables = list(known.tables(["014", "015x", "021", "nothing"]))
    assert [table["n"].to_pylist() for table in tables] == [[14], [21], [1000]]
    assert [table.schema.names for table in known.tables(["014"], ["image_id"])] == [["image_id"]]
    assert list(known.tables([])) == []
    known.close()


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    known = KnownImages(tmp_path / "k.parquet")
    assert list(known.tables(["1"])) == []
    known.close()
