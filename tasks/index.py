"""Index: a FAISS index and the kNN graph over all image embeddings, built once for all stages that follow.

A sample's position is its place among the distinct samples: crawls in the order of params.yaml, sample_ids sorted inside a crawl. A sample
that a later crawl repeats keeps its first place and embedding. All tables over all crawls are in this order.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.core.errors import ParamsError
from tasks.core.files import digest_of, write_folder_atomically
from tasks.core.params import Params, SharedParams
from tasks.core.progress import track
from tasks.core.settings import Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.index_rows import ROWS_PER_SHARD, count_rows, crawl_edges, distinct_rows, gather_vectors, shard_spans
from tasks.methods.cell_append import append_to_cell_graph
from tasks.methods.cell_graph import build_cell_graph, pack, unpack
from tasks.methods.cells import Cells, count_gpus, grow_cells, read_cells, write_cells
from tasks.methods.index_files import read_index, write_index, write_segments
from tasks.methods.knn import graph_recall, knn_blocks, sampled_rows
from tasks.methods.search import IndexKind, append_rows, build_index, choose_index, index_bytes, kind_of, others_found

INDEX, ROWS, VECTORS, CELLS = "image.index", "rows.parquet", "vectors.npy", "cells.npz"
GRAPH = "graph.tmp"
log = logging.getLogger(__name__)


class IndexParams(Params):
    """Which index, how wide a graph, how well measured."""

    kind: Literal["auto", "exact", "hnsw", "ivf", "ivf_pq"]
    n_neighbors: Annotated[int, Field(ge=1, le=1000)]
    max_exact: Annotated[int, Field(ge=0)]
    max_hnsw: Annotated[int, Field(ge=0)]
    hnsw_effort: Annotated[int, Field(ge=1)]
    memory_gb: Annotated[float, Field(gt=0)]
    lists_per_sqrt: Annotated[float, Field(gt=0)]
    points_per_list: Annotated[int, Field(ge=1)]
    n_probes: Annotated[int, Field(ge=1)]
    max_growth: Annotated[float, Field(ge=1)]
    max_drift: Annotated[float, Field(ge=1)]
    n_recall_samples: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Held:
    """What an earlier run left of the same recipe: the cells of the first rows, and the folder with their index."""

    cells: Cells
    folder: Path


def index(embeddings: Source, index: Artifact, neighbors: Sink, params: IndexParams, shared: SharedParams, settings: Settings) -> Metrics:
    """Vectors, their FAISS index and the neighbours of every distinct sample."""
    rows = distinct_rows(embeddings)
    recipe = digest_of(params.model_dump(), shared.seed)
    with write_folder_atomically(index.path) as folder:
        pq.write_table(rows, folder / ROWS, compression="zstd")
        vectors = gather_vectors(embeddings, rows, folder / VECTORS)
        n, d = vectors.shape
        kind = choose(n, d, params, settings)
        samples = sampled_rows(n, params.n_recall_samples, shared.seed)
        measured: Metrics = {}
        if kind == "exact":
            write_index(build_index(vectors), folder / INDEX)
            graph = None
        else:
            held = find_held(index.path, rows, vectors, recipe)
            gpu = count_gpus() > 0 and settings.device != "cpu"
            ends = [edge for edge in crawl_edges(rows)[1:] if edge == n or params.kind != "auto" or edge > params.max_exact]
            cells = cut_cells(vectors, ends, held, params, shared.seed, gpu)
            built = make_index(vectors, kind, cells, held, crawl_edges(rows)[1:], folder / INDEX, params, shared.seed)
            write_cells(cells, folder / CELLS, recipe)
            found = others_found(built, vectors, samples, k=min(params.n_neighbors, n - 1), n_probes=params.n_probes)
            measured = {"cells": len(cells.centroids), "search_recall": graph_recall(vectors, samples, found)}
            del built
            graph = make_graph(vectors, cells, held, neighbors, folder / GRAPH, params, recipe, settings.workers, gpu)
        recall = write_graph(vectors, graph, rows, neighbors, samples, params, recipe)
        (folder / GRAPH).unlink(missing_ok=True)
    log.info("index: %d samples of %d numbers, %s index, recall %.4f", n, d, kind, recall)
    return {"samples": n, "width": d, "repeated": count_rows(embeddings) - n, "kind": kind, "recall": recall, **measured}


def choose(n: int, d: int, params: IndexParams, settings: Settings) -> IndexKind:
    """The kind of index. Raises ParamsError if none fits in the memory that params.yaml gives it."""
    if params.kind != "auto":
        kind: IndexKind = params.kind
    else:
        try:
            kind = choose_index(n, d, max_exact=params.max_exact, max_hnsw=params.max_hnsw, memory_gb=params.memory_gb)
        except ValueError as error:
            raise ParamsError(f"params.yaml: index.memory_gb: {error}") from None
    settings.require_memory(index_bytes(kind, n, d), f"an index of kind {kind} over {n} vectors", "lower index.memory_gb in params.yaml")
    return kind


def find_held(folder: Path, rows: pa.Table, vectors: np.ndarray, recipe: str) -> Held | None:
    """What there is of an earlier run, if its rows and vectors are the first of these."""
    cells = read_cells(folder / CELLS, recipe)
    if cells is None:
        return None
    n_old = len(cells.labels)
    before = pq.read_table(folder / ROWS)
    old = np.load(folder / VECTORS, mmap_mode="r")
    if n_old > rows.num_rows or not before.equals(rows.slice(0, n_old).cast(before.schema)) or old.shape[1] != vectors.shape[1]:
        return None
    blocks = range(0, n_old, ROWS_PER_SHARD)
    same = all(np.array_equal(old[start : start + ROWS_PER_SHARD], vectors[start : min(start + ROWS_PER_SHARD, n_old)]) for start in blocks)
    return Held(cells, folder) if same else None


def cut_cells(vectors: np.ndarray, ends: list[int], held: Held | None, params: IndexParams, seed: int, gpu: bool) -> Cells:
    """Cells of all rows, grown crawl by crawl; those held are gone on from."""
    previous = held.cells if held is not None and len(held.cells.labels) in ends else None
    return grow_cells(
        vectors, ends, cells_per_sqrt=params.lists_per_sqrt, points_per_cell=params.points_per_list,
        max_growth=params.max_growth, max_drift=params.max_drift, seed=seed, previous=previous, gpu=gpu,
    )  # fmt: skip


def make_graph(
    vectors: np.ndarray,
    cells: Cells,
    held: Held | None,
    neighbors: Sink,
    path: Path,
    params: IndexParams,
    recipe: str,
    threads: int,
    gpu: bool,
) -> np.ndarray:
    """The packed graph in a file: the one held with the new rows worked in, if it has the same cells, else a new one."""
    sizes = {"n_neighbors": params.n_neighbors, "n_probes": params.n_probes, "threads": threads}
    if held is not None and same_cells(held, cells) and len(held.cells.labels) > params.n_neighbors:
        n_old = len(held.cells.labels)
        if unpacked_to(path, neighbors, n_old, shard_recipe(recipe, n_old)):
            return append_to_cell_graph(vectors, cells, path, n_old=n_old, **sizes)
    return build_cell_graph(vectors, cells, path, gpu=gpu, **sizes)


def same_cells(held: Held, cells: Cells) -> bool:
    """Whether the further rows went into the centroids that were held."""
    return np.array_equal(held.cells.centroids, cells.centroids)


def unpacked_to(path: Path, neighbors: Sink, n_old: int, recipe: str) -> bool:
    """Write the graph of the first rows out of its table into a file; False if the table is not the one written with that recipe."""
    table = Source(neighbors.contract, neighbors.root, neighbors.crawls, neighbors.per_crawl, neighbors.bound_crawl)
    shards = table.shards()
    if any(table.recipe(shard) != recipe for shard in shards):
        return False
    written = 0
    with path.open("wb") as file:
        for shard in shards:
            part = table.read(shard, ["neighbors", "similarities"]).combine_chunks()
            positions, similarities = (pc.list_flatten(part[name]).to_numpy() for name in ("neighbors", "similarities"))
            pack(similarities, positions).tofile(file)
            written += part.num_rows
    return written == n_old


def shard_recipe(recipe: str, n: int) -> str:
    """What the shards of an approximate graph of `n` rows were made by."""
    return digest_of(recipe, n)


def make_index(
    vectors: np.ndarray, kind: IndexKind, cells: Cells, held: Held | None, ends: list[int], path: Path, params: IndexParams, seed: int
) -> object:
    """Write the FAISS index: the one held with the new rows appended, if it is of the same kind and cells, else a new one."""
    before = held if held is not None and same_cells(held, cells) else None
    if kind == "hnsw":
        index = grown_links(before, vectors, ends) or build_index(vectors, kind=kind, effort=params.hnsw_effort, ends=ends)
        write_index(index, path)
        return index
    file = before.folder / INDEX if before is not None else None
    try:
        write_segments(vectors, path, kind=kind, cells=cells, ends=ends, held=file, points_per_list=params.points_per_list, seed=seed)
    except ValueError as error:
        raise ParamsError(f"params.yaml: index.kind: {error}") from None
    return read_index(path, mapped=True)


def grown_links(held: Held | None, vectors: np.ndarray, ends: list[int]) -> Any:
    """The HNSW index held, with the new rows; None if there is none of all rows held."""
    if held is None:
        return None
    index = read_index(held.folder / INDEX)
    if kind_of(index) != "hnsw" or index.ntotal != len(held.cells.labels):
        return None
    append_rows(index, vectors, ends=ends)
    return index


def write_graph(
    vectors: np.ndarray, graph: np.ndarray | None, rows: pa.Table, neighbors: Sink, samples: np.ndarray, params: IndexParams, recipe: str
) -> float:
    """Write the neighbours, of exact search without a `graph`, in shards of one crawl each; the recall on the rows `samples`."""
    written: list[Shard] = []
    sampled: list[np.ndarray] = []
    spans = list(shard_spans(rows))
    for shard, span in track(spans, total=len(spans), description="find neighbours"):
        if graph is None:
            blocks = list(knn_blocks(vectors, n_neighbors=params.n_neighbors, rows=span))
            found, scores = (np.concatenate([block[place] for block in blocks]) for place in (1, 2))
        else:
            found, scores = unpack(np.asarray(graph[span.start : span.stop]))
        table = rows.slice(span.start, len(span))
        table = table.append_column("neighbors", as_lists(found)).append_column("similarities", as_lists(scores))
        made = table.select(NEIGHBORS.schema.names).cast(NEIGHBORS.schema)
        neighbors.write(shard, made, None if graph is None else shard_recipe(recipe, len(vectors)))
        written.append(shard)
        sampled.append(found[samples[(samples >= span.start) & (samples < span.stop)] - span.start])
    neighbors.keep_only(written)
    return graph_recall(vectors, samples, np.concatenate(sampled))


def as_lists(matrix: np.ndarray) -> pa.Array:
    """(n, k) as a column of n lists."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))


if __name__ == "__main__":
    main(index)
