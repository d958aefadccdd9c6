"""Validate: a verdict on every record of a crawl, and on the crawl as a whole, out of its records.

A bad row is marked with its reasons and goes no further; a bad crawl stops the run.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from tasks.contracts.validity import CONTRACT
from tasks.core.errors import ContractError, ValidationError
from tasks.core.files import write_atomically
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source, to_json
from tasks.methods.expectations import complaint, figure_checks, image_checks, row_checks, run_suite
from tasks.methods.figures import crawl_figures, failure_details, sampled_rows
from tasks.methods.reasons import row_reasons
from tasks.methods.validation_page import validation_page

Share = Annotated[float, Field(ge=0, le=1)]
ROW_COLUMNS = ["sample_id", "crawl", "status", "detail", "original_width", "original_height", "safety"]


class ValidateParams(Params):
    """Limits for rows (`min_side`, `max_aspect_ratio`, `min_safety`) and for the crawl (the others)."""

    min_side: Annotated[int, Field(ge=1)]
    max_aspect_ratio: Annotated[float, Field(ge=1)]
    min_safety: dict[str, Share]
    min_rows: Annotated[int, Field(ge=1)]
    min_success_share: Share
    min_valid_share: Share
    min_described_share: Share
    max_largest_duplicate_share: Share
    formats: Annotated[list[str], Field(min_length=1)]
    max_side: Annotated[int, Field(ge=1)]
    min_conforming_share: Share
    max_sampled_rows: Annotated[int, Field(ge=1)]


def validate(records: Source, validity: Sink, validation: Artifact, crawl: str, params: ValidateParams) -> Metrics:
    """Raises ValidationError, after the report is written, for a crawl that is not fit to go on."""
    reasons: Counter[str] = Counter()
    n_valid = 0
    for shard in records.shards():
        verdicts = validate_shard(shard, records, validity, params)
        n_valid += verdicts.count([])
        reasons.update(reason for found in verdicts for reason in found)
    validity.keep_only(records.shards())
    report = crawl_report(records, crawl, params, n_valid) | {"reasons": dict(reasons.most_common())}
    write_report(validation, report)
    failed = [complaint(result) for result in report["results"] if not result["passed"]]
    if failed:
        details = ", ".join(f"{name} {rows}" for name, rows in list(report["details"].items())[:3])
        most = f"; most failures: {details}" if details else ""
        raise ValidationError(f"crawl '{crawl}' is refused: {'; '.join(failed)}{most}; see {validation.path}/index.html")
    return {**report["figures"], "n_valid": n_valid, "reasons": report["reasons"], "n_expectations": len(report["results"])}


def validate_shard(shard: Shard, records: Source, validity: Sink, params: ValidateParams) -> list[list[str]]:
    """Write the verdicts of one shard, in the order of its records, and return them."""
    rows = records.read(shard, ROW_COLUMNS)
    columns = {name: rows[name].to_pylist() for name in ROW_COLUMNS}
    try:
        verdicts = row_reasons(
            status=columns["status"],
            detail=columns["detail"],
            width=columns["original_width"],
            height=columns["original_height"],
            safety=columns["safety"],
            min_side=params.min_side,
            max_aspect_ratio=params.max_aspect_ratio,
            min_safety=params.min_safety,
        )
    except ValueError as error:
        raise ContractError(f"table 'records', shard {shard}: {error}") from None
    valid = [not found for found in verdicts]
    table = pa.table([rows["sample_id"], rows["crawl"], pa.array(valid, pa.bool_()), verdicts], schema=CONTRACT.schema)
    validity.write(shard, table)
    return verdicts


def crawl_report(records: Source, crawl: str, params: ValidateParams, n_valid: int) -> dict[str, Any]:
    """Figures, failure details and the outcome of every expectation."""
    files = [str(records.path(shard)) for shard in records.shards()]
    figures = crawl_figures(files)
    figures["valid_share"] = n_valid / figures["n_rows"] if figures["n_rows"] else 0.0
    sample = sampled_rows(files, max_rows=params.max_sampled_rows)
    images = only_ok(sample)
    results = run_suite("figures", {name: [value] for name, value in figures.items()}, checks_of_figures(params))
    if sample["sample_id"]:
        results += run_suite("rows", sample, row_checks())
    if images["sample_id"]:
        checks = image_checks(formats=params.formats, max_side=params.max_side, min_conforming_share=params.min_conforming_share)
        results += run_suite("images", images, checks)
    accepted = all(result["passed"] for result in results)
    return {"crawl": crawl, "accepted": accepted, "figures": figures, "details": failure_details(files), "results": results}


def checks_of_figures(params: ValidateParams) -> list[Any]:
    """The expectations on a crawl's exact figures."""
    return figure_checks(
        min_rows=params.min_rows,
        min_success_share=params.min_success_share,
        min_valid_share=params.min_valid_share,
        min_described_share=params.min_described_share,
        max_largest_duplicate_share=params.max_largest_duplicate_share,
    )


def only_ok(sample: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The sampled rows that have an image."""
    places = [place for place, status in enumerate(sample["status"]) if status == "ok"]
    return {name: [values[place] for place in places] for name, values in sample.items()}


def write_report(validation: Artifact, report: Mapping[str, Any]) -> None:
    """result.json and the page rendered from it; neither holds a clock."""
    for name, text in (("result.json", to_json(report)), ("index.html", validation_page(report))):
        with write_atomically(validation.path / name) as path:
            path.write_text(text)


if __name__ == "__main__":
    main(validate)
