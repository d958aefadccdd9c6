"""Index: positions, vectors and graph over crawls that repeat samples."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import index as stage
from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.core.errors import ContractError, ParamsError
from tasks.core.params import SharedParams
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.search import read_index, search

PARAMS = {
    "kind": "auto", "n_neighbors": 3, "max_exact": 1000, "memory_gb": 1.0,
    "lists_per_sqrt": 4.0, "points_per_list": 16, "n_probes": 8, "n_recall_samples": 50,
}  # fmt: skip
CRAWLS = ["beta", "alpha"]


def embed(root: Path, crawl: str, name: str, ids: list[str], width: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(len(ids), width)).astype(np.float16)
    columns = {
        "sample_id": ids,
        "crawl": [crawl] * len(ids),
        "image_embedding": pa.array(list(vectors), pa.list_(pa.float16())),
        "text_embedding": pa.nulls(len(ids), pa.list_(pa.float16())),
    }
    Sink(EMBEDDINGS, root / "embeddings", CRAWLS).write(Shard(crawl, name), pa.table(columns).cast(EMBEDDINGS.schema))
    return vectors


def run(root: Path, **changes) -> tuple[dict, list[dict]]:
    neighbors = {"contract": NEIGHBORS, "root": root / "neighbors", "crawls": CRAWLS, "per_crawl": False}
    metrics = stage.index(
        embeddings=Source(EMBEDDINGS, root / "embeddings", CRAWLS),
        index=Artifact(root / "index"),
        neighbors=Sink(**neighbors),
        params=stage.IndexParams(**{**PARAMS, **changes}),
        shared=SharedParams(seed=0),
    )
    return metrics, Source(**neighbors).table().to_pylist()


def test_positions_follow_crawls_then_ids_and_repeats_are_kept_once(tmp_path):
    first = embed(tmp_path, "beta", "00000", ["d", "b"], seed=1)
    second = embed(tmp_path, "beta", "00001", ["c"], seed=2)
    third = embed(tmp_path, "alpha", "00000", ["b", "a"], seed=3)
    metrics, rows = run(tmp_path)
    assert [(row["position"], row["sample_id"], row["crawl"]) for row in rows] == [
        (0, "b", "beta"), (1, "c", "beta"), (2, "d", "beta"), (3, "a", "alpha"),
    ]  # fmt: skip
    assert metrics == {"samples": 4, "width": 8, "repeated": 1, "kind": "exact", "recall": 1.0}
    assert (np.load(tmp_path / "index/vectors.npy") == np.stack([first[1], second[0], first[0], third[1]])).all()
    assert pq.read_table(tmp_path / "index/rows.parquet")["sample_id"].to_pylist() == ["b", "c", "d", "a"]
    assert all(sorted([*row["neighbors"], row["position"]]) == [0, 1, 2, 3] for row in rows)
    positions, _ = search(read_index(tmp_path / "index/image.index"), second, k=1)
    assert positions.tolist() == [[1]]


def test_long_crawls_are_cut_into_shards_and_equal_bytes_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROWS_PER_SHARD", 40)
    embed(tmp_path, "beta", "00000", [f"{number:03d}" for number in range(100)])
    stale = tmp_path / "neighbors/crawl=beta/00009.parquet"
    _, rows = run(tmp_path)
    files = sorted((tmp_path / "neighbors").rglob("*.parquet"))
    assert [file.name for file in files] == ["00000.parquet", "00001.parquet", "00002.parquet"]
    assert [row["position"] for row in rows] == list(range(100))
    before = [file.read_bytes() for file in [*files, tmp_path / "index/image.index"]]
    stale.write_bytes(files[0].read_bytes())
    run(tmp_path)
    assert not stale.exists()
    assert [file.read_bytes() for file in [*files, tmp_path / "index/image.index"]] == before


def test_an_approximate_index_says_its_recall(tmp_path):
    embed(tmp_path, "beta", "00000", [f"{number:04d}" for number in range(600)], width=16)
    metrics, rows = run(tmp_path, kind="ivf", n_probes=1)
    assert 0.05 < metrics["recall"] < 0.9
    assert all(len(row["neighbors"]) == 3 for row in rows)


def test_one_sample_has_no_neighbours(tmp_path):
    embed(tmp_path, "alpha", "00000", ["a"])
    metrics, rows = run(tmp_path)
    assert (metrics["samples"], rows[0]["neighbors"]) == (1, [])


def test_messages_name_the_way_out(tmp_path):
    with pytest.raises(ParamsError, match=r"no sample has an embedding: nothing passed `validate`"):
        run(tmp_path)
    embed(tmp_path, "beta", "00000", ["a", "b"])
    embed(tmp_path, "alpha", "00000", ["c"], width=6)
    with pytest.raises(ContractError, match=r"embeddings of alpha/00000 have width 6, others 8: run `dvc repro -f embed`"):
        run(tmp_path)
    embed(tmp_path, "alpha", "00000", ["c"], width=8)
    embed(tmp_path, "beta", "00000", ["a", "b"], width=8)
    with pytest.raises(ParamsError, match=r"index\.kind"):
        stage.make_index(np.ones((4, 6), np.float16), "ivf_pq", stage.IndexParams(**PARAMS), 0)
