"""Run an ingest for the benchmarks: seconds, processor time and memory of a command that fetches from a local server."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from benchmarks.memory import watched
from benchmarks.nginx import Nginx
from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.params import read_params
from tasks.methods.manifests import image_ids, sample_ids

REPO = Path(__file__).resolve().parents[1]
OVERLAY = Path(__file__).with_name("ingest.yaml")
WORKERS = 2
HOST = "photos.test"


@dataclass(frozen=True)
class Run:
    """One ingest: seconds from the first request to the last file closed, images stored, and what it took."""

    seconds: float
    images: int
    cpu_seconds: float
    peak_memory_mb: float

    @property
    def rate(self) -> float:
        return self.images / self.seconds

    def figures(self) -> dict[str, float]:
        cpu = 1000 * self.cpu_seconds / self.images
        figures = {"images_per_s": self.rate, "cpu_s_per_1000": cpu, "peak_memory_mb": self.peak_memory_mb}
        return {name: round(value, 2) for name, value in figures.items()}


def run_ours(server: Nginx, paths: Sequence[str], folder: Path) -> Run:
    """The stage itself, in a process of its own with two workers, asking one host."""
    return run_crawl(server, [f"http://{HOST}{path}" for path in paths], {HOST: server.address}, folder)


def run_crawl(server: Nginx, urls: Sequence[str], connect: Mapping[str, str], folder: Path, failures: int = 0) -> Run:
    """The same for any hosts; exits unless all images but so many come."""
    make_crawl(folder / "crawl", urls, connect)
    words = [sys.executable, "-m", "benchmarks.ingest_stage", str(folder), str(WORKERS), str(failures)]
    return timed(server, words, folder, len(urls) - failures)


def timed(server: Nginx, command: Sequence[str], folder: Path, n_images: int) -> Run:
    """Run one ingest; exits when it stored fewer images than there are."""
    print(f"running {' '.join(command)}", file=sys.stderr)
    server.forget()
    used = watched(command, REPO)
    written = [path for path in folder.rglob("*") if path.is_file()]
    if server.count() < n_images or used.returncode:
        sys.exit(f"{command[0]} ended with {used.returncode} and got {server.count()} of {n_images} images: no fair comparison")
    seconds = max(path.stat().st_mtime for path in written) - server.first_request()
    run = Run(seconds, n_images, used.cpu_seconds, used.peak_memory_mb)
    print(json.dumps(run.figures()), file=sys.stderr)
    return run


def make_crawl(folder: Path, urls: Sequence[str], connect: Mapping[str, str]) -> None:
    """A crawl's folder as `sluice crawl add` makes it, with this benchmark's settings."""
    alt_texts = texts(urls)
    nothing: list[str | None] = [None] * len(urls)
    columns: dict[str, Sequence[str | None]] = {
        "sample_id": sample_ids(urls, alt_texts, nothing),
        "image_id": image_ids(urls),
        "url": urls,
        "alt_text": alt_texts,
    }
    columns |= dict.fromkeys(("concept", "page_url", "extra"), nothing)
    write_crawl(folder, pa.table(columns), crawl_settings(connect))


def crawl_settings(connect: Mapping[str, str]) -> CrawlSettings:
    """The project's own settings with this benchmark's on top."""
    return CrawlSettings.model_validate({**read_params(REPO / "params.yaml")["ingest"], **overlay(), "connect": dict(connect)})


def texts(urls: Sequence[str]) -> list[str]:
    """An alt text per url: the file's name."""
    return [url.rpartition("/")[2].partition("?")[0] for url in urls]


def overlay() -> dict[str, Any]:
    """What this benchmark sets."""
    return dict(yaml.safe_load(OVERLAY.read_text()))
