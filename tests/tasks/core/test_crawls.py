import pyarrow as pa
import pytest
import yaml

from tasks.core.crawls import MANIFEST, CrawlSettings, read_manifest, read_settings, write_crawl
from tasks.core.errors import CrawlError

SETTINGS = CrawlSettings(
    allow_hosts=[], connect={}, user_agent="Sluice", contact="", respect_robots=True, respect_noai=True, concurrency=8,
    per_host_concurrency=2, attempts=3, deadline_s=10.0, shard_deadline_s=100.0, max_redirects=3, max_bytes=1000, max_pixels=1000,
    max_side=64, quality=90, rows_per_shard=100, breaker_requests=10, breaker_share=0.5,
)  # fmt: skip


def manifest(*names: str) -> pa.Table:
    rows = [{"sample_id": f"s{n}", "image_id": f"i{n}", "url": f"http://x.test/{n}", "alt_text": "", "concept": None} for n in names]
    return pa.Table.from_pylist([row | {"page_url": None, "extra": None} for row in rows], schema=MANIFEST)


def test_a_crawl_is_written_and_read(tmp_path):
    write_crawl(tmp_path / "c", manifest("2", "1"), SETTINGS)
    assert read_manifest(tmp_path / "c")["image_id"].to_pylist() == ["i1", "i2"]
    assert read_settings(tmp_path / "c") == SETTINGS
    assert not (tmp_path / "c" / "web.parquet").exists()


def test_an_empty_manifest_is_refused(tmp_path):
    with pytest.raises(CrawlError, match="crawl 'c' has an empty manifest: nothing to fetch"):
        write_crawl(tmp_path / "c", manifest(), SETTINGS)
    assert not (tmp_path / "c").exists()


def test_a_folder_that_is_no_crawl(tmp_path):
    with pytest.raises(CrawlError, match="has no readable manifest"):
        read_manifest(tmp_path)
    with pytest.raises(CrawlError, match="has no readable settings.yaml: add it with `sluice crawl add`"):
        read_settings(tmp_path)


def test_a_wrong_setting_is_named(tmp_path):
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump() | {"quality": 900}))
    with pytest.raises(CrawlError, match="'quality': Input should be less than or equal to 100"):
        read_settings(tmp_path)
