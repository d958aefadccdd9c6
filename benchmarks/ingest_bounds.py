"""Show what may not grow: the time of an ingest with late answers and silent hosts, and its memory with the rows of a crawl."""

import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.ingest_runs import Run, crawl_settings, run_crawl, run_ours
from benchmarks.nginx import free_port, nginx, silence

SMALL_FILES = 50  # of the memory runs: what counts there is rows
HOSTS = 1000
ROUNDS = 3  # of runs with late answers and without, an odd number


def with_latency(photos: Path, paths: Sequence[str], latency_ms: int, scratch: Path) -> dict[str, Any]:
    """The rate with every answer so late, beside the rate without: in turns, and of the pairs the middle one counts."""
    pairs: list[tuple[Run, Run]] = []
    for number in range(ROUNDS):
        late, plain = (run_late(photos, paths, each, scratch / f"{number}-{each}") for each in (latency_ms, 0))
        pairs.append((late, plain))
    shares = [late.rate / plain.rate for late, plain in pairs]
    return {
        "rate_with_latency": round(statistics.median(shares), 3),
        "rates_with_latency": [round(share, 3) for share in shares],
        "latency_ms": latency_ms,
        "late": [late.figures() for late, _ in pairs],
        "plain": [plain.figures() for _, plain in pairs],
    }


def run_late(photos: Path, paths: Sequence[str], latency_ms: int, place: Path) -> Run:
    """One ingest from a server whose answers come so late."""
    place.mkdir()
    with nginx(photos, place, latency_ms) as server:
        return run_ours(server, paths, place / "ours")


def with_silent_hosts(photos: Path, paths: Sequence[str], n_silent: int, scratch: Path) -> dict[str, Any]:
    """How much longer a run over HOSTS host names takes when so many of them take connections and never answer."""
    hosts = [f"h{n}.photos.test" for n in range(HOSTS)]
    urls = [f"http://{hosts[n % HOSTS]}{path}" for n, path in enumerate(paths)]
    quiet = set(hosts[:: HOSTS // n_silent][:n_silent])
    lost = sum(hosts[n % HOSTS] in quiet for n in range(len(urls)))
    port = free_port()
    with nginx(photos, scratch) as server, silence(("127.0.0.1", port)):
        connect = dict.fromkeys(hosts, server.address)
        plain = run_crawl(server, urls, connect, scratch / "plain")
        connect |= dict.fromkeys(quiet, f"127.0.0.1:{port}")
        silent = run_crawl(server, urls, connect, scratch / "silent", failures=lost)
    deadline_s = crawl_settings({}).deadline_s
    longer = silent.seconds - plain.seconds
    figures = {"longer_in_deadlines": longer / deadline_s, "longer_s": longer, "seconds": silent.seconds, "plain_seconds": plain.seconds}
    return {name: round(value, 3) for name, value in figures.items()} | {"deadline_s": deadline_s, "silent_hosts": n_silent, "lost": lost}


def memory_by_rows(files: Sequence[Path], rows: Sequence[int], scratch: Path) -> dict[str, Any]:
    """Peak memory of the stage and its two workers on crawls of so many rows; the photographs are sent as small as they can be."""
    figures = {}
    small = scratch / "small"
    small.mkdir()
    for file in files[:SMALL_FILES]:
        with Image.open(file) as image:
            image.convert("RGB").resize((64, 64)).save(small / f"{file.stem}.jpg", quality=80)
    names = sorted(path.name for path in small.iterdir())
    with nginx(small, scratch) as server:
        for n_rows in rows:
            paths = [f"/{names[n % len(names)]}?n={n}" for n in range(n_rows)]
            figures[str(n_rows)] = run_ours(server, paths, scratch / f"rows-{n_rows}").figures()
            shutil.rmtree(scratch / f"rows-{n_rows}")
    peaks = [run["peak_memory_mb"] for run in figures.values()]
    return {"memory_growth": round(peaks[-1] / peaks[0], 3), "rows": figures}
