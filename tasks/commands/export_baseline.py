"""Export what another project's filter keeps, in place of what curation kept: DataComp's baselines, and the margin of CLIP scores."""

import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands.tables import find_table
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params, section
from tasks.core.tables import Artifact, Source
from tasks.methods.arms import banned_rows
from tasks.pretrain_params import PretrainParams
from tasks.pretrain_rows import passing_rows


def take_baseline(rows: pa.Table, baseline: str) -> pa.Table:
    """The rows that pass the filter, in their order, with the limits of `pretrain.filters`.

    An arm of this name is trained on those of them that are of split train. Shares and clusters are those of all indexed samples, whichever
    `rows` are. Copies of clean test pictures and forgotten rows never pass. Raises SluiceError if none passes, for an unknown filter, and
    before `dvc repro` has made what it reads.
    """
    values = read_params()
    curated, embeddings, matches, prototypes = (
        table_of(name, crawl_names(values)) for name in ("curated", "embeddings", "matches", "prototypes")
    )
    concepts = Artifact(next(dep.path(values) for dep in read_graph()["match"].data if dep.name == "concepts"))
    limits = section(PretrainParams, "pretrain", values).filters
    try:
        passed = passing_rows(baseline, curated, embeddings, matches, prototypes, concepts, limits)
    except ValueError as error:
        raise SluiceError(f"--baseline {baseline}: {error}") from None
    ids = curated.table(["sample_id"])["sample_id"].filter(pa.array(passed))
    found = rows.filter(pc.and_(pc.is_in(rows["sample_id"], value_set=ids.combine_chunks()), pa.array(~banned_rows(rows))))
    if not found.num_rows:
        raise SluiceError(f"none of {rows.num_rows} samples passes --baseline {baseline}: see pretrain.filters in params.yaml")
    return found


def table_of(name: str, crawls: list[str]) -> Source:
    """A table that must be there."""
    table = find_table(name, read_graph(), crawls)
    if table is None or not table.shards():
        raise SluiceError(f"the filters read the table {name}, which isn't there: run `dvc repro` first")
    return table
