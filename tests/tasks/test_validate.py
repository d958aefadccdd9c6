"""The door: bad rows get their reasons, a bad crawl is refused with expectation, figure and limit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.contracts.records import CONTRACT as RECORDS
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.core.errors import ContractError, ValidationError
from tasks.core.tables import Artifact, Sink, Source
from tasks.validate import ValidateParams, validate
from tests.tasks.conftest import make_record, write_table

LIMITS: dict[str, Any] = {
    "min_side": 16,
    "max_aspect_ratio": 5.0,
    "min_safety": {},
    "min_rows": 1,
    "min_success_share": 0.3,
    "min_valid_share": 0.2,
    "min_described_share": 0.5,
    "max_largest_duplicate_share": 0.2,
    "formats": ["jpeg", "png"],
    "max_side": 30_000,
    "min_conforming_share": 0.99,
    "max_sampled_rows": 1000,
}


def run(tmp_path: Path, rows: list[dict[str, Any]], name: str = "run", **limits: Any) -> tuple[dict[str, Any], Source]:
    root = tmp_path / name
    for shard in sorted({row["shard"] for row in rows}):
        write_table(RECORDS, root / "records", [row for row in rows if row["shard"] == shard], shard=shard)
    records = Source(RECORDS, root / "records" / "alpha", bound_crawl="alpha")
    target = root / "validity" / "alpha"
    params = ValidateParams(**(LIMITS | limits))
    metrics = validate(records, Sink(VALIDITY, target, bound_crawl="alpha"), Artifact(root / "validation" / "alpha"), "alpha", params)
    return metrics, Source(VALIDITY, target, bound_crawl="alpha")


def mixed_rows() -> list[dict[str, Any]]:
    rows = [make_record(number, shard=f"{number % 2:05d}") for number in range(20)]
    for number, (detail, _) in enumerate(FAILURES):
        rows.append(make_record(100 + number, shard="00001", status="failed", detail=detail))
    rows.append(make_record(200, original_width=15, original_height=300))
    rows.append(make_record(201, original_width=100, original_height=501))
    rows.append(make_record(202, original_width=100, original_height=500))
    return rows


FAILURES = [
    ("dns", "unreachable"),
    ("http_404", "unreachable"),
    ("timeout", "timeout"),
    ("robots", "disallowed"),
    ("blocked_address", "blocked"),
    ("too_large", "too_large"),
    ("not_an_image", "broken"),
]


def test_rows_get_every_reason_that_holds(tmp_path: Path) -> None:
    metrics, validity = run(tmp_path, mixed_rows())
    rows = {row["sample_id"]: row for row in validity.table().to_pylist()}
    for number, (_, reason) in enumerate(FAILURES):
        assert rows[make_record(100 + number)["sample_id"]]["reasons"] == [reason]
    assert rows[make_record(200)["sample_id"]]["reasons"] == ["too_small", "invalid"]
    assert rows[make_record(201)["sample_id"]]["reasons"] == ["invalid"]
    assert rows[make_record(202)["sample_id"]] == {
        "sample_id": make_record(202)["sample_id"],
        "crawl": "alpha",
        "valid": True,
        "reasons": [],
    }
    assert (metrics["n_rows"], metrics["n_valid"]) == (30, 21)
    assert metrics["reasons"]["unreachable"] == 2
    assert metrics["success_share"] == pytest.approx(23 / 30)
    assert metrics["valid_share"] == pytest.approx(0.7)


def test_reports_are_the_same_bytes_and_need_no_network(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(tmp_path, mixed_rows(), name)
    for file in ("result.json", "index.html"):
        first = (tmp_path / "one" / "validation" / "alpha" / file).read_bytes()
        assert first == (tmp_path / "two" / "validation" / "alpha" / file).read_bytes()
        assert b"http://" not in first
        assert b"https://" not in first
    report = json.loads((tmp_path / "one" / "validation" / "alpha" / "result.json").read_text())
    assert report["accepted"] is True
    assert {result["suite"] for result in report["results"]} == {"figures", "rows", "images"}
    assert len(report["results"]) == 15


def test_a_crawl_that_could_not_be_fetched_is_refused_by_name_figure_and_limit(tmp_path: Path) -> None:
    rows = [make_record(0)] + [make_record(number, status="failed", detail="dns") for number in range(1, 8)]
    message = (
        "crawl 'alpha' is refused: expect_column_min_to_be_between on 'success_share' found 0.125, the limit is 0.3 (min_success_share); "
        "expect_column_min_to_be_between on 'valid_share' found 0.125, the limit is 0.2 (min_valid_share); "
        "expect_column_max_to_be_between on 'largest_duplicate_share' found 1, the limit is 0.2 (max_largest_duplicate_share); "
        f"most failures: dns 7; see {tmp_path}/run/validation/alpha/index.html"
    )
    with pytest.raises(ValidationError, match=f"^{re.escape(message)}$"):
        run(tmp_path, rows)
    assert json.loads((tmp_path / "run" / "validation" / "alpha" / "result.json").read_text())["accepted"] is False
    assert "refused" in (tmp_path / "run" / "validation" / "alpha" / "index.html").read_text()


def test_one_picture_behind_many_addresses_is_a_placeholder(tmp_path: Path) -> None:
    rows = [make_record(number, sha256="0" * 64 if number < 3 else make_record(number)["sha256"]) for number in range(10)]
    with pytest.raises(ValidationError, match=r"'largest_duplicate_share' found 0\.3, the limit is 0\.2"):
        run(tmp_path, rows)


def test_samples_that_share_one_address_are_no_copies(tmp_path: Path) -> None:
    shared = make_record(0)
    rows = [make_record(number) for number in range(10)] + [shared | {"sample_id": f"{number:032x}"} for number in range(5)]
    metrics, _ = run(tmp_path, rows)
    assert metrics["largest_duplicate_share"] == pytest.approx(0.1)


def test_rows_with_neither_text_nor_concept_are_of_no_use(tmp_path: Path) -> None:
    rows = [make_record(number, alt_text=" ", concept=None if number < 6 else "cat") for number in range(10)]
    with pytest.raises(ValidationError, match=r"'described_share' found 0\.4, the limit is 0\.5 \(min_described_share\)"):
        run(tmp_path, rows)


def test_formats_and_sizes_are_checked_on_a_sample_of_rows(tmp_path: Path) -> None:
    rows = [make_record(number, format="png") for number in range(8)]
    rows += [make_record(8, format="svg"), make_record(9, original_width=90_000)]
    with pytest.raises(ValidationError) as caught:
        run(tmp_path, rows, max_aspect_ratio=1000.0)
    refused = "expect_column_values_to_be_in_set on 'format' found 0.9, the limit is 0.99 (min_conforming_share), such as 'svg'"
    assert refused in str(caught.value)
    assert "expect_column_values_to_be_between on 'original_width' found 0.9" in str(caught.value)
    run(tmp_path, rows, "tolerant", min_conforming_share=0.9, max_aspect_ratio=1000.0)


def test_a_sample_id_in_two_shards_is_refused(tmp_path: Path) -> None:
    rows = [make_record(number) for number in range(9)] + [make_record(0, shard="00001")]
    with pytest.raises(ValidationError, match=r"'distinct_share' found 0\.9, the limit is 1 \(every sample_id stands once\)"):
        run(tmp_path, rows)


def test_an_empty_crawl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"on 'n_rows' found 0, the limit is 1 \(min_rows\)"):
        run(tmp_path, [])


def test_an_unknown_detail_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"^table 'records', shard alpha/00000: unknown detail 'gremlins' \(known: http_NNN, dns, "):
        run(tmp_path, [make_record(0, status="failed", detail="gremlins")])
