"""Tables by name: found through dvc.yaml, read by a condition, None where nothing is there."""

from pathlib import Path

import pytest

from tasks.commands.tables import find_table, rows_where
from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.core.errors import SluiceError, WiringError
from tasks.core.graph import read_graph
from tests.tasks.conftest import write_table


def validity(sample: str, crawl: str, *reasons: str) -> dict[str, object]:
    return {"sample_id": sample, "crawl": crawl, "valid": not reasons, "reasons": list(reasons)}


def copy_of(sample: str, crawl: str, group: str) -> dict[str, object]:
    scores = {"near_duplicate_score": 0.5, "is_leak": False, "split": "train", "fold": 0}
    return {"sample_id": sample, "crawl": crawl, "duplicate_group": group, **scores}


def test_a_table_lies_where_its_stage_puts_it(project: Path) -> None:
    graph = read_graph()
    one, whole = find_table("validity", graph, ["alpha"]), find_table("duplicates", graph, ["alpha"])
    assert one is not None
    assert whole is not None
    assert one.folder("alpha") == Path("data/validity/alpha")
    assert whole.folder("alpha") == Path("data/duplicates/crawl=alpha")
    assert (one.contract, whole.contract) == (VALIDITY, DUPLICATES)
    assert find_table("nothing", graph, ["alpha"]) is None


def test_what_is_no_table_is_refused(project: Path) -> None:
    with pytest.raises(WiringError, match=r"^table 'index' has no contract: add tasks/contracts/index\.py$"):
        find_table("index", read_graph(), ["alpha"])


def test_rows_of_all_crawls_that_meet_a_condition(project: Path) -> None:
    rows = [validity("b", "alpha"), validity("c", "alpha", "timeout"), validity("a", "beta", "blocked", "truncated"), validity("d", "gone")]
    write_table(VALIDITY, Path("data/validity"), rows)
    table = find_table("validity", read_graph(), ["alpha", "beta"])
    assert rows_where(table, "NOT valid", {}) == [rows[2], rows[1]]
    assert rows_where(table, "true", {}, order="sample_id DESC") == [rows[1], rows[0], rows[2]]
    assert rows_where(table, "sample_id = $id", {"id": "d"}) == []


def test_values_are_never_read_as_sql(project: Path) -> None:
    rows = [copy_of("a", "alpha", "it's"), copy_of("b", "alpha", "' OR true --")]
    write_table(DUPLICATES, Path("data/duplicates"), rows, per_crawl=False)
    table = find_table("duplicates", read_graph(), ["alpha"])
    assert rows_where(table, "duplicate_group = $group", {"group": "' OR true --"}) == [rows[1]]
    assert rows_where(table, "duplicate_group = $group", {"group": "it's"}) == [rows[0]]


def test_a_table_without_crawls_is_read_too(project: Path) -> None:
    rows = [{"concept": "cat", "kind": "text", "name": name, "embedding": [1.0, 0.0], "n_images": 0} for name in ("cat", "tabby")]
    write_table(PROTOTYPES, Path("data/prototypes"), rows)
    found = rows_where(find_table("prototypes", read_graph(), ["alpha"]), "name = 'tabby'", {}, order="name")
    assert found == [rows[1]]


def test_a_damaged_table_is_one_line(project: Path) -> None:
    write_table(VALIDITY, Path("data/validity"), [validity("a", "alpha")])
    Path("data/validity/alpha/00000.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(SluiceError, match=r"^the table under data/validity/alpha can't be read \(.*\): run `dvc repro` again$"):
        rows_where(find_table("validity", read_graph(), ["alpha"]), "true", {})


def test_a_table_that_is_not_made_yet_is_none(project: Path) -> None:
    assert rows_where(find_table("validity", read_graph(), ["alpha"]), "true", {}) is None
    assert rows_where(None, "true", {}) is None


def test_what_people_write_is_found_where_it_is_read(project: Path) -> None:
    found = find_table("reviews", read_graph(), ["alpha"])
    assert found is not None
    assert found.root == Path("data/reviews")
