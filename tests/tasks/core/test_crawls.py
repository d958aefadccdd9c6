import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.core.crawls import MANIFEST, CrawlSettings, read_manifest, read_settings, write_crawl, write_known
from tasks.core.errors import CrawlError

SETTINGS = CrawlSettings(
    allow_hosts=[], connect={}, user_agent="Sluice", contact="", proxy="", opt_outs=["robots"], concurrency=8, per_host_concurrency=2,
    domain_rate=5.0, domain_burst=10.0, megabytes_per_s=float("inf"), windows=["22:00-06:00"], attempts=3, backoff_s=0.5, max_pause_s=60.0,
    max_host_timeouts=20, deadline_s=10.0, shard_deadline_s=100.0, max_redirects=3, max_bytes=1000, max_pixels=1000, bounded_side="longest",
    decoders=["jpeg"], decoder_memory_mb=1000, encoding="jpg", block_lists=[],
    verify_hash=True, scorer="", max_side=64, quality=90, rows_per_shard=100, breaker_requests=10,
    breaker_share=0.5, max_age_days=30.0,
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


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("proxy", "10.0.0.1:3128", "'10.0.0.1:3128' is no proxy: say http://HOST:PORT, or \"\" for none"),
        ("windows", ["9-17"], "String should match pattern"),
        ("opt_outs", ["nosnippet"], "Input should be 'robots', 'noai'"),
        ("deadline_s", float("inf"), "Input should be a finite number"),
        ("domain_rate", 0.0, "Input should be greater than 0"),
        (
            "respect_robots",
            True,
            "Extra inputs are not permitted; if another version of Sluice has frozen it, remove the crawl with --purge",
        ),
    ],
)
def test_settings_that_are_refused(tmp_path, key, value, message):
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump() | {key: value}))
    with pytest.raises(CrawlError, match=re.escape(message)) as caught:
        read_settings(tmp_path)
    assert f"'{key}" in str(caught.value)


def test_known_images_are_written_as_they_come_or_not_at_all(tmp_path):
    table = pa.table({"image_id": ["a", "b"]})
    assert write_known(tmp_path / "k.parquet", iter([table, table.slice(0, 0), table])) == 4
    assert pq.ParquetFile(tmp_path / "k.parquet").num_row_groups == 2
    assert write_known(tmp_path / "k.parquet", iter([table.slice(0, 0)])) == 0
    assert list(tmp_path.iterdir()) == []
