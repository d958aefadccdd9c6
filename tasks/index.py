"""Index: a FAISS index and the kNN graph over all image embeddings, built once for all stages that follow.

A sample's position is its place among the distinct samples: crawls in the order of params.yaml, sample_ids sorted inside a crawl. A sample
that a later crawl repeats keeps its first place and embedding. All tables over all crawls are in this order.
"""

import logging
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.core.errors import ContractError, ParamsError
from tasks.core.files import write_folder_atomically
from tasks.core.params import Params, SharedParams
from tasks.core.progress import track
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.search import build_index, choose_index, graph_recall, knn_blocks, write_index

INDEX, ROWS, VECTORS = "image.index", "rows.parquet", "vectors.npy"
ROWS_PER_SHARD = 100_000
log = logging.getLogger(__name__)


class IndexParams(Params):
    """Which index, how wide a graph, how well measured."""

    kind: Literal["auto", "exact", "ivf", "ivf_pq"]
    n_neighbors: Annotated[int, Field(ge=1, le=1000)]
    max_exact: Annotated[int, Field(ge=0)]
    memory_gb: Annotated[float, Field(gt=0)]
    lists_per_sqrt: Annotated[float, Field(gt=0)]
    points_per_list: Annotated[int, Field(ge=1)]
    n_probes: Annotated[int, Field(ge=1)]
    n_recall_samples: Annotated[int, Field(ge=0)]


def index(embeddings: Source, index: Artifact, neighbors: Sink, params: IndexParams, shared: SharedParams) -> Metrics:
    """Vectors, their FAISS index and the neighbours of every distinct sample."""
    rows = distinct_rows(embeddings)
    with write_folder_atomically(index.path) as folder:
        pq.write_table(rows, folder / ROWS, compression="zstd")
        vectors = gather_vectors(embeddings, rows, folder / VECTORS)
        n, d = vectors.shape
        kind = params.kind if params.kind != "auto" else choose_index(n, d, max_exact=params.max_exact, memory_gb=params.memory_gb)
        built = make_index(vectors, kind, params, shared.seed)
        write_index(built, folder / INDEX)
    recall = write_graph(vectors, built, rows, neighbors, params, shared.seed)
    log.info("index: %d samples of %d numbers, %s index, recall %.4f", n, d, kind, recall)
    return {"samples": n, "width": d, "repeated": count_rows(embeddings) - n, "kind": kind, "recall": recall}


def distinct_rows(embeddings: Source) -> pa.Table:
    """position, sample_id and crawl of every distinct sample, in order."""
    parts, seen = [], pa.array([], pa.string())
    for crawl in embeddings.crawls:
        shards = [shard for shard in embeddings.shards() if shard.crawl == crawl]
        ids = [embeddings.read(shard, ["sample_id"])["sample_id"] for shard in shards]
        found = pc.unique(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()))
        fresh = found.filter(pc.invert(pc.is_in(found, value_set=seen)))
        fresh = fresh.take(pc.sort_indices(fresh))
        seen = pa.concat_arrays([seen, fresh])
        parts.append(pa.table({"sample_id": fresh, "crawl": pa.array([crawl] * len(fresh), pa.string())}))
    rows = pa.concat_tables(parts) if parts else pa.table({"sample_id": seen, "crawl": seen})
    return rows.add_column(0, "position", pa.array(np.arange(rows.num_rows)))


def gather_vectors(embeddings: Source, rows: pa.Table, path: Path) -> np.ndarray:
    """Write the distinct samples' image embeddings in order, (n, d) float16, and map the file into memory."""
    vectors: np.memmap | None = None
    order = rows.column("sample_id").combine_chunks()
    crawls = rows.column("crawl")
    for shard in track(embeddings.shards(), total=len(embeddings.shards()), description="gather embeddings"):
        table = embeddings.read(shard, ["sample_id", "image_embedding"])
        block = as_matrix(table["image_embedding"], shard)
        places = pc.index_in(table["sample_id"], value_set=order).to_numpy()
        first = pc.equal(crawls.take(pa.array(places)), shard.crawl).to_numpy()  # else an earlier crawl's embedding counts
        if vectors is None and len(block):
            vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows.num_rows, block.shape[1]))
        if vectors is not None and len(block):
            if block.shape[1] != vectors.shape[1]:
                widths = f"{block.shape[1]}, others {vectors.shape[1]}"
                raise ContractError(f"embeddings of {shard} have width {widths}: run `dvc repro -f embed`")
            vectors[places[first]] = block[first]
    if vectors is None:
        raise ParamsError("no sample has an embedding: nothing passed `validate`; see reports/metrics/validate for the reasons")
    vectors.flush()
    return vectors


def as_matrix(column: pa.ChunkedArray, shard: Shard) -> np.ndarray:
    """A column of equally long lists as (n, d) float16. Raises ContractError if lengths differ."""
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise ContractError(f"embeddings of {shard} have several widths {sorted(lengths)}: run `dvc repro -f embed`")
    values: np.ndarray = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), lengths[0] if lengths else 0)


def make_index(vectors: np.ndarray, kind: Literal["exact", "ivf", "ivf_pq"], params: IndexParams, seed: int) -> object:
    """The FAISS index; a width that PQ can't divide is the params' fault."""
    try:
        return build_index(vectors, kind=kind, lists_per_sqrt=params.lists_per_sqrt, points_per_list=params.points_per_list, seed=seed)
    except ValueError as error:
        raise ParamsError(f"params.yaml: index.kind: {error}") from None


def write_graph(vectors: np.ndarray, built: object, rows: pa.Table, neighbors: Sink, params: IndexParams, seed: int) -> float:
    """Write the neighbours in shards of one crawl each; the recall of the graph."""
    written: list[Shard] = []
    sampled: list[np.ndarray] = []
    spans = list(shard_spans(rows))
    for shard, span in track(spans, total=len(spans), description="find neighbours"):
        blocks = list(knn_blocks(vectors, n_neighbors=params.n_neighbors, index=built, n_probes=params.n_probes, rows=span))
        found = np.concatenate([block[1] for block in blocks])
        scores = np.concatenate([block[2] for block in blocks])
        table = rows.slice(span.start, len(span))
        table = table.append_column("neighbors", as_lists(found)).append_column("similarities", as_lists(scores))
        neighbors.write(shard, table.select(NEIGHBORS.schema.names).cast(NEIGHBORS.schema))
        written.append(shard)
        sampled.append(found)
    neighbors.keep_only(written)
    return graph_recall(vectors, np.concatenate(sampled), n_samples=params.n_recall_samples, seed=seed)


def shard_spans(rows: pa.Table) -> list[tuple[Shard, range]]:
    """Runs of at most ROWS_PER_SHARD positions of one crawl, with the shard that they go to."""
    crawls = rows.column("crawl").to_numpy()
    edges = [0, *(np.flatnonzero(crawls[1:] != crawls[:-1]) + 1).tolist(), len(crawls)]
    return [
        (Shard(str(crawls[start]), f"{number:05d}"), range(first, min(first + ROWS_PER_SHARD, stop)))
        for start, stop in pairwise(edges)
        for number, first in enumerate(range(start, stop, ROWS_PER_SHARD))
    ]


def as_lists(matrix: np.ndarray) -> pa.Array:
    """(n, k) as a column of n lists."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))


def count_rows(embeddings: Source) -> int:
    """Rows of the table, repeated samples included."""
    return sum(table.num_rows for table in embeddings.tables(["sample_id"]))


if __name__ == "__main__":
    main(index)
