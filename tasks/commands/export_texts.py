"""Complete the texts of an export: pictures whose own text is missing, says nothing or doesn't fit get that of a picture like them."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands.export_kinds import gathered
from tasks.commands.tables import find_table
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params
from tasks.methods.alignment import codes, padded, places
from tasks.methods.prototypes import normalized
from tasks.methods.text_completion import choose_donors

SILENT = 0.5  # text_score of a text that says nothing, or isn't there
LEAST_QUANTILE = 0.25  # of the fit of usable pairs: what is lent fits as well as the worst quarter of what is there
NEIGHBORS = 20  # nearer ones show the same; further ones only the concept
Embeddings = Callable[[str], Iterator[pa.Table]]


def complete_texts(rows: pa.Table, embeddings: Embeddings) -> pa.Table:
    """The rows with alt_text completed, and `text_source`: own, neighbor, concept (its name in a sentence) or none.

    Raises SluiceError without a kNN graph.
    """
    usable = np.nan_to_num(np.asarray(pc.cast(rows["text_score"], pa.float64()).to_numpy(), np.float64)) > SILENT
    usable &= np.asarray(pc.greater(pc.utf8_length(pc.fill_null(rows["alt_text"], "")), 0).to_numpy(), bool)
    names = rows["curated_concept"].to_pylist()
    columns = ("image_embedding", "text_embedding")
    images, texts = (normalized(gathered(rows, embeddings(name), name).astype(np.float32)) for name in columns)
    groups = np.unique(np.array(pc.fill_null(rows["duplicate_group"], rows["sample_id"]).to_pylist()), return_inverse=True)[1].reshape(-1)
    concepts = codes(names, sorted({name for name in names if name is not None}))
    donors = choose_donors(images, texts, usable, nearest_rows(rows), concepts, groups, least_quantile=LEAST_QUANTILE)
    own = pc.fill_null(rows["alt_text"], "").to_pylist()
    completed, sources = [], []
    for row, donor in enumerate(donors.tolist()):
        name = names[row]
        found = (own[row], "own") if donor == row else (own[donor], "neighbor") if donor >= 0 else (f"a photo of a {name}", "concept")
        completed.append(found[0] if donor >= 0 or name else "")
        sources.append(found[1] if donor >= 0 or name else "none")
    place = rows.schema.get_field_index("alt_text")
    return rows.set_column(place, "alt_text", pa.array(completed, pa.string())).append_column("text_source", pa.array(sources, pa.string()))


def nearest_rows(rows: pa.Table) -> np.ndarray:
    """(n, NEIGHBORS) int64: numbers of the rows that lie nearest to each, -1 where these are not among the rows."""
    table = find_table("neighbors", read_graph(), crawl_names(read_params()))
    if table is None:
        raise SluiceError("no kNN graph: run `dvc repro index` first")
    found = np.full((rows.num_rows, NEIGHBORS), -1, np.int64)
    parts = list(table.tables(["position", "sample_id", "neighbors"]))
    of_position = np.full(1 + max((pc.max(part["position"]).as_py() for part in parts if part.num_rows), default=0), -1, np.int64)
    for part in parts:
        of_position[part["position"].to_numpy()] = places(part["sample_id"], rows["sample_id"])
    for part in parts:
        here = of_position[part["position"].to_numpy()]
        near = padded(part["neighbors"], -1, np.int64)[:, :NEIGHBORS]
        near = np.where(near >= 0, of_position[np.maximum(near, 0)], -1)
        found[here[here >= 0], : near.shape[1]] = near[here >= 0]
    return found
