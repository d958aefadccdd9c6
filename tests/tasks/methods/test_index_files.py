"""Index files: what is written is read again, segments hold what came later, and their bytes don't tell how often an index grew."""

import os
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from tasks.methods import index_files
from tasks.methods.cells import Cells, train_cells
from tasks.methods.index_files import read_index, segment_edges, segments_of, write_index, write_segments
from tasks.methods.search import build_index, remove_rows, search
from tests.tasks.methods.test_search import clusters

ENDS = [1000, 1040, 1050, 1056]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clusters(ENDS[-1])


@pytest.fixture(scope="module")
def cells(vectors) -> Cells:
    trained = train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=32, seed=0, n_rows=ENDS[0])
    cosines = vectors.astype(np.float32) @ trained.centroids.T
    return replace(trained, labels=cosines.argmax(axis=1).astype(np.int32))


def write(path: Path, vectors: np.ndarray, cells: Cells, n_crawls: int, kind: str = "ivf", held: Path | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    n = ENDS[n_crawls - 1]
    write_segments(vectors[:n], path, kind=kind, cells=replace(cells, labels=cells.labels[:n]), ends=ENDS[:n_crawls], held=held)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in [path, *segments_of(path)]}


def test_an_index_survives_the_disk_and_its_old_segments_dont(tmp_path, vectors, cells):
    path = write(tmp_path / "image.index", vectors, cells, 2)
    assert len(segments_of(path)) == 1
    write_index(build_index(vectors[:300]), path)
    assert segments_of(path) == []
    assert search(read_index(path), vectors[:20], k=3)[0][:, 0].tolist() == list(range(20))


@pytest.mark.parametrize("kind", ["ivf", "ivf_pq"])
def test_segments_are_the_same_index_in_more_files(tmp_path, kind, vectors, cells):
    path = write(tmp_path / "image.index", vectors, cells, 4, kind)
    whole = build_index(vectors, kind=kind, cells=cells)
    assert [segment.name for segment in segments_of(path)] == ["image.index.000000001000-000000001056"]
    assert faiss.serialize_index(read_index(path)).tobytes() == faiss.serialize_index(whole).tobytes()
    for found, wanted in zip(
        search(read_index(path, mapped=True), vectors[990:], k=5, n_probes=9), search(whole, vectors[990:], k=5, n_probes=9), strict=True
    ):
        assert (found == wanted).all()


@pytest.mark.parametrize("kind", ["ivf", "ivf_pq"])
def test_files_that_grew_are_those_written_at_once(tmp_path, monkeypatch, kind, vectors, cells):
    write(tmp_path / "1/image.index", vectors, cells, 1, kind)
    with monkeypatch.context() as patched:
        patched.setattr(index_files, "build_index", None)  # whoever builds anew fails
        for n_crawls in (2, 3, 4):
            held = tmp_path / f"{n_crawls - 1}/image.index"
            grown = write(tmp_path / f"{n_crawls}/image.index", vectors, cells, n_crawls, kind, held)
    assert contents(grown) == contents(write(tmp_path / "whole/image.index", vectors, cells, 4, kind))
    assert grown.stat().st_ino == (tmp_path / "1/image.index").stat().st_ino


def test_an_index_grows_in_place(tmp_path, vectors, cells):
    path = tmp_path / "image.index"
    for n_crawls in (1, 2, 4):
        write(path, vectors, cells, n_crawls, held=path)
    assert contents(path) == contents(write(tmp_path / "whole/image.index", vectors, cells, 4))


def test_what_is_no_beginning_is_written_anew(tmp_path, vectors, cells):
    held = tmp_path / "image.index"
    write_index(build_index(vectors[:1040], kind="ivf", cells=replace(cells, labels=cells.labels[:1040])), held)  # all rows in one file
    grown = write(tmp_path / "grown/image.index", vectors, cells, 2, held=held)
    assert contents(grown) == contents(write(tmp_path / "whole/image.index", vectors, cells, 2, held=tmp_path / "nothing"))


def test_a_file_system_without_links_gets_copies(tmp_path, monkeypatch, vectors, cells):
    def refuse(*_: Path) -> None:
        raise OSError("no links here")

    held = write(tmp_path / "image.index", vectors, cells, 1)
    monkeypatch.setattr(os, "link", refuse)
    grown = write(tmp_path / "grown/image.index", vectors, cells, 2, held=held)
    assert read_index(grown).ntotal == 1040
    assert grown.read_bytes() == held.read_bytes()


def test_rows_leave_segments_too(tmp_path, vectors, cells):
    path, gone = write(tmp_path / "image.index", vectors, cells, 4), np.array([3, 1002, 1055])
    left = np.delete(vectors, gone, axis=0)
    write_index(remove_rows(read_index(path), gone, left), path)
    found, _ = search(read_index(path), left, k=1, n_probes=100)
    assert (segments_of(path), found[:, 0].tolist()) == ([], list(range(1053)))


def test_small_segments_are_joined():
    assert segment_edges([1000], 1000) == [0, 1000]
    assert segment_edges([700, 1000, 1010], 1000) == [0, 1000, 1010]
    assert segment_edges([1000, 1090, 1098], 1000) == [0, 1000, 1090, 1098]
    assert segment_edges([1000, 1090, 1098, 1099], 1000) == [0, 1000, 1099]  # 9 are a tenth of 90, and 99 no tenth of 1000
    assert segment_edges([1000, 1090, 1098, 1100], 1000) == [0, 1100]


def test_what_cannot_be_read_is_named(tmp_path, vectors, cells):
    path = tmp_path / "image.index"
    path.write_bytes(b"no index")
    with pytest.raises(ValueError, match=r"image\.index is no FAISS index that can be read: run `dvc repro index`"):
        read_index(path)
    write(path, vectors, cells, 2)
    segment = segments_of(path)[0]
    segment.rename(path.with_name("image.index.000000001010-000000001050"))
    with pytest.raises(ValueError, match=r"000000001050 doesn't go on where 1000 rows end: run `dvc repro index`"):
        read_index(path)
