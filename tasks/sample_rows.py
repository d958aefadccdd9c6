"""What `match` and `score` read of every indexed sample; what is as wide as an embedding goes shard by shard into files that are mapped."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.tables import Source
from tasks.methods.alignment import matrix, padded
from tasks.methods.blocks import blocks, make_file
from tasks.methods.prototypes import normalized
from tasks.methods.samples import ALIGNED, Samples, Wide, align, align_samples, located, nearest_usable, shaping_weights
from tasks.methods.vectors import release


def read_samples(
    records: Source,
    embeddings: Source,
    neighbors: Source,
    duplicates: Source,
    names: Sequence[str],
    folder: Path,
    n_neighbors: int,
) -> Samples:
    """The samples in the order of the index, each with the nearest `n_neighbors` that shape anything; these and images' embeddings are
    files in `folder`. Raises ValueError for a sample that a table doesn't have."""
    named = neighbors.table(["sample_id", "crawl"])
    ids = named["sample_id"]
    recorded, copies = records.table(["sample_id", "concept"]), duplicates.table(ALIGNED)
    near, similarities = read_graph(neighbors, folder, shaping_weights(align(copies, ids)) > 0, n_neighbors)
    images, _ = read_vectors(embeddings, ids, "image_embedding", folder)
    return align_samples(ids, named["crawl"], recorded, copies, Wide(near, similarities, images), names=names)


def read_graph(neighbors: Source, folder: Path, usable: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, k) int32, -1 = none, and similarities (n, k) float32 of each sample's nearest `n_neighbors` among the rows that are
    `usable` (n,) bool, in files of `folder`.

    A copy that comes later takes a place in the lists of the index. As long as these are longer by as many as come, it takes none here.
    """
    n, shards = neighbors.n_rows(), neighbors.shards()
    lengths = (pc.max(pc.list_value_length(neighbors.read(shard, ["neighbors"])["neighbors"])).as_py() for shard in shards)
    width = min(max((length or 0 for length in lengths), default=0), n_neighbors)
    near, similarities = make_file(folder / "neighbors", (n, width), np.int32), make_file(folder / "similarities", (n, width), np.float32)
    near[:] = -1
    begin = 0
    for shard in shards:
        table = neighbors.read(shard, ["neighbors", "similarities"])
        listed = padded(table["neighbors"], -1, np.int32), padded(table["similarities"], 0.0, np.float32)
        for whole, found in zip((near, similarities), nearest_usable(*listed, usable, width), strict=True):
            whole[begin : begin + len(found), : found.shape[1]] = found
            release(whole)
        begin += table.num_rows
    return near, similarities


def read_vectors(embeddings: Source, ids: pa.ChunkedArray, column: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """One `column` of the samples `ids`: (n, d) float32 of unit length, zero where it is null, in a file of `folder`; (n,) bool: where it
    is not null. Raises ValueError for a sample that the table doesn't have, or for vectors of different lengths."""
    found = located(ids, embeddings.table(["sample_id"])["sample_id"])
    order = np.argsort(found, kind="stable")
    found, begin, width = found[order], 0, vector_width(embeddings)
    vectors, there = make_file(folder / column, (len(ids), width), np.float32), np.zeros(len(ids), bool)
    for shard in embeddings.shards():
        values = embeddings.read(shard, [column])[column].combine_chunks()
        first, last = np.searchsorted(found, [begin, begin + len(values)])
        for part in blocks(last - first, 4 * width, vectors):
            rows, taken = order[first:last][part], values.take(pa.array(found[first:last][part] - begin))
            vectors[rows], there[rows] = normalized(matrix(taken, width)), taken.is_valid().to_numpy(zero_copy_only=False)
        begin += len(values)
    return vectors, there


def vector_width(embeddings: Source) -> int:
    """How many numbers the first image's embedding has; 0 if there is none."""
    for table in embeddings.tables(["image_embedding"]):
        if table.num_rows:
            return len(table["image_embedding"][0])
    return 0
