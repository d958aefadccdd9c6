"""Index: positions, vectors and graph over crawls that repeat samples."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import index as stage
from tasks import index_rows
from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.core.errors import ContractError, MemoryCeilingError, ParamsError
from tasks.core.params import SharedParams
from tasks.core.settings import Settings
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods import index_files
from tasks.methods.index_files import read_index, segments_of
from tasks.methods.search import search

PARAMS = {
    "kind": "auto", "n_neighbors": 3, "max_exact": 1000, "max_hnsw": 1000, "hnsw_effort": 16,
    "lists_per_sqrt": 2.0, "points_per_list": 16, "n_probes": 8,
    "max_growth": 4.0, "max_drift": 1.5, "n_recall_samples": 50,
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


def run(root: Path, memory_gb: float = 1.0, index_gb: float = 1.0, **changes) -> tuple[dict, list[dict]]:
    neighbors = {"contract": NEIGHBORS, "root": root / "neighbors", "crawls": CRAWLS, "per_crawl": False}
    metrics = stage.index(
        embeddings=Source(EMBEDDINGS, root / "embeddings", CRAWLS),
        index=Artifact(root / "index"),
        neighbors=Sink(**neighbors),
        params=stage.IndexParams(**{**PARAMS, "memory_gb": index_gb, **changes}),
        shared=SharedParams(seed=0),
        settings=Settings(memory_gb=memory_gb),
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
    for module in (stage, index_rows):
        monkeypatch.setattr(module, "ROWS_PER_SHARD", 40)
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
    assert 0.05 < metrics["search_recall"] < 0.9
    assert metrics["cells"] == 49
    assert all(len(row["neighbors"]) == 3 for row in rows)
    assert sorted(file.name for file in (tmp_path / "index").iterdir()) == ["cells.npz", "image.index", "rows.parquet", "vectors.npy"]


@pytest.mark.parametrize("kind", ["hnsw", "ivf", "ivf_pq"])
def test_a_new_crawl_is_appended_and_gives_the_bytes_of_a_whole_build(tmp_path, kind, monkeypatch):
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    for root in (grown, whole):
        embed(root, "beta", "00000", [f"b{number:04d}" for number in range(500)], seed=1)
    run(grown, kind=kind)
    for root in (grown, whole):
        embed(root, "alpha", "00000", [f"a{number:04d}" for number in range(40)], seed=2)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "build_cell_graph", None)  # whoever builds anew fails
        patched.setattr(stage, "build_index", None)
        patched.setattr(index_files, "build_index", None)
        appended = run(grown, kind=kind)
    assert appended == run(whole, kind=kind)
    assert len(segments_of(grown / "index/image.index")) == (kind != "hnsw")
    assert contents(grown / "index") == contents(whole / "index")
    assert contents(grown / "neighbors") == contents(whole / "neighbors")


@pytest.mark.parametrize("change", ["vectors", "params", "graph", "rows"])
def test_what_was_made_otherwise_is_not_appended_to(tmp_path, change):
    ids = [f"b{number:04d}" for number in range(500)]
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    embed(grown, "beta", "00000", ids, seed=1)
    run(grown, kind="ivf", n_probes=2 if change == "params" else 8)
    if change == "graph":
        shard = Source(NEIGHBORS, grown / "neighbors", CRAWLS, per_crawl=False).shards()[0]
        Sink(NEIGHBORS, grown / "neighbors", CRAWLS, per_crawl=False).write(shard, NEIGHBORS.schema.empty_table())
    for root in (grown, whole):
        embed(root, "beta", "00000", ids[10:] if change == "rows" else ids, seed=5 if change == "vectors" else 1)
        embed(root, "alpha", "00000", ["a", "b", "c"], seed=2)
    assert run(grown, kind="ivf") == run(whole, kind="ivf")
    assert contents(grown / "index") == contents(whole / "index")
    assert contents(grown / "neighbors") == contents(whole / "neighbors")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_an_index_over_the_ceiling_is_refused(tmp_path):
    embed(tmp_path, "beta", "00000", [f"{number:04d}" for number in range(600)], width=16)
    with pytest.raises(
        MemoryCeilingError, match=r"an index of kind exact over 600 vectors needs .* GB, SLUICE_MEMORY_GB allows 1e-05: lower"
    ):
        run(tmp_path, memory_gb=1e-5)
    assert not (tmp_path / "index").exists()


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
    embed(tmp_path, "beta", "00000", ["a", "b"], width=6)
    embed(tmp_path, "alpha", "00000", ["c"], width=6)
    with pytest.raises(ParamsError, match=r"params.yaml: index\.kind: index kind 'ivf_pq' needs a width that 4 divides, not 6"):
        run(tmp_path, kind="ivf_pq")
    with pytest.raises(ParamsError, match=r"params.yaml: index\.memory_gb: 3 vectors of 6 numbers need"):
        run(tmp_path, index_gb=1e-9)
