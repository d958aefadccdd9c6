"""Generate: the crawl's folder is a crawl, the truth lies apart, and twice is the same."""

import pyarrow.parquet as pq
import pytest

from tasks.core.crawls import CrawlSettings, read_manifest, read_settings
from tasks.core.errors import ParamsError
from tasks.core.tables import Artifact
from tasks.generate import DemoParams, GenerateParams, generate
from tasks.methods.manifests import image_ids, sample_ids

SETTINGS = CrawlSettings(
    allow_hosts=["demo.test"],
    connect={"demo.test": "embedded"},
    user_agent="sluice",
    contact="",
    proxy="",
    opt_outs=["robots", "noai"],
    concurrency=8,
    per_host_concurrency=8,
    domain_rate=5.0,
    domain_burst=10.0,
    megabytes_per_s=1.5,
    windows=[],
    attempts=1,
    backoff_s=0.1,
    max_pause_s=10.0,
    max_host_timeouts=20,
    deadline_s=5.0,
    shard_deadline_s=60.0,
    max_redirects=1,
    max_bytes=1_000_000,
    max_pixels=1_000_000,
    max_side=256,
    quality=90,
    bounded_side="longest",
    decoders=["jpeg", "png"],
    decoder_memory_mb=1000,
    encoding="jpg",
    block_lists=[],
    verify_hash=True,
    scorer="",
    rows_per_shard=100,
    breaker_requests=10,
    breaker_share=0.9,
    max_age_days=0.0,
)
PARAMS = GenerateParams(crawls={"demo-1": DemoParams(rows=120, seed=1, leaks=2)}, clean_seed=0, settings=SETTINGS)


def made(folder):
    crawls, truth = Artifact(folder / "crawls" / "demo-1"), Artifact(folder / "truth" / "demo-1")
    return generate("demo-1", crawls, truth, PARAMS), crawls.path, truth.path


def test_the_folder_is_a_crawl(tmp_path):
    metrics, folder, truth = made(tmp_path)
    manifest, web = read_manifest(folder), pq.read_table(folder / "web.parquet")
    assert metrics == {"rows": 120, "files": web.num_rows}
    assert manifest.num_rows == 120
    assert read_settings(folder) == SETTINGS
    urls, texts, concepts = (manifest[name].to_pylist() for name in ("url", "alt_text", "concept"))
    assert manifest["sample_id"].to_pylist() == sample_ids(urls, texts, concepts)
    assert manifest["image_id"].to_pylist() == image_ids(urls)
    assert sorted(pq.read_table(truth / "truth.parquet")["url"].to_pylist()) == sorted(urls)
    assert {path.name for path in folder.iterdir()} == {"manifest.parquet", "settings.yaml", "web.parquet"}


def test_twice_gives_the_same_bytes(tmp_path):
    _, folder, truth = made(tmp_path / "a")
    _, again, truth_again = made(tmp_path / "b")
    for path in (*folder.iterdir(), *truth.iterdir()):
        other = (again if path.parent == folder else truth_again) / path.name
        assert path.read_bytes() == other.read_bytes()


def test_a_crawl_that_params_don_t_describe_is_named(tmp_path):
    with pytest.raises(ParamsError, match=r"'generate\.crawls' has no 'demo-9': add its rows, seed and leaks"):
        generate("demo-9", Artifact(tmp_path / "c"), Artifact(tmp_path / "t"), PARAMS)
