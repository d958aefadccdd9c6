"""Again: fetch a crawl's failed rows, or all of it, once more; nothing else ever reaches out again."""

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from tasks.commands.crawl import dvc, folder_of
from tasks.commands.known import known_images, records_of
from tasks.commands.output import write_line
from tasks.core.crawls import KNOWN, read_manifest, read_settings, write_known
from tasks.core.errors import CrawlError
from tasks.core.files import write_atomically
from tasks.core.params import crawl_names, read_params, sealed_names
from tasks.core.portions import REFETCHED, RETRIES, add_retry, times_refetched
from tasks.methods.failures import reason_of


def run(arguments: argparse.Namespace) -> None:
    """`sluice crawl retry` or `refetch`."""
    values = read_params()
    folder = checked_folder(arguments.name, values)
    if arguments.action == "retry":
        retry(arguments.name, folder, details_of(arguments.detail), values)
    else:
        refetch(arguments.name, folder, values)
    dvc("add", str(folder))
    if arguments.later:
        write_line("next: `dvc repro` fetches it")
    else:
        fetch(arguments.name)


def retry(name: str, folder: Path, details: list[str], values: dict[str, Any]) -> None:
    """Put the rows that failed in one of these ways on a list of their own in the crawl's folder."""
    failures: Counter[str] = Counter()
    wanted: set[str] = set()
    for rows in records_of(name, values).tables(["image_id", "detail"]):
        failures.update(detail for detail in rows["detail"].to_pylist() if detail is not None)
        wanted.update(rows.filter(pc.is_in(rows["detail"], value_set=pa.array(details, pa.string())))["image_id"].to_pylist())
    if not wanted:
        there = ", ".join(f"{detail} {n}" for detail, n in failures.most_common()) or "none, or nothing has been fetched yet"
        raise CrawlError(f"no row of crawl '{name}' failed with {', '.join(details)} (failures: {there})")
    manifest = read_manifest(folder)
    rows = manifest.filter(pc.is_in(manifest["image_id"], value_set=pa.array(sorted(wanted), pa.string())))
    add_retry(folder, rows)
    write_line(f"crawl '{name}': {rows.num_rows:,} rows ({len(wanted):,} images) are to be fetched again, into shards of their own")


def refetch(name: str, folder: Path, values: dict[str, Any]) -> None:
    """Forget what was fetched; what is stored stays known, so that a server may say that it has not changed."""
    image_ids = read_manifest(folder)["image_id"]
    n_known = write_known(folder / KNOWN, known_images(image_ids, [name], values, read_settings(folder), max_age=None))
    with write_atomically(folder / REFETCHED) as path:
        path.write_text(yaml.safe_dump({"times": times_refetched(folder) + 1}))
    shutil.rmtree(folder / RETRIES, ignore_errors=True)
    n_images = pc.count_distinct(image_ids).as_py()
    write_line(f"crawl '{name}': {n_images:,} images are to be fetched again, {n_known:,} of them only if they have changed")


def fetch(name: str) -> None:
    """Let DVC run `ingest` for this crawl, in sight. Raises CrawlError if it fails: what is done stays done."""
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "--single-item", f"ingest@{name}"], check=False)
    if done.returncode:
        raise CrawlError(f"`dvc repro --single-item ingest@{name}` failed: run it again to resume")
    write_line("next: `dvc repro` takes it through the other stages")


def checked_folder(name: str, values: dict[str, Any]) -> Path:
    """The folder of a crawl that can be fetched again."""
    folder = folder_of(name, values)
    if name not in crawl_names(values):
        raise CrawlError(f"there is no crawl '{name}' (crawls: {', '.join(crawl_names(values)) or 'none'})")
    if name in sealed_names(values):
        raise CrawlError(f"crawl '{name}' is sealed: open it and all later ones first with `sluice crawl unseal`")
    if name in (values.get("demos") or []):
        raise CrawlError(f"crawl '{name}' is a demo: its folder is made by `generate`, and its web is always the same")
    return folder


def details_of(text: str) -> list[str]:
    """The words of --detail. Raises CrawlError for one that no failure has."""
    details = [word.strip() for word in text.split(",") if word.strip()]
    try:
        for detail in details:
            reason_of(detail)
    except ValueError as error:
        raise CrawlError(f"--detail: {error}") from None
    if not details:
        raise CrawlError("--detail names no failure: say which, such as timeout,http_503")
    return details
