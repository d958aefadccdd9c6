"""Extract: a manifest of pictures out of Common Crawl's WARC and WAT files."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.commands.output import write_line
from tasks.core.errors import CrawlError
from tasks.core.files import write_atomically
from tasks.methods.common_crawl import Found, Seen, extract

SCHEMA = pa.schema([(name, pa.string()) for name in Found._fields])
BATCH = 20_000  # rows held at once


def run(arguments: argparse.Namespace) -> None:
    """`sluice crawl extract OUT WARC_OR_WAT...`."""
    if arguments.out.suffix != ".parquet":
        raise CrawlError(f"'{arguments.out}' is no name for a manifest of pictures: let it end in .parquet")
    try:
        n_rows = write_rows(arguments.out, found_in(arguments.files))
    except ModuleNotFoundError as error:
        raise CrawlError(f"reading Common Crawl's files needs {error.name}: install it with `pip install 'sluice[commoncrawl]'`") from None
    except ValueError as error:
        raise CrawlError(str(error)) from None
    write_line(f"wrote {n_rows:,} pictures to {arguments.out}")
    write_line(f"next: `sluice crawl add NAME {arguments.out}`")


def found_in(files: Sequence[Path]) -> Iterator[Found]:
    """The pictures of all files. Raises ValueError for a file that is not there."""
    seen = Seen()
    for file in files:
        if not file.is_file():
            raise ValueError(f"no file at {file}: name WARC or WAT files, each also as .gz")
        yield from extract(file, seen)


def write_rows(out: Path, rows: Iterable[Found]) -> int:
    """Write a manifest, a batch at a time, as a whole or not at all. Raises ValueError if there is nothing to write."""
    rows, n_rows = iter(rows), 0
    with write_atomically(out) as temporary:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            while batch := list(islice(rows, BATCH)):
                columns = dict(zip(SCHEMA.names, map(list, zip(*batch, strict=True)), strict=True))
                writer.write_table(pa.table(columns, schema=SCHEMA))
                n_rows += len(batch)
        if not n_rows:
            raise ValueError("the files hold no picture: nothing is written")
    return n_rows
