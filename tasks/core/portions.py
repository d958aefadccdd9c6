"""Cut a crawl into shards: which rows of its manifest, and of its lists of retries, make which shard.

A retry is a list of rows in the crawl's folder. It makes shards of its own after all others, and its images leave the shards that had
them, so that the records hold each row once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from tasks.core.crawls import MANIFEST, write_rows
from tasks.core.errors import CrawlError
from tasks.core.files import write_atomically
from tasks.core.tables import Shard

RETRIES = "retries"
REFETCHED = "refetched.yaml"


@dataclass(frozen=True)
class Portion:
    """The rows of one list that make one shard: whole images, `rows_per_shard` of them at most. `moved`: images that a later list has."""

    shard: Shard
    list: Path
    start: int
    stop: int
    n_images: int
    moved: frozenset[str] = frozenset()


def read_portions(folder: Path, crawl: str, images_per_shard: int) -> list[Portion]:
    """All shards of a crawl in order; one whose images have all moved is left out. Raises CrawlError for a folder that is no crawl."""
    lists = [folder / "manifest.parquet", *retry_lists(folder)]
    ids = [read_image_ids(path) for path in lists]
    portions: list[Portion] = []
    number = 0
    for place, (path, found) in enumerate(zip(lists, ids, strict=True)):
        later = pa.chunked_array([chunk for column in ids[place + 1 :] for chunk in column.chunks], pa.string()).unique()
        for start, stop, n_images in cut(found, images_per_shard):
            own = found.slice(start, stop - start)
            moved = frozenset(own.filter(pc.is_in(own, value_set=later)).to_pylist()) if len(later) else frozenset[str]()
            if len(moved) < n_images:
                portions.append(Portion(Shard(crawl, f"{number:05d}"), path, start, stop, n_images - len(moved), moved))
            number += 1
    return portions


def cut(image_ids: pa.ChunkedArray, images_per_shard: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end and number of images of each shard of whole images; in order of image_id, which is a hash and so shuffles the hosts."""
    ids = image_ids.combine_chunks()
    changes = pc.indices_nonzero(pc.not_equal(ids[1:], ids[:-1])).to_numpy() + 1
    n_images = len(changes) + 1
    for first in range(0, n_images, images_per_shard):
        last = min(first + images_per_shard, n_images)
        start = int(changes[first - 1]) if first else 0
        yield start, int(changes[last - 1]) if last < n_images else len(ids), last - first


def read_image_ids(path: Path) -> pa.ChunkedArray:
    """The image of each row of a list. Raises CrawlError for a file that is none."""
    try:
        with pq.ParquetFile(path) as file:
            names, n_rows = file.schema_arrow.names, file.metadata.num_rows
            ids = file.read(columns=["image_id"])["image_id"] if names == MANIFEST.names else None
    except (OSError, pa.ArrowInvalid) as error:
        raise CrawlError(f"crawl '{path.parent.name}' has no readable manifest ({error}): add it with `sluice crawl add`") from None
    if ids is None:
        raise CrawlError(f"crawl '{path.parent.name}': {path.name} has columns {names}, not {MANIFEST.names}")
    if not n_rows:
        raise CrawlError(f"crawl '{path.parent.name}' has an empty {path.name}: nothing to fetch")
    return ids


def read_rows(portion: Portion) -> pa.Table:
    """The rows of a portion, out of the row groups that hold them; the moved ones are among them."""
    with pq.ParquetFile(portion.list) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        begins = [sum(sizes[:group]) for group in range(len(sizes))]
        held = [g for g, begin in enumerate(begins) if begin < portion.stop and begin + sizes[g] > portion.start]
        return file.read_row_groups(held).slice(portion.start - begins[held[0]], portion.stop - portion.start)


def retry_lists(folder: Path) -> Sequence[Path]:
    """The lists of retries, oldest first."""
    return sorted((folder / RETRIES).glob("[0-9]*.parquet"))


def add_retry(folder: Path, rows: pa.Table) -> None:
    """Append a list of rows, in the manifest's columns, that are to be fetched again."""
    with write_atomically(folder / RETRIES / f"{len(retry_lists(folder)) + 1:05d}.parquet") as path:
        write_rows(path, rows)


def times_refetched(folder: Path) -> int:
    """How often `sluice crawl refetch` was asked for: part of what a shard is made from."""
    path = folder / REFETCHED
    if not path.exists():
        return 0
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict) or not isinstance(content.get("times"), int):
        raise CrawlError(f"{path} does not say how many `times`: run `sluice crawl refetch` again")
    return int(content["times"])
