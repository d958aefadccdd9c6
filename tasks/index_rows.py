"""What `index` reads: one row per distinct sample, its vector, and where its crawl and shard end."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.errors import ContractError, ParamsError
from tasks.core.progress import track
from tasks.core.sorting import sorted_rows
from tasks.core.tables import Shard, Source
from tasks.methods.alignment import places, wide

INDEX, ROWS, VECTORS, CELLS = "image.index", "rows.parquet", "vectors.npy", "cells.npz"
ROWS_PER_SHARD = 100_000


def distinct_rows(embeddings: Source) -> pa.Table:
    """position, sample_id and crawl of every distinct sample, in order."""
    parts, seen = [], pa.array([], pa.large_string())
    for crawl in embeddings.crawls:
        shards = [shard for shard in embeddings.shards() if shard.crawl == crawl]
        ids = [embeddings.read(shard, ["sample_id"])["sample_id"] for shard in shards]
        found = pc.unique(wide(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())))
        fresh = found.filter(pc.invert(pc.is_in(found, value_set=seen)))
        seen = pa.concat_arrays([seen, fresh])
        ordered = sorted_rows(pa.table({"sample_id": fresh}), ["sample_id"], rows_per_chunk=ROWS_PER_SHARD)
        parts.append(ordered.append_column("crawl", pa.array([crawl] * len(fresh), pa.string())))
    empty = pa.array([], pa.string())
    rows = pa.concat_tables(parts) if parts else pa.table({"sample_id": empty, "crawl": empty})
    return rows.add_column(0, "position", pa.array(np.arange(rows.num_rows)))


def gather_vectors(embeddings: Source, rows: pa.Table, path: Path) -> np.ndarray:
    """Write the distinct samples' image embeddings in order, (n, d) float16, and map the file into memory."""
    vectors: np.memmap | None = None
    positions = places(embeddings.table(["sample_id"])["sample_id"], rows["sample_id"])  # at once: each look-up hashes all ids
    crawls, begin = places(rows["crawl"], pa.array(embeddings.crawls, pa.string())), 0
    for shard in track(embeddings.shards(), total=len(embeddings.shards()), description="gather embeddings"):
        block = as_matrix(embeddings.read(shard, ["image_embedding"])["image_embedding"], shard)
        found = positions[begin : begin + len(block)]
        begin += len(block)
        first = crawls[found] == embeddings.crawls.index(shard.crawl)  # else an earlier crawl's embedding counts
        if vectors is None and len(block):
            vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows.num_rows, block.shape[1]))
        if vectors is not None and len(block):
            if block.shape[1] != vectors.shape[1]:
                widths = f"{block.shape[1]}, others {vectors.shape[1]}"
                raise ContractError(f"embeddings of {shard} have width {widths}: run `dvc repro -f embed`")
            vectors[found[first]] = block[first]
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


def shard_spans(rows: pa.Table) -> list[tuple[Shard, range]]:
    """Runs of at most ROWS_PER_SHARD positions of one crawl, with the shard that they go to."""
    crawls = rows.column("crawl")
    return [
        (Shard(str(crawls[start]), f"{number:05d}"), range(first, min(first + ROWS_PER_SHARD, stop)))
        for start, stop in pairwise(crawl_edges(rows))
        for number, first in enumerate(range(start, stop, ROWS_PER_SHARD))
    ]


def crawl_edges(rows: pa.Table) -> list[int]:
    """0, and the number of rows after each crawl that has any."""
    crawls = rows.column("crawl").to_numpy()
    return [0, *(np.flatnonzero(crawls[1:] != crawls[:-1]) + 1).tolist(), len(crawls)]


def count_rows(embeddings: Source) -> int:
    """Rows of the table, repeated samples included."""
    return sum(table.num_rows for table in embeddings.tables(["sample_id"]))
