"""Audit: draw kept rows for a person to judge, and say what their verdicts make of the promised purity.

The sample is a CSV file that also remembers the kept set as it was: verdicts change the next one, and those on a sample speak of the set it
was drawn from. Rows that somebody has judged before are no part of either: nobody drew them by chance.
"""

import argparse
import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from tasks.commands.output import write_line, write_rows, write_sections
from tasks.commands.reviews import in_force
from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically
from tasks.core.params import read_params
from tasks.dataset import catalog_of
from tasks.methods.audit import allocated, measured, statement
from tasks.methods.harmless import defused
from tasks.methods.reviews import Verdict

BANDS = 4  # of confidence, for rows kept as given and for relabelled ones: eight strata of some tens of rows each
LEVEL = 0.95  # of the interval
COLUMNS = ("sample_id", "sha256", "stratum", "stratum_rows", "stratum_confidence", "curated_concept", "confidence", "url")
NUMBERS = {"stratum_rows": int, "stratum_confidence": float}
POOL = f"""
WITH pool AS (SELECT sample_id, sha256, url, curated_concept, coalesce(confidence, 0.5) AS confidence,
  CASE WHEN concept IS NULL OR concept = curated_concept THEN 'as given' ELSE 'relabelled' END AS kind
  FROM samples WHERE keep AND reviewed IS NULL),
banded AS (SELECT *, kind || ' ' || ntile({BANDS}) OVER (PARTITION BY kind ORDER BY confidence, sample_id) AS stratum FROM pool)
"""
STRATA = f"{POOL} SELECT stratum, count(*), avg(confidence) FROM banded GROUP BY stratum ORDER BY stratum"
DRAW = f"""
{POOL}, ordered AS (SELECT *, row_number() OVER (PARTITION BY stratum ORDER BY sha256(sample_id || $seed), sample_id) AS place FROM banded)
SELECT sample_id, sha256, stratum, curated_concept, confidence, url FROM ordered WHERE place <= $most
"""


def run(arguments: argparse.Namespace) -> None:
    """Draw a sample into the file, or measure by the one that it holds."""
    if arguments.draw is not None:
        draw(arguments.sample, arguments.draw, arguments.seed)
    else:
        measure(arguments.sample, arguments.format)


def draw(path: Path, n: int, seed: int) -> None:
    """Write a stratified sample of about `n` kept rows that nobody has judged, in an order drawn by the seed."""
    if path.exists():
        raise SluiceError(f"{path} is there already: measure with `sluice audit {path}`, or name another file")
    with asked() as catalog:
        strata = {name: (rows, confidence) for name, rows, confidence in catalog.execute(STRATA, {}).fetchall()}
        if not strata:
            raise SluiceError("no kept row is left that nobody has judged: there is nothing to audit")
        try:
            counts = allocated([rows for rows, _ in strata.values()], [mean for _, mean in strata.values()], n)
        except ValueError as error:
            raise SluiceError(str(error)) from None
        wanted = dict(zip(strata, counts, strict=True))
        found = catalog.execute(DRAW, {"seed": str(seed), "most": max(counts)}).fetchall()
    found.sort(key=lambda row: drawn(seed, row[0]))
    taken: dict[str, int] = defaultdict(int)
    rows = []
    for sample_id, sha256, stratum, concept, confidence, url in found:
        if taken[stratum] < wanted[stratum]:
            taken[stratum] += 1
            rows.append((sample_id, sha256, stratum, *strata[stratum], concept, confidence, url))
    write_sample(path, rows)
    write_line(f"{len(rows)} of {sum(rows for rows, _ in strata.values())} kept rows drawn into {path}.")
    write_line(f"Judge them with `sluice explore --sample {path}`, then measure with `sluice audit {path}`.")


def drawn(seed: int, sample_id: str) -> str:
    """The order in which SQL and Python draw: by SHA-256 of id and seed."""
    return hashlib.sha256(f"{sample_id}{seed}".encode()).hexdigest() + sample_id


def measure(path: Path, style: str) -> None:
    """Write the purity that people's verdicts measure, its interval, and whether the promise lies within."""
    rows, said = read_sample(path), in_force()
    sizes, judged, right = (dict.fromkeys((row["stratum"] for row in rows), 0) for _ in range(3))
    means: dict[str, float] = {}
    for row in rows:
        name = row["stratum"]
        sizes[name], means[name] = row["stratum_rows"], row["stratum_confidence"]
        review = said.get(row["sample_id"])
        if review is not None and review["sha256"] == row["sha256"]:
            judged[name] += 1
            right[name] += review["verdict"] != Verdict.DROPPED and review["concept"] == row["curated_concept"]
    waiting = len(rows) - sum(judged.values())
    try:
        found = measured(list(sizes.values()), list(judged.values()), list(right.values()), level=LEVEL)
    except ValueError as error:
        raise SluiceError(f"{error} ({waiting} of {len(rows)} wait in `sluice explore --sample {path}`)") from None
    promised = sum(sizes[name] * means[name] for name in sizes) / sum(sizes.values())
    if style != "table":
        names = ("purity", "low", "high", "level", "judged", "waiting", "promised", "target", "within")
        target = read_params()["curate"].get("target_purity")
        values = (found.purity, found.low, found.high, LEVEL, found.n, waiting, promised, target, found.low <= promised <= found.high)
        write_rows(style, names, [values])
        return
    pairs = [
        ("measured purity", f"{found.purity:.4f} ({found.low:.4f} to {found.high:.4f}, {LEVEL:.0%})"),
        ("promised purity", f"{promised:.4f}: {statement(found, promised)}"),
        ("verdicts", f"{found.n}, {waiting} rows of the sample wait"),
    ]
    pairs += [(name, f"{right[name]} of {judged[name]} right, for {sizes[name]} rows") for name in sorted(sizes)]
    write_sections([("Audit", pairs)])


def sampled(path: Path) -> list[str]:
    """The ids of a sample, in its order."""
    return [row["sample_id"] for row in read_sample(path)]


def read_sample(path: Path) -> list[dict[str, Any]]:
    """The rows of a sample. Raises SluiceError for a file that is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        for row in rows:
            row.update({name: kind(row[name]) for name, kind in NUMBERS.items()})
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise SluiceError(f"{path} is no sample ({error}): draw one with `sluice audit {path} --draw 200`") from None
    if not rows or any(name not in rows[0] for name in COLUMNS):
        raise SluiceError(f"{path} is no sample (columns are missing): draw one with `sluice audit {path} --draw 200`")
    return rows


def write_sample(path: Path, rows: list[tuple[Any, ...]]) -> None:
    """Write a sample whole or not at all; addresses are no formulas for a spreadsheet."""
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*row[:-1], defused(row[-1] or "")] for row in rows)


@contextmanager
def asked() -> Iterator[Any]:
    """The catalog; what DuckDB refuses is one line."""
    try:
        with catalog_of(Path()) as catalog:
            yield catalog
    except duckdb.Error as error:
        raise SluiceError(str(error).splitlines()[0]) from None
