"""Compare the ingest with img2dataset: the same photographs, the same server, the same sizes, two processes each.

    python -m benchmarks.ingest [--photos DIR] [--images N]
    python -m benchmarks.ingest --memory [--rows N,N,...]

Both fetch N photographs (a folder of files, repeated with query strings) from one loopback nginx, bound their shorter side to 256
pixels, encode at quality 95 and write 250 rows per shard; the time goes from the first request to the last file closed. img2dataset
gets the best of 16, 32 and 64 threads, in an environment of its own. The floor is the rate of this ingest's decoding, resizing and
encoding alone, in two processes, with all bytes at hand. `--memory` prints how peak memory grows with the rows of a crawl (slow).
"""

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.memory import watched
from benchmarks.nginx import Nginx, nginx
from benchmarks.peers import peer_python
from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.params import read_params
from tasks.ingest import bounds_of
from tasks.methods.decoding import decode_upright, encode
from tasks.methods.manifests import image_ids, sample_ids

REPO = Path(__file__).resolve().parents[1]
OVERLAY = Path(__file__).with_suffix(".yaml")
PHOTOS = REPO.parent / "shared" / "data" / "photos"
PEER = "img2dataset==1.47.0"
PYTHON = "3.11"  # the last one that has a module img2dataset imports
THREADS = (16, 32, 64)
WORKERS = 2
HOST = "photos.test"
SMALL_FILES = 50  # of the memory runs: what counts there is rows
ROUNDS = 3  # of the floor: the fastest counts, so that no other process makes it look low


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder of image files")
    parser.add_argument("--images", type=int, default=3000, help="images to fetch; files are repeated with query strings")
    parser.add_argument("--memory", action="store_true", help="print peak memory by rows instead")
    parser.add_argument("--rows", default="10000,50000,200000", help="rows of --memory")
    options = parser.parse_args()
    files = sorted(path for path in options.photos.glob("*") if path.is_file())
    if not files:
        sys.exit(f"no files in {options.photos}: name a folder of images with --photos")
    with tempfile.TemporaryDirectory(prefix="sluice-ingest-") as scratch:
        if options.memory:
            figures = memory_by_rows(files, [int(n) for n in options.rows.split(",")], Path(scratch))
        else:
            figures = compare(files, options.images, Path(scratch))
    print(json.dumps(figures))


def compare(files: Sequence[Path], n_images: int, scratch: Path) -> dict[str, Any]:
    """All figures of the comparison."""
    python = peer_python(PEER, PYTHON)
    paths = [f"/{files[n % len(files)].name}?n={n // len(files)}" for n in range(n_images)]
    with nginx(files[0].parent.resolve(), scratch) as server:
        peers = {threads: run_peer(python, server, paths, threads, scratch / f"peer-{threads}") for threads in THREADS}
        ours = run_ours(server, paths, scratch / "ours")
    floor = floor_rate(files, n_images)
    best = max(peers, key=lambda threads: peers[threads].rate)
    return {
        "ratio_vs_img2dataset": round(ours.rate / peers[best].rate, 3),
        "share_of_floor": round(ours.rate / floor, 3),
        "images_per_s": round(ours.rate, 1),
        "images": n_images,
        "floor_images_per_s": round(floor, 1),
        "ours": ours.figures(),
        "img2dataset": {"threads": best, **peers[best].figures()},
        "img2dataset_by_threads": {str(threads): run.figures() for threads, run in peers.items()},
    }


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


def run_ours(server: Nginx, paths: Sequence[str], folder: Path) -> Run:
    """The stage itself, in a process of its own with two workers."""
    urls = [f"http://{HOST}{path}" for path in paths]
    make_crawl(folder / "crawl", urls, {HOST: f"127.0.0.1:{server.port}"})
    return timed(server, [sys.executable, "-m", "benchmarks.ingest_stage", str(folder), str(WORKERS)], folder, len(paths))


def run_peer(python: Path, server: Nginx, paths: Sequence[str], threads: int, folder: Path) -> Run:
    """img2dataset with the same sizes; it asks the server by its address."""
    folder.mkdir(parents=True)
    urls = [f"http://127.0.0.1:{server.port}{path}" for path in paths]
    pq.write_table(pa.table({"url": urls, "caption": texts(urls)}), folder / "list.parquet")
    options = {
        "url_list": folder / "list.parquet", "input_format": "parquet", "url_col": "url", "caption_col": "caption",
        "output_format": "webdataset", "output_folder": folder / "out", "processes_count": WORKERS, "thread_count": threads,
        "image_size": overlay()["max_side"], "resize_mode": "keep_ratio", "resize_only_if_bigger": True,
        "encode_quality": overlay()["quality"], "number_sample_per_shard": overlay()["rows_per_shard"], "enable_wandb": False,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items()]
    return timed(server, [str(python.with_name("img2dataset")), *words], folder / "out", len(paths))


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


def floor_rate(files: Sequence[Path], n_images: int) -> float:
    """Images per second of decoding, resizing and encoding alone, on as many cores as the ingests have processes."""
    bodies = [path.read_bytes() for path in files]
    share = -(-n_images // WORKERS)
    with multiprocessing.get_context("spawn").Pool(WORKERS, initializer=hold, initargs=(bodies,)) as pool:
        pool.map(work, [len(files)] * WORKERS, chunksize=1)
        rates = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            pool.map(work, [share] * WORKERS, chunksize=1)
            rates.append(share * WORKERS / (time.perf_counter() - began))
    return max(rates)


HELD: list[bytes] = []


def hold(bodies: Sequence[bytes]) -> None:
    HELD[:] = bodies


def work(n_images: int) -> None:
    settings = crawl_settings({})
    bounds = bounds_of(settings)
    for place in range(n_images):
        encode(decode_upright(HELD[place % len(HELD)], bounds).rgb, settings.encoding, settings.quality)


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
    import yaml

    return dict(yaml.safe_load(OVERLAY.read_text()))


if __name__ == "__main__":
    main()
