"""Take rows out of tables: which rows speak of an image, what is left of them, and a kNN graph and vectors without them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

IDENTITY = ("sample_id", "image_id", "crawl", "shard", "key")  # what is left of a row that has to stay: hashes and places
LEFT: Mapping[str, Any] = {
    "url": "",
    "alt_text": "",
    "status": "failed",
    "detail": "forgotten",
    "valid": False,
    "keep": False,
    "reason": "forgotten",
    "reasons": ["forgotten"],
    "weight": 0.0,
}


@dataclass(frozen=True)
class Wanted:
    """What is to be forgotten: samples and images by id, addresses, and SHA-256 of bytes, as downloaded or as stored."""

    samples: frozenset[str] = field(default_factory=frozenset)
    images: frozenset[str] = field(default_factory=frozenset)
    urls: frozenset[str] = field(default_factory=frozenset)
    digests: frozenset[str] = field(default_factory=frozenset)

    def by_column(self) -> dict[str, frozenset[str]]:
        """Which values of which column speak of it."""
        return {"sample_id": self.samples, "other_id": self.samples, "image_id": self.images, "url": self.urls, "sha256": self.digests}


def telling_columns(schema: pa.Schema, wanted: Wanted) -> list[str]:
    """The columns of a table that can speak of an image: ids, addresses, hashes, and bytes."""
    names = wanted.by_column()
    return [found.name for found in schema if found.name in names or pa.types.is_binary(found.type) or is_picture(found.type)]


def is_picture(kind: pa.DataType) -> bool:
    """Whether a column holds pictures as Hugging Face stores them: structs with bytes."""
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def hits(table: pa.Table, wanted: Wanted) -> np.ndarray:
    """(n,) bool: rows with an id, an address, a hash or the bytes of what is wanted."""
    found = np.zeros(table.num_rows, bool)
    known = wanted.by_column()
    for column in table.schema:
        values = table[column.name]
        if known.get(column.name):
            here = pc.is_in(values, value_set=pa.array(sorted(known[column.name]), pa.string()))
            found |= np.asarray(pc.fill_null(here, False).to_numpy(), bool)
        elif wanted.digests and (pa.types.is_binary(column.type) or is_picture(column.type)):
            found |= np.array([digest_of_value(value) in wanted.digests for value in values.to_pylist()], bool)
    return found


def digest_of_value(value: bytes | Mapping[str, Any] | None) -> str | None:
    """SHA-256 of a picture's bytes, plain or in a struct."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    return None if data is None else sha256(data).hexdigest()


def without(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows that are not in the mask (n,) bool."""
    return table.filter(pa.array(~mask))


def emptied(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The table with the rows of the mask (n,) bool emptied in place: hashes and places stay, and why there is nothing else."""
    plain = pa.schema(
        [found.with_type(found.type.value_type) if pa.types.is_dictionary(found.type) else found for found in table.schema],
        metadata=table.schema.metadata,
    )
    kept = [name for name in plain.names if name in IDENTITY]
    left = {name: LEFT.get(name) for name in plain.names}
    rows = [left | row for row in table.select(kept).filter(pa.array(mask)).to_pylist()]
    order = np.arange(table.num_rows)
    order[mask] = table.num_rows + np.arange(len(rows))
    joined = pa.concat_tables([table.cast(plain), pa.Table.from_pylist(rows, schema=plain)])
    return joined.take(pa.array(order)).cast(table.schema)


def shifted(positions: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Positions (n,) int64 counted anew after those in `gone` (ascending) have been taken out."""
    moved: np.ndarray = positions - np.searchsorted(gone, positions)
    return moved


def graph_without(graph: pa.Table, gone: np.ndarray) -> pa.Table:
    """A shard of the neighbors table without the positions `gone` (ascending): no rows of theirs, in no list; all counted anew."""
    graph = graph.filter(pa.array(~np.isin(graph["position"].to_numpy(), gone))).combine_chunks()
    lengths = np.asarray(pc.list_value_length(graph["neighbors"]).to_numpy(), np.int64)
    others = pc.list_flatten(graph["neighbors"]).to_numpy()
    stays = ~np.isin(others, gone)
    rows = np.repeat(np.arange(graph.num_rows), lengths)
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.bincount(rows[stays], minlength=graph.num_rows))]).astype(np.int32))
    similarities = pc.list_flatten(graph["similarities"]).to_numpy()
    changed = {
        "position": pa.array(shifted(graph["position"].to_numpy(), gone)),
        "neighbors": pa.ListArray.from_arrays(offsets, pa.array(shifted(others[stays], gone))),
        "similarities": pa.ListArray.from_arrays(offsets, pa.array(similarities[stays])),
    }
    return pa.table([changed.get(name, graph[name]) for name in graph.schema.names], schema=graph.schema)
