"""Keep an index in files: one that FAISS reads, and beside it segments of the inverted lists for the rows that came later.

A row that goes into every list would have the whole file written again. So a later crawl's rows have lists of their own, and small ones
are joined now and then, as the crawls' ends alone decide: a file's bytes don't depend on the number of runs that it took.
"""

import os
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tasks.methods.cells import Cells
from tasks.methods.search import IndexKind, append_rows, build_index, kind_of

JOINED = 0.1  # of the rows before it: a segment that has so many is joined to them, so that there are few to look into


def write_index(index: Any, path: Path) -> None:
    """Write an index as a FAISS file, without segments."""
    faiss = _faiss()

    faiss.write_index(index, str(path))
    for segment in segments_of(path):
        segment.unlink()


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """Read a FAISS file and its segments; `mapped` leaves the file's vectors on the disk until they are looked at, to search alone.

    Raises ValueError if they aren't what was written.
    """
    faiss = _faiss()

    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        segments = segments_of(path)
        if not segments:
            return index
        lists = [faiss.read_InvertedLists(faiss.FileIOReader(str(segment))) for segment in segments]
    except RuntimeError as error:
        raise ValueError(f"{path} is no FAISS index that can be read: run `dvc repro index` ({str(error).splitlines()[0]})") from None
    for segment, more in zip(segments, lists, strict=True):
        start, stop = span_of(segment)
        if start != index.ntotal or more.compute_ntotal() != stop - start:
            raise ValueError(f"{segment} doesn't go on where {index.ntotal} rows end: run `dvc repro index`")
        if not mapped:
            index.invlists.merge_from(more, 0)
        index.ntotal = stop
    if mapped:
        _stack(index, lists)
    return index


def write_segments(
    vectors: np.ndarray, path: Path, *, kind: IndexKind, cells: Cells, ends: Sequence[int], held: Path | None = None,
    points_per_list: int = 64, seed: int = 0,
) -> None:  # fmt: skip
    """Write an "ivf" or "ivf_pq" index over all `vectors` (n, d), whose crawls end at `ends`: the file and its segments.

    What there is in the files of `held`, an index over the first rows with the same centroids, is linked, and only further rows are read.
    Raises ValueError for a width that PQ can't divide.
    """
    faiss = _faiss()

    edges = segment_edges([*ends, len(vectors)], cells.trained)
    index = _held_index(held, kind, edges[1])
    if index is None or held is None:
        index, held = build_index(vectors[: edges[1]], kind=kind, cells=cells, points_per_list=points_per_list, seed=seed), None
        write_index(index, path)
    else:
        link(held, path)
    made = [segment_path(path, *span) for span in pairwise(edges[1:])]
    for target, (start, stop) in zip(made, pairwise(edges[1:]), strict=True):
        source = held and segment_path(held, start, stop)
        if source is not None and source.is_file():
            link(source, target)
            continue
        _replace_lists(index, faiss.ArrayInvertedLists(index.nlist, index.code_size))
        index.ntotal = start
        append_rows(index, vectors[:stop], cells=cells)
        faiss.write_InvertedLists(index.invlists, faiss.FileIOWriter(str(target)))
    for other in set(segments_of(path)) - set(made):
        other.unlink()


def segment_edges(ends: Sequence[int], trained: int) -> list[int]:
    """Where segments begin and end: 0, the `trained` rows of the FAISS file, and rising numbers up to the last of `ends`, ascending."""
    edges = [0, trained]
    for end in ends:
        if end > edges[-1]:
            edges.append(end)
        while len(edges) > 2 and edges[-1] - edges[-2] >= JOINED * (edges[-2] - edges[-3]):
            del edges[-2]
    return edges


def segments_of(path: Path) -> list[Path]:
    """The segments beside a FAISS file, in the order of their rows."""
    return sorted(path.parent.glob(f"{path.name}.*-*"))


def segment_path(path: Path, start: int, stop: int) -> Path:
    """Where the rows from `start` up to `stop` stand."""
    return path.with_name(f"{path.name}.{start:012d}-{stop:012d}")


def span_of(segment: Path) -> tuple[int, int]:
    """The first row of a segment and the one after its last."""
    start, stop = segment.name.rpartition(".")[2].split("-")
    return int(start), int(stop)


def link(source: Path, target: Path) -> None:
    """Have a file under a second name; a copy where the file system can't link."""
    if source == target:
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _held_index(held: Path | None, kind: IndexKind, n_rows: int) -> Any:
    """The FAISS file of `held`, mapped, if it is of that kind and holds just so many rows."""
    faiss = _faiss()

    if held is None or not held.is_file():
        return None
    try:
        index = faiss.read_index(str(held), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError:  # damaged: it is written anew
        return None
    return index if kind_of(index) == kind and index.ntotal == n_rows else None


def _stack(index: Any, lists: Sequence[Any]) -> None:
    """Let an index look into further lists after its own, which it reads from where they are."""
    faiss = _faiss()

    own = index.invlists
    own.this.acquire()
    index.own_invlists = False
    parts = faiss.InvertedListsPtrVector()
    for part in (own, *lists):
        parts.push_back(part)
    stack = faiss.HStackInvertedLists(parts.size(), parts.data())
    index.replace_invlists(stack, False)
    index.referenced_objects = [own, *lists, stack]  # FAISS' own name for what has to live as long


def _replace_lists(index: Any, lists: Any) -> None:
    lists.this.disown()
    index.replace_invlists(lists, True)


def _faiss() -> Any:
    """FAISS, of which its own type hints don't know enough."""
    import faiss

    return faiss
