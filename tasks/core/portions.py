"""Cut a crawl into shards: which rows of its manifest, and of its lists of retries, make which shard.

A retry is a list of rows in the crawl's folder. It makes shards of its own after all others, and its images leave the shards that had
them, so that the records hold each row once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
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
    """All shards of a crawl in order; one whose images have all moved is left out. Raises CrawlError for a folder that is no crawl.

    A list is read a piece at a time; of the retries, the images are held.
    """
    lists = [folder / "manifest.parquet", *retry_lists(folder)]
    portions: list[Portion] = []
    number = 0
    for place, path in enumerate(lists):
        later = pa.chunked_array([ids for retry in lists[place + 1 :] for ids in read_image_ids(retry)], pa.string()).unique()
        for start, stop, n_images in cut(read_image_ids(path), images_per_shard):
            portion = Portion(Shard(crawl, f"{number:05d}"), path, start, stop, n_images)
            moved = images_among(portion, later) if len(later) else frozenset[str]()
            if len(moved) < n_images:
                portions.append(replace(portion, n_images=n_images - len(moved), moved=moved))
            number += 1
    return portions


def images_among(portion: Portion, images: pa.Array) -> frozenset[str]:
    """The portion's images that are among these."""
    own = read_rows(portion, ["image_id"])["image_id"]
    return frozenset(own.filter(pc.is_in(own, value_set=images)).to_pylist())


def cut(image_ids: Iterable[pa.Array], images_per_shard: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end and number of images of each shard of whole images, out of a list's images in pieces.

    Lists are in order of image_id, which is a hash and so shuffles the hosts.
    """
    start = n_rows = n_images = 0
    last = None
    for ids in image_ids:
        first = np.array([ids[0].as_py() != last])
        begins = np.flatnonzero(np.concatenate([first, pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)]))
        for number in range(-n_images % images_per_shard, len(begins), images_per_shard):
            if n_images + number:
                yield start, n_rows + int(begins[number]), images_per_shard
                start = n_rows + int(begins[number])
        n_images, n_rows, last = n_images + len(begins), n_rows + len(ids), ids[-1].as_py()
    if n_rows:
        yield start, n_rows, (n_images - 1) % images_per_shard + 1


def read_image_ids(path: Path) -> Iterator[pa.Array]:
    """The image of each row of a list, in pieces. Raises CrawlError for a file that is none."""
    try:
        with pq.ParquetFile(path) as file:
            names, n_rows = file.schema_arrow.names, file.metadata.num_rows
            if names == MANIFEST.names:
                for batch in file.iter_batches(columns=["image_id"]):
                    yield batch["image_id"]
    except (OSError, pa.ArrowInvalid) as error:
        raise CrawlError(f"crawl '{path.parent.name}' has no readable manifest ({error}): add it with `sluice crawl add`") from None
    if names != MANIFEST.names:
        raise CrawlError(f"crawl '{path.parent.name}': {path.name} has columns {names}, not {MANIFEST.names}")
    if not n_rows:
        raise CrawlError(f"crawl '{path.parent.name}' has an empty {path.name}: nothing to fetch")


def read_rows(portion: Portion, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a portion, out of the row groups that hold them; the moved ones are among them."""
    with pq.ParquetFile(portion.list) as file:
        ends = list(accumulate(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))
        first, last = bisect_right(ends, portion.start), bisect_left(ends, portion.stop)
        offset = portion.start - (ends[first - 1] if first else 0)
        return file.read_row_groups(range(first, last + 1), columns).slice(offset, portion.stop - portion.start)


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
