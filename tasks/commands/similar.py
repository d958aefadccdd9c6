"""Similar: the samples whose images are nearest to a sample's image, by FAISS from the index of the dataset."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.commands.diffused import diffused
from tasks.commands.output import printable, write_rows
from tasks.commands.query import open_here
from tasks.commands.tables import find_table, rows_where
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params, section
from tasks.index import INDEX, ROWS, VECTORS, IndexParams
from tasks.methods.index_files import read_index
from tasks.methods.similar import nearest

STAGE = "index"
MIN_PART = 8  # digits of an id that may stand for all of it
COLUMNS = ("similarity", "sample_id", "crawl", "concept", "keep", "reason", "url")
DETAILS = "SELECT sample_id, concept, keep, reason, url FROM samples WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))"


@dataclass(frozen=True)
class OpenIndex:
    """The index of the dataset: FAISS file, vectors mapped from the disk, and what stands at each position."""

    index: Any
    vectors: np.ndarray
    rows: pa.Table
    n_probes: int

    def near(self, query: np.ndarray, k: int) -> list[tuple[float, int]]:
        """(similarity, position) of the `k` nearest rows, nearest first."""
        positions, similarities = nearest(self.index, self.vectors, query, k=k, n_probes=self.n_probes)
        return list(zip(similarities.tolist(), positions.tolist(), strict=True))


def run(arguments: argparse.Namespace) -> None:
    """Write the nearest samples, or those that a diffusion leads to; the sample itself left out."""
    opened = open_index()
    place = position_of(arguments.sample, opened.rows)
    n = check_count(arguments.n)
    if arguments.by == "diffusion":
        near = diffused(opened.rows, opened.vectors, place, n)
    else:
        near = [found for found in opened.near(np.asarray(opened.vectors[place]), n + 1) if found[1] != place][:n]
    write_near(near, opened.rows, arguments.format)


def open_index() -> OpenIndex:
    """The index of the project in the working directory. Raises SluiceError if it isn't built or can't be read."""
    values = read_params()
    folder = next(out.path(values) for out in read_graph()[STAGE].outs if out.name == STAGE)
    n_probes = section(IndexParams, STAGE, values).n_probes
    try:
        rows = pq.ParquetFile(folder / ROWS).read(columns=["sample_id", "crawl"])
        return OpenIndex(read_index(folder / INDEX, mapped=True), np.load(folder / VECTORS, mmap_mode="r"), rows, n_probes)
    except FileNotFoundError:
        raise SluiceError(f"no index in {folder}: run `dvc repro index` first") from None
    except (OSError, ValueError) as error:
        raise SluiceError(f"the index in {folder} can't be read ({printable(error)}): run `dvc repro index` again") from None


def check_count(n: int) -> int:
    """The number of answers asked for, if it is one."""
    if n < 1:
        raise SluiceError(f"-n {n} asks for no answer: it must be 1 or more")
    return n


def position_of(wanted: str, rows: pa.Table) -> int:
    """The place in the index of the sample that an id, the start of one, or a url names. Raises SluiceError for none and for several."""
    ids = rows["sample_id"]
    found = pc.indices_nonzero(pc.starts_with(ids, pattern=wanted.lower()) if len(wanted) >= MIN_PART else pc.equal(ids, wanted))
    if not len(found) and "/" in wanted:
        table = find_table("records", read_graph(), crawl_names(read_params()))
        named = {record["sample_id"] for record in rows_where(table, "url = $wanted", {"wanted": wanted}) or []}
        found = pc.indices_nonzero(pc.is_in(ids, value_set=pa.array(sorted(named), pa.string())))[:1]  # they share their image
    if not len(found):
        raise SluiceError(f"no indexed sample has the url or id '{printable(wanted)}': `sluice explain` says how far it got")
    if len(found) > 1:
        names = [ids[place.as_py()].as_py() for place in found[:3]]
        raise SluiceError(f"'{printable(wanted)}' stands for {len(found)} samples, such as {', '.join(names)}: give more digits")
    return int(found[0].as_py())


def write_near(near: Sequence[tuple[float, int]], rows: pa.Table, style: str) -> None:
    """One line per sample: how similar, and what the catalog says of it."""
    # One by one: making an Arrow array of a list would import pandas, which takes a second.
    ids, crawls = ([rows[name][position].as_py() for _, position in near] for name in ("sample_id", "crawl"))
    known = details(ids)
    nothing = (None, None, None, None)
    lines = [
        (round(similarity, 4), sample, crawl, *known.get(sample, nothing))
        for (similarity, _), sample, crawl in zip(near, ids, crawls, strict=True)
    ]
    write_rows(style, COLUMNS, lines)


def details(ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """concept, keep, reason and url by sample_id, out of the catalog; nothing before there is one."""
    try:
        with open_here() as catalog:
            return {row[0]: tuple(row[1:]) for row in catalog.execute(DETAILS, [list(ids)]).fetchall()}
    except (SluiceError, duckdb.Error):
        return {}
