"""Rows that speak of an image, what is left of them, and a graph without them."""

from hashlib import sha256

import numpy as np
import pyarrow as pa

from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.methods.forgetting import Wanted, emptied, graph_without, hits, shifted, telling_columns, without
from tests.tasks.conftest import make_record

PICTURE = b"picture"
WANTED = Wanted(frozenset({"s1"}), frozenset({"i1"}), frozenset({"u1"}), frozenset({sha256(PICTURE).hexdigest(), "d1"}))


def test_each_column_tells_in_its_own_way() -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "other_id": ["s1", "x", "x", "x", "x", "x", None],
            "image_id": ["x", "i1", "x", "x", "x", "x", None],
            "url": ["x", "x", "u1", "x", "x", "x", None],
            "sha256": ["x", "x", "x", "d1", "x", "x", None],
            "image": pa.array([None, None, None, None, {"bytes": PICTURE, "path": ""}, None, None], image),
            "bytes": pa.array([b"", b"", b"", b"", b"", PICTURE, None]),
            "name": ["s1"] * 7,
        }
    )
    assert telling_columns(table.schema, WANTED) == ["other_id", "image_id", "url", "sha256", "image", "bytes"]
    mask = hits(table, WANTED)
    assert mask.tolist() == [True] * 6 + [False]
    assert without(table, mask).num_rows == 1
    assert telling_columns(pa.schema([("bytes", pa.int64())]), WANTED) == []


def test_emptied_rows_keep_place_and_hashes_and_say_why() -> None:
    names = [name for name in CURATED.schema.names if name in make_record(0)]
    rows = [dict.fromkeys(CURATED.schema.names) | {name: make_record(number)[name] for name in names} for number in range(3)]
    rows = [row | {"keep": True, "reasons": [], "weight": 1.0, "split": "train"} for row in rows]
    schema = CURATED.schema.set(2, CURATED.schema.field(2).with_type(pa.dictionary(pa.int32(), pa.string())))
    table = pa.Table.from_pylist(rows, schema=CURATED.schema).cast(schema)
    left = emptied(table, np.array([False, True, False]))
    assert left.schema.equals(table.schema)
    assert (left.slice(0, 1), left.slice(2)) == (table.slice(0, 1), table.slice(2))
    row = left.to_pylist()[1]
    assert {name: value for name, value in row.items() if value is not None} == {
        **{name: rows[1][name] for name in ("sample_id", "image_id", "crawl", "shard", "key")},
        **{"url": "", "alt_text": "", "status": "failed", "detail": "forgotten", "keep": False, "weight": 0.0},
        **{"reason": "forgotten", "reasons": ["forgotten"]},
    }
    CURATED.check(left.cast(CURATED.schema), "here")


def test_emptied_validity_is_invalid_for_that_reason() -> None:
    table = pa.Table.from_pylist([{"sample_id": "s1", "crawl": "a", "valid": True, "reasons": []}], schema=VALIDITY.schema)
    assert emptied(table, np.array([True])).to_pylist() == [{"sample_id": "s1", "crawl": "a", "valid": False, "reasons": ["forgotten"]}]


def test_a_graph_is_counted_anew() -> None:
    rows = [
        {"position": 0, "sample_id": "a", "crawl": "x", "neighbors": [1, 3], "similarities": [0.9, 0.8]},
        {"position": 1, "sample_id": "b", "crawl": "x", "neighbors": [0], "similarities": [0.9]},
        {"position": 3, "sample_id": "d", "crawl": "x", "neighbors": [1], "similarities": [0.5]},
    ]
    graph = graph_without(pa.Table.from_pylist(rows, schema=NEIGHBORS.schema), np.array([1])).to_pylist()
    assert [(row["position"], row["neighbors"], len(row["similarities"])) for row in graph] == [(0, [2], 1), (2, [], 0)]
    assert shifted(np.array([0, 2, 5]), np.array([1, 4])).tolist() == [0, 1, 3]
