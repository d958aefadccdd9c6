"""What `match` and `score` read of all samples, against the tables as a whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.stage import contract_of
from tasks.core.tables import Shard, Sink, Source
from tasks.methods import blocks
from tasks.methods.alignment import matrix, padded
from tasks.methods.prototypes import normalized
from tasks.methods.samples import align, nearest_usable
from tasks.sample_rows import read_graph, read_samples, read_vectors, vector_width
from tests.tasks.wide_web import NAMES, make_wide_web


def embeddings_of(root: Path, shards: dict[tuple[str, str], dict[str, list[float]]]) -> Source:
    """An embeddings table of these shards' samples, without texts."""
    contract, crawls = contract_of("embeddings"), sorted({crawl for crawl, _ in shards})
    for (crawl, name), rows in shards.items():
        columns = {"sample_id": list(rows), "crawl": [crawl] * len(rows), "image_embedding": list(rows.values())}
        table = pa.table({**columns, "text_embedding": pa.nulls(len(rows), pa.list_(pa.float16()))}, schema=contract.schema)
        Sink(contract, root, crawls).write(Shard(crawl, name), table)
    return Source(contract, root, crawls)


@pytest.mark.parametrize("block_bytes", [100, 1 << 24])
def test_files_hold_what_the_tables_say_in_the_order_of_the_index(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    web = make_wide_web(tmp_path, 4100, 6)
    tables = {name: web.source(name) for name in ("records", "embeddings", "neighbors", "duplicates")}
    (tmp_path / "scratch").mkdir()
    found = read_samples(**tables, names=NAMES, folder=tmp_path / "scratch", n_neighbors=4)
    texts, has_text = read_vectors(tables["embeddings"], found.sample_ids, "text_embedding", tmp_path / "scratch")
    graph = tables["neighbors"].table()
    whole = align(tables["embeddings"].table(), graph["sample_id"])
    assert found.sample_ids.to_pylist() == graph["sample_id"].to_pylist()
    assert np.array_equal(found.embeddings, normalized(matrix(whole["image_embedding"])))
    assert np.array_equal(texts, normalized(matrix(whole["text_embedding"])))
    assert has_text.tolist() == whole["text_embedding"].is_valid().to_pylist()
    listed = padded(graph["neighbors"], -1, np.int64), padded(graph["similarities"], 0, np.float32)
    near, similarities = nearest_usable(*listed, found.weights > 0, 4)
    assert np.array_equal(found.neighbors, near)
    assert np.array_equal(found.similarities, similarities)
    given = dict(zip(*(tables["records"].table()[name].to_pylist() for name in ("sample_id", "concept")), strict=True))
    assert [NAMES[code] if code >= 0 else None for code in found.given] == [given[name] for name in found.sample_ids.to_pylist()]
    assert all(isinstance(array, np.memmap) for array in (found.embeddings, found.neighbors, found.similarities, texts))


def test_rows_with_fewer_neighbours_are_filled_up(tmp_path):
    contract = contract_of("neighbors")
    lists = {"00000": [[2, 1], [0]], "00001": [[], [0, 1, 2]]}
    for name, found in lists.items():
        ids = [f"{name}-{row}" for row in range(2)]
        columns = {"position": [0, 0], "sample_id": ids, "crawl": ["a", "a"], "neighbors": found, "similarities": found}
        Sink(contract, tmp_path / "table", ["a"], False).write(Shard("a", name), pa.table(columns, schema=contract.schema))
    source = Source(contract, tmp_path / "table", ["a"], False)
    everyone = np.ones(4, bool)
    near, similarities = read_graph(source, tmp_path, everyone, 3)
    assert near.tolist() == [[2, 1, -1], [0, -1, -1], [-1, -1, -1], [0, 1, 2]]
    assert similarities.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 0], [0, 1, 2]]
    assert read_graph(source, tmp_path, everyone, 2)[0].tolist() == [[2, 1], [0, -1], [-1, -1], [0, 1]]
    near, similarities = read_graph(source, tmp_path, np.array([True, False, True, True]), 2)
    assert near.tolist() == [[2, -1], [0, -1], [-1, -1], [0, 2]]  # who shapes nothing leaves the place to the next
    assert similarities.tolist() == [[2, 0], [0, 0], [0, 0], [0, 2]]


def test_of_a_sample_that_a_later_crawl_repeats_the_first_embedding_counts(tmp_path):
    source = embeddings_of(tmp_path / "table", {("a", "0"): {"x": [1, 0]}, ("b", "0"): {"y": [0, 2], "x": [0, 1]}})
    vectors, there = read_vectors(source, pa.chunked_array([["y", "x"]]), "image_embedding", tmp_path)
    assert vectors.tolist() == [[0, 1], [1, 0]]
    assert there.all()


def test_a_missing_sample_and_a_vector_of_another_length_are_named(tmp_path):
    source = embeddings_of(tmp_path / "table", {("a", "0"): {}, ("a", "1"): {"x": [1, 0]}, ("a", "2"): {"y": [0, 2, 1]}})
    assert vector_width(source) == 2
    with pytest.raises(ValueError, match="^1 indexed samples are missing from a table, such as z: run `dvc repro` again$"):
        read_vectors(source, pa.chunked_array([["x", "z"]]), "image_embedding", tmp_path)
    with pytest.raises(ValueError, match="^1 embeddings hold 3 numbers, not 2 each: make them anew with one encoder$"):
        read_vectors(source, pa.chunked_array([["x", "y"]]), "image_embedding", tmp_path)
