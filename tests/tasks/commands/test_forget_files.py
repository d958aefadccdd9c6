"""Files without an image: tars, tables, the index, and which folders are looked through."""

import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.commands.forget_files import data_folders, edit_graph, edit_index, edit_table, edit_tar, parquet_files, positions
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.scores import CONTRACT as SCORES
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.core.forgotten import Forgotten
from tasks.core.tables import RECIPE, Shard, Sink
from tasks.methods.forgetting import Wanted
from tasks.methods.index_files import read_index, write_index
from tasks.methods.search import build_index
from tasks.methods.tars import Entry, read_images, write_images
from tests.tasks.conftest import write_table

WANTED = Wanted(samples=frozenset({"b"}))


def test_a_tar_without_a_key_is_the_tar_of_the_others(tmp_path: Path) -> None:
    entries = [Entry(f"00000000{n}", "jpg", bytes([n]) * 700, f"text {n}", {"image_id": str(n)}) for n in range(3)]
    write_images(tmp_path / "all.tar", entries)
    write_images(tmp_path / "others.tar", [entries[0], entries[2]])
    seen: list[Path] = []
    assert edit_tar(tmp_path / "all.tar", {"000000001", "000000009"}, seen.append) == 1
    assert (tmp_path / "all.tar").read_bytes() == (tmp_path / "others.tar").read_bytes()
    assert edit_tar(tmp_path / "all.tar", {"000000001"}, seen.append) == 0
    assert seen == [tmp_path / "all.tar"]
    assert [key for key, _ in read_images(tmp_path / "all.tar")] == ["000000000", "000000002"]
    with tarfile.open(tmp_path / "all.tar") as tar:
        assert len(tar.getnames()) == 6


def test_rows_go_or_are_emptied_and_other_files_stay(project: Path) -> None:
    rows = [{"sample_id": name, "crawl": "demo-1", "valid": True, "reasons": []} for name in "abc"]
    write_table(VALIDITY, Path("data/validity"), rows)
    write_table(VALIDITY, Path("data/validity"), [rows[0]], shard="00001")
    names = [name for name in SCORES.schema.names if name not in ("sample_id", "crawl")]
    scores = [{"sample_id": name, "crawl": "demo-1"} | {key: "x" if key == "suggested_concept" else 1 for key in names} for name in "abc"]
    scores = [row | {"is_label_issue": False} for row in scores]
    sink = Sink(SCORES, Path("data/scores"), ["demo-1"], per_crawl=False)
    sink.write(Shard("demo-1", "00000"), pa.Table.from_pylist(scores, schema=SCORES.schema), "recipe")
    seen: list[Path] = []
    counts = [edit_table(path, WANTED, Forgotten(), Path("data/crawls"), seen.append) for path in parquet_files(data_folders())]
    assert counts.count(1) == len(seen) == 2
    assert [row["valid"] for row in pq.ParquetFile("data/validity/demo-1/00000.parquet").read().to_pylist()] == [True, False, True]
    left = pq.ParquetFile("data/scores/crawl=demo-1/00000.parquet").read()
    assert left["sample_id"].to_pylist() == ["a", "c"]
    assert RECIPE not in left.schema.metadata
    assert [edit_table(path, WANTED, Forgotten(), Path("data/crawls"), seen.append) for path in parquet_files(data_folders())] == [0, 0, 0]


def test_the_folders_of_the_graph_are_looked_through(project: Path) -> None:
    for name in ("records", "clean", "images", "curated", "elsewhere"):
        Path("data", name).mkdir()
    assert data_folders() == [Path("data") / name for name in ("clean", "concepts", "curated", "images", "records")]


def test_index_and_graph_count_anew_once(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float16)
    folder = tmp_path / "index"
    folder.mkdir()
    np.save(folder / "vectors.npy", vectors)
    write_index(build_index(vectors), folder / "image.index")
    pq.write_table(pa.table({"position": np.arange(4), "sample_id": list("abcd"), "crawl": ["x"] * 4}), folder / "rows.parquet")
    graph = [{"position": n, "sample_id": "abcd"[n], "crawl": "x", "neighbors": [(n + 1) % 4], "similarities": [0.5]} for n in range(4)]
    write_table(NEIGHBORS, tmp_path / "neighbors", graph, per_crawl=False)
    gone = positions(folder, WANTED)
    assert gone.tolist() == [1]
    seen: list[Path] = []
    edit_index(folder, gone, seen.append)
    assert len(positions(folder, WANTED)) == 0
    assert (np.load(folder / "vectors.npy") == vectors[[0, 2, 3]]).all()
    assert read_index(folder / "image.index").ntotal == 3
    assert pq.ParquetFile(folder / "rows.parquet").read()["position"].to_pylist() == [0, 1, 2]
    assert edit_graph([tmp_path / "neighbors"], gone, "token", seen.append) == 1
    assert edit_graph([tmp_path / "neighbors"], gone, "token", seen.append) == 0
    rows = pq.ParquetFile(next((tmp_path / "neighbors").rglob("*.parquet"))).read().to_pylist()
    assert [(row["position"], row["neighbors"]) for row in rows] == [(0, []), (1, [2]), (2, [0])]


def test_without_an_index_there_is_nothing_to_take_out(tmp_path: Path) -> None:
    assert positions(tmp_path, WANTED).tolist() == []
    with pytest.raises(FileNotFoundError):
        edit_tar(tmp_path / "none.tar", {"a"}, lambda path: None)
