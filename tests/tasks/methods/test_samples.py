"""Samples out of four tables, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.methods.alignment import padded
from tasks.methods.samples import Samples, Wide, align, align_samples, nearest_usable

GRAPH = pa.table(
    {
        "sample_id": ["c", "a", "d", "b"],
        "crawl": ["one", "one", "two", "two"],
        "neighbors": [[1, 2], [0], [], [0, 2]],
        "similarities": [[0.9, 0.5], [0.75], [], [0.5, 0.25]],
    }
)
RECORDS = pa.table({"sample_id": ["a", "b", "failed", "c", "d"], "concept": ["cat", None, "cat", "dog", "unicorn"]})
DUPLICATES = pa.table(
    {
        "sample_id": ["a", "b", "c", "d"],
        "duplicate_group": ["a", "b", "a", "d"],
        "split": ["train", "val", "train", "test"],
        "is_leak": [False, False, False, False],
        "fold": pa.array([4, 5, 4, 0], pa.int8()),
    }
)


def samples(graph: pa.Table = GRAPH, **changes: pa.Table) -> Samples:
    tables = {"records": RECORDS, "duplicates": DUPLICATES} | changes
    near, similar = padded(graph["neighbors"], -1, np.int64), padded(graph["similarities"], 0.0, np.float32)
    wide = Wide(near, similar, np.eye(graph.num_rows, dtype=np.float32))
    return align_samples(graph["sample_id"], graph["crawl"], **tables, wide=wide, names=["cat", "dog"])


def test_four_samples_in_the_order_of_the_index():
    found = samples()
    assert found.sample_ids.to_pylist() == ["c", "a", "d", "b"]
    assert found.crawls.to_pylist() == ["one", "one", "two", "two"]
    assert found.given.tolist() == [1, 0, -1, -1]
    assert found.groups[0] == found.groups[1]
    assert len(set(found.groups)) == 3
    assert found.weights.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert found.folds.tolist() == [4, 4, -1, 5]
    assert found.neighbors.tolist() == [[1, 2], [0, -1], [-1, -1], [0, 2]]
    assert found.similarities == pytest.approx(np.array([[0.9, 0.5], [0.75, 0], [0, 0], [0.5, 0.25]]))
    assert np.array_equal(found.embeddings, np.eye(4))


def test_leaks_shape_nothing_like_the_test_split():
    leaks = DUPLICATES.set_column(DUPLICATES.schema.get_field_index("is_leak"), "is_leak", pa.array([True, False, True, False]))
    found = samples(duplicates=leaks)
    assert found.weights.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert found.folds.tolist() == [-1, -1, -1, 5]
    assert found.given.tolist() == samples().given.tolist()


def test_types_are_the_ones_that_are_promised():
    found = samples()
    kinds = {"given": "int64", "groups": "int64", "weights": "float64", "folds": "int64"}
    kinds |= {"neighbors": "int64", "similarities": "float32", "embeddings": "float32"}
    assert {name: str(getattr(found, name).dtype) for name in kinds} == kinds


def test_the_order_of_the_other_tables_does_not_matter():
    first = samples()
    turned = {name: table.take(np.arange(table.num_rows)[::-1]) for name, table in (("records", RECORDS), ("duplicates", DUPLICATES))}
    second = samples(**turned)
    for name in ("given", "groups", "weights", "folds"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def test_a_group_weighs_one_in_all_and_has_one_fold():
    n = 60
    ids = [f"{number:03d}" for number in range(n)]
    rng = np.random.default_rng(0)
    owners = rng.integers(0, 20, n)
    split = np.where(owners % 4 == 0, "test", "train")
    empty = pa.array([[]] * n, pa.list_(pa.int64()))
    graph = pa.table({"sample_id": ids, "crawl": ["one"] * n, "neighbors": empty, "similarities": empty.cast(pa.list_(pa.float32()))})
    copies = pa.table(
        {
            "sample_id": ids,
            "duplicate_group": [ids[owner] for owner in owners],
            "split": split,
            "is_leak": owners % 7 == 1,
            "fold": owners % 3,
        }
    )
    records = pa.table({"sample_id": ids, "concept": ["cat"] * n})
    apart = (split == "test") | (owners % 7 == 1)
    found = samples(graph, records=records, duplicates=copies)
    for group in np.unique(found.groups):
        members = found.groups == group
        assert len(set(owners[members])) == 1
        assert found.weights[members].sum() == pytest.approx(0 if apart[members].all() else 1)
        assert len(set(found.folds[members])) == 1
    assert ((found.folds < 0) == apart).all()
    assert set(found.folds) == {-1, 0, 1, 2}
    assert found.neighbors.shape == (n, 0)


@pytest.mark.parametrize(("name", "table"), [("records", RECORDS), ("duplicates", DUPLICATES)])
def test_a_missing_sample_is_named(name, table):
    left = table.filter(pa.array([row not in ("a", "d") for row in table["sample_id"].to_pylist()]))
    with pytest.raises(ValueError, match="^2 indexed samples are missing from a table, such as a: run `dvc repro` again$"):
        samples(**{name: left})


def test_rows_are_taken_in_the_order_of_the_ids():
    assert align(RECORDS, pa.chunked_array([["d"], ["a", "c"]]))["concept"].to_pylist() == ["unicorn", "cat", "dog"]
    assert align(RECORDS, pa.chunked_array([[]], pa.string())).num_rows == 0


def test_aligned_tables_have_wide_offsets():
    lists = RECORDS.select(["sample_id"]).append_column("concepts", pa.array([["cat"], [], ["cat"], None, ["dog"]]))
    found = align(lists, pa.chunked_array([["d", "a"]]))
    assert found.schema.types == [pa.large_string(), pa.large_list(pa.large_string())]
    assert found["concepts"].to_pylist() == [["dog"], ["cat"]]


def test_the_places_of_those_who_shape_nothing_are_for_others():
    neighbors, similarities = np.array([[3, 1, 2], [0, -1, -1], [1, 3, -1]]), np.array([[0.9, 0.8, 0.7], [0.5, 0, 0], [0.6, 0.4, 0]])
    usable = np.array([True, False, True, True])
    near, alike = nearest_usable(neighbors, similarities, usable, 2)
    assert near.tolist() == [[3, 2], [0, -1], [3, -1]]
    assert alike.tolist() == [[0.9, 0.7], [0.5, 0], [0.4, 0]]
    assert nearest_usable(neighbors[:, :0], similarities[:, :0], usable, 2)[0].shape == (3, 0)
