"""Subsets: exact sizes, even over what was asked for, the same again, and errors that say what there is."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.cli import BALANCES
from tasks.commands.export_subset import Subset, take_subset
from tasks.core.errors import SluiceError

CONCEPTS = ["cat"] * 60 + ["dog"] * 12 + [None] * 8


def make_rows(concepts: list[str | None] = CONCEPTS) -> pa.Table:
    n = len(concepts)
    texts = [f"a {concept}, number {number}" if concept else "nothing" for number, concept in enumerate(concepts)]
    return pa.table(
        {
            "sample_id": pa.array([f"{number:032x}" for number in range(n)], pa.string()),
            "alt_text": pa.array(texts, pa.string()),
            "curated_concept": pa.array(concepts, pa.string()),
            "concept": pa.nulls(n, pa.string()),
            "suggested_concept": pa.nulls(n, pa.string()),
        }
    )


def embeddings(_: str) -> Iterator[pa.Table]:
    rows = make_rows()
    kinds = np.array([{"cat": 0, "dog": 1}.get(concept or "", 2) for concept in CONCEPTS])
    vectors = np.eye(3, 8)[kinds] + 0.1 * np.random.default_rng(0).normal(size=(len(kinds), 8))
    yield pa.table({"sample_id": rows["sample_id"], "image_embedding": pa.array(list(vectors.astype(np.float16)), pa.list_(pa.float16()))})


def drawn(balance: str, size: int, *, seed: int = 0, rows: pa.Table | None = None, or_fewer: bool = False) -> pa.Table:
    return take_subset(make_rows() if rows is None else rows, Subset(size, balance, seed), embeddings, or_fewer=or_fewer)


def counted(rows: pa.Table) -> list[int]:
    found = rows["curated_concept"].to_pylist()
    return [found.count(name) for name in ("cat", "dog", None)]


@pytest.mark.parametrize("balance", BALANCES)
def test_exact_in_order_and_the_same_again(balance: str, project: Path) -> None:
    rows = drawn(balance, 30)
    ids = rows["sample_id"].to_pylist()
    assert (len(set(ids)), ids) == (30, sorted(ids))
    assert drawn(balance, 30).equals(rows)
    assert not drawn(balance, 30, seed=1).equals(rows)


def test_even_over_concepts_words_and_pictures(project: Path) -> None:
    assert counted(drawn("concepts", 30)) == [11, 11, 8]
    cats, dogs, others = counted(drawn("words", 24))
    assert (others, dogs >= 8, cats >= 8) == (0, True, True)
    assert min(counted(drawn("clusters", 30))) > 5
    assert counted(drawn("uniform", 40))[0] > 24


@pytest.mark.parametrize("balance", ["uniform", "words"])
def test_a_smaller_subset_is_part_of_a_larger_one_whatever_the_order(balance: str, project: Path) -> None:
    backwards = make_rows().take(np.arange(len(CONCEPTS))[::-1])
    small, large = (set(drawn(balance, size, rows=rows)["sample_id"].to_pylist()) for size, rows in ((9, backwards), (30, make_rows())))
    assert small < large


@pytest.mark.parametrize(
    ("balance", "size", "message"),
    [
        ("uniform", 0, "--size 0 asks for no sample: it must be 1 or more"),
        ("clusters", 81, "--size 81 is more than there are: 80 samples; ask for fewer, or widen the choice"),
        ("words", 73, "--size 73 is more than there are: 72 samples whose texts name a concept or a synonym of one; ask for fewer"),
    ],
)
def test_a_wrong_size_says_how_many_there_are(balance: str, size: int, message: str, project: Path) -> None:
    with pytest.raises(SluiceError, match=message):
        drawn(balance, size)


@pytest.mark.parametrize(("balance", "there"), [("uniform", 80), ("words", 72), ("clusters", 80)])
def test_an_export_made_anew_takes_what_is_left(balance: str, there: int, project: Path) -> None:
    assert drawn(balance, 100, or_fewer=True).num_rows == there
    with pytest.raises(SluiceError, match="more than there are: 0 samples"):
        drawn("words", 5, rows=make_rows([None]), or_fewer=True)
