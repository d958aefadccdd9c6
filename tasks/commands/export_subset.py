"""Choose a subset: so many of an export's samples, drawn evenly over concepts, words or what the pictures show.

Draws go by sample_id and seed: the same dataset, size and seed give the same subset.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands.export_kinds import gathered
from tasks.core.concepts import load_concepts
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import read_params
from tasks.methods.balancing import least_limits, match_entries, words_of
from tasks.methods.draws import draws
from tasks.methods.hierarchical_sampling import cluster_levels, level_sizes, sampled_rows

Embeddings = Callable[[str], Iterator[pa.Table]]
COLUMN = "image_embedding"


@dataclass(frozen=True)
class Subset:
    """How many samples, balanced by what, drawn by which seed."""

    size: int
    balance: str
    seed: int


def take_subset(rows: pa.Table, subset: Subset, embeddings: Embeddings, *, or_fewer: bool) -> pa.Table:
    """The drawn rows, in their order. Raises SluiceError for more rows than there are; `or_fewer` takes all of these instead."""
    if subset.size < 1:
        raise SluiceError(f"--size {subset.size} asks for no sample: it must be 1 or more")
    ids = rows["sample_id"].to_pylist()
    limits = word_limits(rows, ids, subset.seed) if subset.balance == "words" else np.zeros(len(ids))
    there = int(np.isfinite(limits).sum())
    if subset.size > there and not (or_fewer and there):
        naming = " whose texts name a concept or a synonym of one" if subset.balance == "words" else ""
        raise SluiceError(f"--size {subset.size} is more than there are: {there} samples{naming}; ask for fewer, or widen the choice")
    size = min(subset.size, there)
    if subset.balance == "words":
        return rows.take(np.sort(np.argsort(limits, kind="stable")[:size]))
    levels = levels_of(subset.balance, rows, embeddings, subset.seed)
    return rows.take(sampled_rows(levels, draws(ids, salt=f"subset {subset.seed}"), target=size, seed=subset.seed))


def word_limits(rows: pa.Table, ids: list[str], seed: int) -> np.ndarray:
    """The limit of MetaCLIP's rule at which each row comes in; entries are the names and synonyms of all concepts."""
    folder = next(dep.path(read_params()) for dep in read_graph()["match"].data if dep.name == "concepts")
    named = {words_of(name): name for concept in load_concepts(folder) for name in (concept.name, *concept.synonyms)}
    named.pop((), None)  # a name of signs alone can't be looked for
    return least_limits(match_entries(pc.fill_null(rows["alt_text"], "").to_pylist(), list(named.values()), ids, seed=seed))


def levels_of(balance: str, rows: pa.Table, embeddings: Embeddings, seed: int) -> list[np.ndarray]:
    """The clusters over which rows are drawn evenly: none, concepts, or clusters of pictures and clusters of these.

    A row's concept is that after curation where it is kept, else the given one, else the best guess; rows without any are one more.
    """
    if balance == "concepts":
        names = pc.fill_null(pc.coalesce(rows["curated_concept"], rows["concept"], rows["suggested_concept"]), "")
        return [np.unique(np.array(names.to_pylist()), return_inverse=True)[1].reshape(-1)]
    if balance == "clusters":
        return cluster_levels(gathered(rows, embeddings(COLUMN), COLUMN), sizes=level_sizes(rows.num_rows), seed=seed)
    return []
