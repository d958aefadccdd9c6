"""Diffused: the samples that a diffusion from one sample over the kNN graph leads to, of the sense that its neighbourhood agrees with."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tasks.commands.query import first_line, open_here
from tasks.commands.tables import find_table, rows_where
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params
from tasks.methods.diffusion import local_cluster
from tasks.methods.similar import cosines
from tasks.methods.sql import Catalog

N_NEIGHBORS = 20  # of a row that may tie it to others: more ties reach further and take longer
ALPHA = 0.15  # chance that the walk starts anew: PageRank's own
DISAGREEMENT = 0.05  # weight of an edge between two concepts, of 1: the lower end of the paper's
# The best guess at what a picture shows, for a given concept may be the very thing that is wrong; off-topic pictures agree with nothing.
LABELS = """
SELECT sample_id, CASE WHEN verdict = 'off_topic' THEN NULL ELSE coalesce(suggested_concept, concept) END AS label
FROM samples WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))
"""


def diffused(samples: pa.Table, vectors: np.ndarray, place: int, n: int) -> list[tuple[float, int]]:
    """(similarity, position) of up to `n` rows that the row at `place` is tied to, the closest tied first; the row itself left out.

    `samples` has the sample_id at each position of the index, `vectors` (d,) each. Raises SluiceError without a catalog or a kNN graph.
    """
    table = find_table("neighbors", read_graph(), crawl_names(read_params()))
    numbers: dict[str, int] = {}
    with open_here() as catalog:

        def look(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            known = rows_where(table, "position IN (SELECT unnest($rows::BIGINT[]))", {"rows": rows.tolist()})
            if known is None:
                raise SluiceError("no kNN graph: run `dvc repro index` first")
            return nearest_of(rows, known), labels_of(samples["sample_id"].take(pa.array(rows)).to_pylist(), catalog, numbers)

        found = local_cluster(look, place, n_rows=samples.num_rows, size=n, alpha=ALPHA, disagreement=DISAGREEMENT)
    others = [row for row in found if row != place][:n]
    similarities = cosines(np.asarray(vectors[others]), np.asarray(vectors[place]))
    return list(zip(similarities.tolist(), others, strict=True))


def nearest_of(rows: np.ndarray, known: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(m, N_NEIGHBORS) int64 positions of the nearest of each of `rows` (m,), out of rows of the kNN graph; -1 where there are fewer."""
    near = {row["position"]: row["neighbors"][:N_NEIGHBORS] for row in known}
    result = np.full((len(rows), N_NEIGHBORS), -1, np.int64)
    for line, row in zip(result, rows.tolist(), strict=True):
        line[: len(near.get(row, []))] = near.get(row, [])
    return result


def labels_of(ids: Sequence[str], catalog: Catalog, numbers: dict[str, int]) -> np.ndarray:
    """(m,) int64: a number for the concept that each sample is believed to show, out of `numbers`, which grow; -1 where none is."""
    try:
        known = dict(catalog.execute(LABELS, [list(ids)]).fetchall())
    except duckdb.Error as error:
        raise SluiceError(first_line(error)) from None
    names = [known.get(sample_id) for sample_id in ids]
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names], np.int64)
