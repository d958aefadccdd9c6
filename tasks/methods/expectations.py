"""Expect: what a sound crawl looks like, as Great Expectations suites over exact figures and a bounded sample of rows.

The only door to Great Expectations, which takes seconds to import and is imported here alone, when a suite runs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AGGREGATE = ("ExpectColumnMinToBeBetween", "ExpectColumnMaxToBeBetween")


@dataclass(frozen=True)
class Check:
    """One expectation: its class in Great Expectations, its arguments, and the parameter that holds its limit."""

    expectation: str
    column: str
    limit: str
    bound: float
    arguments: Mapping[str, Any]


def at_least(column: str, limit: str, bound: float) -> Check:
    """The one-row column's figure is `bound` or more."""
    return Check("ExpectColumnMinToBeBetween", column, limit, bound, {"min_value": bound})


def at_most(column: str, limit: str, bound: float) -> Check:
    """The one-row column's figure is `bound` or less."""
    return Check("ExpectColumnMaxToBeBetween", column, limit, bound, {"max_value": bound})


def figure_checks(
    *,
    min_rows: int,
    min_success_share: float,
    min_valid_share: float,
    min_described_share: float,
    max_largest_duplicate_share: float,
) -> list[Check]:
    """What the exact figures of a crawl must be; a sample_id stands once, always."""
    return [
        at_least("n_rows", "min_rows", min_rows),
        at_least("distinct_share", "every sample_id stands once", 1.0),
        at_least("success_share", "min_success_share", min_success_share),
        at_least("valid_share", "min_valid_share", min_valid_share),
        at_least("described_share", "min_described_share", min_described_share),
        at_most("largest_duplicate_share", "max_largest_duplicate_share", max_largest_duplicate_share),
    ]


def row_checks() -> list[Check]:
    """What every sampled row must be, whatever the crawl: these follow from how ingest makes a row."""
    whole = "every sampled row"
    identity, statuses = r"^[0-9a-f]{32}$", ["ok", "failed"]
    return [
        Check("ExpectColumnValuesToMatchRegex", "sample_id", whole, 1.0, {"regex": identity}),
        Check("ExpectColumnValuesToMatchRegex", "image_id", whole, 1.0, {"regex": identity}),
        Check("ExpectColumnValuesToBeInSet", "status", whole, 1.0, {"value_set": statuses}),
    ]


def image_checks(*, formats: Sequence[str], max_side: int, min_conforming_share: float) -> list[Check]:
    """What the sampled rows with an image must be; `min_conforming_share` leaves room for a few odd files."""
    share, name = min_conforming_share, "min_conforming_share"
    side = {"min_value": 1, "max_value": max_side, "mostly": share}
    return [
        Check("ExpectColumnValuesToMatchRegex", "sha256", "every sampled image", 1.0, {"regex": r"^[0-9a-f]{64}$"}),
        Check("ExpectColumnValuesToNotBeNull", "sha256", "every sampled image", 1.0, {}),
        Check("ExpectColumnValuesToBeBetween", "bytes", "every sampled image", 1.0, {"min_value": 1}),
        Check("ExpectColumnValuesToBeInSet", "format", name, share, {"value_set": sorted(formats), "mostly": share}),
        Check("ExpectColumnValuesToBeBetween", "original_width", name, share, side),
        Check("ExpectColumnValuesToBeBetween", "original_height", name, share, side),
    ]


def run_suite(name: str, columns: Mapping[str, Sequence[Any]], checks: Sequence[Check]) -> list[dict[str, Any]]:
    """One plain dict per check: suite, expectation, column, arguments, limit, bound, figure, passed, examples.

    `columns` hold scalars, at most as many rows as fit in memory. The figure of a check over rows is the share that meets it.
    Raises ValueError for an expectation that could not be evaluated.
    """
    import great_expectations as gx
    import pandas as pd
    from great_expectations import expectations as catalogue
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults()))
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("crawl").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(batch_parameters={"dataframe": pd.DataFrame(dict(columns))})
    expected = [getattr(catalogue, check.expectation)(column=check.column, **check.arguments) for check in checks]
    outcome = batch.validate(gx.ExpectationSuite(name=name, expectations=expected), result_format="SUMMARY")
    # Results hold numpy scalars; JSON and back leaves plain values.
    plain = json.loads(json.dumps(outcome.to_json_dict(), default=lambda value: value.item()))
    return [_result(name, check, found) for check, found in zip(checks, plain["results"], strict=True)]


def _result(suite: str, check: Check, found: dict[str, Any]) -> dict[str, Any]:
    failure = found["exception_info"]
    if failure.get("raised_exception", True):
        raise ValueError(f"{check.expectation} on '{check.column}' could not be evaluated: {failure}")
    result = found["result"]
    return {
        "suite": suite,
        "expectation": found["expectation_config"]["type"],
        "column": check.column,
        "arguments": dict(check.arguments),
        "limit": check.limit,
        "bound": check.bound,
        "figure": result["observed_value"] if check.expectation in AGGREGATE else 1 - result["unexpected_percent"] / 100,
        "passed": found["success"],
        "examples": sorted({str(value)[:80] for value in result.get("partial_unexpected_list", [])})[:5],
    }


def complaint(result: Mapping[str, Any]) -> str:
    """A failed check in words: expectation, figure and limit."""
    words = f"{result['expectation']} on '{result['column']}' found {result['figure']:.6g}"
    words += f", the limit is {result['bound']:g} ({result['limit']})"
    return words + (f", such as {', '.join(map(repr, result['examples']))}" if result["examples"] else "")
