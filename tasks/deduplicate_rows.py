"""What `deduplicate` reads: the indexed rows with their hashes, near neighbours, thumbnails, and the clean sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.errors import ParamsError, ShardError
from tasks.core.tables import Shard, Source
from tasks.methods.alignment import places
from tasks.methods.clean_sets import read_clean_set
from tasks.methods.copies import (
    CleanPictures,
    Thumbnails,
    describe_pictures,
    distinct_pairs,
    first_of_content,
    neighbor_candidates,
)
from tasks.methods.details import MARGINS, marginless_hashes
from tasks.methods.perceptual import SIDE


@dataclass(frozen=True)
class Rows:
    """The indexed samples in order: ids, crawls, their number, the first row of each content, hashes, and the shorter side in pixels.

    `marginless` (n, c) are zeros for those that are too small.
    """

    ids: list[str]
    crawls: list[str]
    crawl_numbers: np.ndarray
    digests: list[str]
    first: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray
    marginless: np.ndarray
    sides: np.ndarray


def read_rows(records: Source, neighbors: Source, min_detail_side: int) -> Rows:
    """What the records say of every indexed sample. Raises ShardError for a sample without a record."""
    order = neighbors.table(["sample_id", "crawl"])
    ids, crawls = order["sample_id"], order["crawl"]
    n = order.num_rows
    digests, found = np.full(n, None, object), np.zeros(n, bool)
    hashes, mirrored = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    marginless, sides = np.zeros((n, len(MARGINS)), np.uint64), np.zeros(n, np.int32)
    columns = ["sample_id", "sha256", "phash", "phash_mirrored", "width", "height", "thumbnail"]
    for shard, at, table in indexed_rows(records, ids, crawls, columns):
        if table["phash"].null_count or table["phash_mirrored"].null_count or table["sha256"].null_count:
            raise ShardError(f"records of {shard} have indexed samples without hashes: run `dvc repro -f embed index`")
        digests[at], found[at] = table["sha256"].to_numpy(), True
        hashes[at], mirrored[at] = table["phash"].to_numpy(), table["phash_mirrored"].to_numpy()
        sides[at] = np.minimum(table["width"].to_numpy(), table["height"].to_numpy())
        large = sides[at] >= min_detail_side
        held = table.filter(pa.array(large))
        marginless[at[large]] = marginless_hashes(as_pictures(held["thumbnail"], held["sample_id"], shard))
    if not found.all():
        raise ShardError(f"{n - int(found.sum())} indexed samples have no record, such as {ids[int(np.argmin(found))]}: run `dvc repro`")
    names = crawls.to_pylist()
    numbers = np.array([neighbors.crawls.index(name) for name in names], np.int64)
    contents = digests.tolist()
    return Rows(ids.to_pylist(), names, numbers, contents, first_of_content(contents), hashes, mirrored, marginless, sides)


def as_pictures(thumbnails: pa.ChunkedArray, ids: pa.ChunkedArray, shard: Shard) -> np.ndarray:
    """Thumbnails (m, 32, 32) uint8. Raises ShardError for one of another size."""
    pictures = np.zeros((len(thumbnails), SIDE, SIDE), np.uint8)
    for place, data in enumerate(thumbnails.to_pylist()):
        if data is None or len(data) != SIDE * SIDE:
            raise ShardError(f"records of {shard}: sample {ids[place]} has no thumbnail of {SIDE} x {SIDE} bytes: ingest it again")
        pictures[place] = np.frombuffer(data, np.uint8).reshape(SIDE, SIDE)
    return pictures


def indexed_rows(
    records: Source, ids: pa.ChunkedArray | pa.Array, crawls: pa.ChunkedArray | pa.Array, columns: Sequence[str]
) -> Iterator[tuple[Shard, np.ndarray, pa.Table]]:
    """Of every shard: `columns` of those rows that are among the samples `ids` (n,) of `crawls` (n,), and their positions (m,) there.

    A sample of several crawls is a row of the one that it is indexed under. All shards share one look-up: each would hash all `ids`.
    """
    positions = places(records.table(["sample_id"])["sample_id"], ids)
    numbers, begin = places(crawls, pa.array(records.crawls, pa.string())), 0
    for shard in records.shards():
        table = records.read(shard, columns)
        found = positions[begin : begin + table.num_rows]
        begin += table.num_rows
        here = found >= 0
        here[here] = numbers[found[here]] == records.crawls.index(shard.crawl)
        yield shard, found[here], table.filter(pa.array(here))


def read_neighbor_pairs(neighbors: Source, first: np.ndarray, min_similarity: float) -> np.ndarray:
    """Candidate pairs out of the kNN graph, shard after shard."""
    parts = [np.zeros((0, 2), np.int64)]
    for table in neighbors.tables(["position", "neighbors", "similarities"]):
        graph = table.combine_chunks()
        lengths = pc.list_value_length(graph["neighbors"]).to_numpy()
        positions = np.repeat(graph["position"].to_numpy(), lengths)
        others, similarities = (pc.list_flatten(graph[name]).to_numpy() for name in ("neighbors", "similarities"))
        parts.append(neighbor_candidates(positions, others, similarities, first, min_similarity=min_similarity))
    return distinct_pairs(np.concatenate(parts))


def read_thumbnails(records: Source, rows: Rows, wanted: np.ndarray) -> Thumbnails:
    """Thumbnails of the rows `wanted` (ascending) alone: candidates are few, so memory doesn't grow with the crawl."""
    pictures = np.zeros((len(wanted), SIDE, SIDE), np.uint8)
    ids = pa.array([rows.ids[row] for row in wanted], pa.string())
    crawls = pa.array([rows.crawls[row] for row in wanted], pa.string())
    for shard, at, table in indexed_rows(records, ids, crawls, ["sample_id", "thumbnail"]) if len(wanted) else ():
        pictures[at] = as_pictures(table["thumbnail"], table["sample_id"], shard)
    return Thumbnails(wanted, pictures)


def read_clean(folder: Path) -> CleanPictures:
    """All pictures of all clean sets in the folder. Raises ParamsError for a set that can't be read."""
    names = {entry.stem if entry.is_file() else entry.name for entry in folder.glob("[!.]*")}
    try:
        sets = [read_clean_set(folder, name) for name in sorted(names)]
        return describe_pictures([image for found in sets if found is not None for image in found.images])
    except ValueError as error:
        raise ParamsError(f"params.yaml: clean: {error}") from None
