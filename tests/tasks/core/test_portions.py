import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core import crawls
from tasks.core.crawls import MANIFEST, write_rows
from tasks.core.errors import CrawlError
from tasks.core.portions import add_retry, cut, read_portions, read_rows, retry_lists, times_refetched
from tasks.core.tables import Shard


def rows(*images: str) -> pa.Table:
    """Two rows of every image."""
    records = []
    for image in images:
        for n in range(2):
            records.append({"sample_id": f"{image}{n}", "image_id": image, "url": f"http://x.test/{image}", "alt_text": str(n)})
    return pa.Table.from_pylist(records, schema=MANIFEST)


def test_shards_hold_whole_images():
    ids = [f"{n // 3:03d}" for n in range(50)]
    for size in (50, 20, 12, 5, 4, 3, 1):  # pieces that end inside an image, inside a shard and where a shard ends
        pieces = [pa.array(ids[start : start + size]) for start in range(0, 50, size)]
        assert list(cut(pieces, 4)) == [(0, 12, 4), (12, 24, 4), (24, 36, 4), (36, 48, 4), (48, 50, 1)]
    assert list(cut([pa.array(ids[:48])], 4))[-1] == (36, 48, 4)
    assert list(cut([pa.array(ids)], 1)) == [(3 * n, min(3 * n + 3, 50), 1) for n in range(17)]
    assert list(cut([pa.array(["a"])], 4)) == [(0, 1, 1)]
    assert list(cut([], 4)) == []


def test_rows_are_read_across_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(crawls, "ROW_GROUP", 7)
    names = [f"{n:02d}" for n in range(20)]
    write_rows(tmp_path / "manifest.parquet", rows(*reversed(names)))
    assert pq.ParquetFile(tmp_path / "manifest.parquet").num_row_groups == 6
    portions = read_portions(tmp_path, "c", 6)
    assert [portion.shard for portion in portions] == [Shard("c", f"{n:05d}") for n in range(4)]
    for place, portion in enumerate(portions):
        assert read_rows(portion)["image_id"].to_pylist() == [name for name in names[6 * place : 6 * place + 6] for _ in range(2)]
        assert portion.moved == frozenset()


def test_retries_make_shards_of_their_own_and_their_images_move(tmp_path):
    write_rows(tmp_path / "manifest.parquet", rows("a", "b", "c", "d", "e"))
    add_retry(tmp_path, rows("b", "c", "d"))
    add_retry(tmp_path, rows("d"))
    assert [path.name for path in retry_lists(tmp_path)] == ["00001.parquet", "00002.parquet"]
    portions = read_portions(tmp_path, "c", 2)
    assert [(portion.shard.name, sorted(portion.moved), portion.n_images) for portion in portions] == [
        ("00000", ["b"], 1),
        ("00002", [], 1),
        ("00003", [], 2),
        ("00005", [], 1),
    ]
    staying = [set(read_rows(portion)["image_id"].to_pylist()) - portion.moved for portion in portions]
    assert sorted(image for found in staying for image in found) == ["a", "b", "c", "d", "e"]


def test_a_manifest_that_is_none_is_named(tmp_path):
    with pytest.raises(CrawlError, match=r"has no readable manifest .*: add it with `sluice crawl add`"):
        read_portions(tmp_path, "c", 2)
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "manifest.parquet")
    with pytest.raises(CrawlError, match=r"manifest.parquet has columns \['image_id'\], not \['sample_id'"):
        read_portions(tmp_path, "c", 2)
    write_rows(tmp_path / "manifest.parquet", rows())
    with pytest.raises(CrawlError, match="has an empty manifest.parquet: nothing to fetch"):
        read_portions(tmp_path, "c", 2)


def test_refetches_are_counted(tmp_path):
    assert times_refetched(tmp_path) == 0
    (tmp_path / "refetched.yaml").write_text("times: 3\n")
    assert times_refetched(tmp_path) == 3
    (tmp_path / "refetched.yaml").write_text("often\n")
    with pytest.raises(CrawlError, match="refetched.yaml does not say how many `times`: run `sluice crawl refetch` again"):
        times_refetched(tmp_path)
