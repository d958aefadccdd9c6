"""Compare the ingest with img2dataset: the same photographs, the same server, the same sizes, two processes each.

    python -m benchmarks.ingest [--photos DIR] [--images N]
    python -m benchmarks.ingest --latency-ms 50 [--images N]
    python -m benchmarks.ingest --silent-hosts 50 [--images N]
    python -m benchmarks.ingest --memory [--rows N,N,...]

Both fetch N photographs (a folder of files, repeated with query strings) from one loopback nginx, bound their shorter side to 256
pixels, encode at quality 95 and write 250 rows per shard; the time goes from the first request to the last file closed. They take turns,
three each: img2dataset, in an environment of its own, with 16, 32 and 64 threads, of which the fastest counts; of this ingest's runs
the middle one counts. The floor is the rate of its decoding, resizing and encoding alone, in two processes, with all bytes at hand,
measured right after each of its runs; `share_of_floor` is the middle one of the three shares.

The others run this ingest alone: with every answer so late, and without (`rate_with_latency`); over 1,000 host names of which so many
never answer, and none (`longer_in_deadlines`); on crawls of more and more rows (`memory_growth`; slow).
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ingest_bounds import memory_by_rows, with_latency, with_silent_hosts
from benchmarks.ingest_runs import REPO, WORKERS, Run, crawl_settings, overlay, run_ours, texts, timed
from benchmarks.nginx import Nginx, nginx
from benchmarks.peers import peer_python
from tasks.ingest_bounds import bounds_of
from tasks.methods.decoding import decode_upright, encode

PHOTOS = REPO.parent / "shared" / "data" / "photos"
PEER = "img2dataset==1.47.0"
PYTHON = "3.11"  # the last one that has a module img2dataset imports
THREADS = (16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder of image files")
    parser.add_argument("--images", type=int, default=3000, help="images to fetch; files are repeated with query strings")
    parser.add_argument("--latency-ms", type=int, default=0, help="let every answer come so late instead")
    parser.add_argument("--silent-hosts", type=int, default=0, help="let so many of 1,000 host names never answer instead")
    parser.add_argument("--memory", action="store_true", help="print peak memory by rows instead")
    parser.add_argument("--rows", default="10000,50000,200000", help="rows of --memory")
    options = parser.parse_args()
    files = sorted(path for path in options.photos.glob("*") if path.is_file())
    if not files:
        sys.exit(f"no files in {options.photos}: name a folder of images with --photos")
    with tempfile.TemporaryDirectory(prefix="sluice-ingest-") as scratch:
        print(json.dumps(figures_of(options, files, Path(scratch))))


def figures_of(options: argparse.Namespace, files: Sequence[Path], scratch: Path) -> dict[str, Any]:
    """What was asked for."""
    photos = files[0].parent.resolve()
    paths = [f"/{files[n % len(files)].name}?n={n // len(files)}" for n in range(options.images)]
    if options.memory:
        return memory_by_rows(files, [int(n) for n in options.rows.split(",")], scratch)
    if options.latency_ms:
        return with_latency(photos, paths, options.latency_ms, scratch)
    if options.silent_hosts:
        return with_silent_hosts(photos, paths, options.silent_hosts, scratch)
    return compare(files, paths, scratch)


def compare(files: Sequence[Path], paths: Sequence[str], scratch: Path) -> dict[str, Any]:
    """All figures of the comparison."""
    python = peer_python(PEER, PYTHON)
    peers: dict[int, Run] = {}
    ours: list[Run] = []
    floors: list[float] = []
    with nginx(files[0].parent.resolve(), scratch) as server:
        for threads in THREADS:
            peers[threads] = run_peer(python, server, paths, threads, scratch / f"peer-{threads}")
            ours.append(run_ours(server, paths, scratch / f"ours-{len(ours)}"))
            floors.append(floor_rate(files, len(paths)))
    best = max(peers, key=lambda threads: peers[threads].rate)
    middle = statistics.median_low(run.rate for run in ours)
    shares = [run.rate / floor for run, floor in zip(ours, floors, strict=True)]
    return {
        "ratio_vs_img2dataset": round(middle / peers[best].rate, 3),
        "share_of_floor": round(statistics.median_low(shares), 3),
        "shares_of_floor": [round(share, 3) for share in shares],
        "images_per_s": round(middle, 1),
        "images": len(paths),
        "floor_images_per_s": [round(floor, 1) for floor in floors],
        "ours": [run.figures() for run in ours],
        "img2dataset": {"threads": best, **peers[best].figures()},
        "img2dataset_by_threads": {str(threads): run.figures() for threads, run in peers.items()},
    }


def run_peer(python: Path, server: Nginx, paths: Sequence[str], threads: int, folder: Path) -> Run:
    """img2dataset with the same sizes; it asks the server by its address."""
    folder.mkdir(parents=True)
    urls = [f"http://{server.address}{path}" for path in paths]
    pq.write_table(pa.table({"url": urls, "caption": texts(urls)}), folder / "list.parquet")
    options = {
        "url_list": folder / "list.parquet", "input_format": "parquet", "url_col": "url", "caption_col": "caption",
        "output_format": "webdataset", "output_folder": folder / "out", "processes_count": WORKERS, "thread_count": threads,
        "image_size": overlay()["max_side"], "resize_mode": "keep_ratio", "resize_only_if_bigger": True,
        "encode_quality": overlay()["quality"], "number_sample_per_shard": overlay()["rows_per_shard"], "enable_wandb": False,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items()]
    return timed(server, [str(python.with_name("img2dataset")), *words], folder / "out", len(paths))


def floor_rate(files: Sequence[Path], n_images: int) -> float:
    """Images per second of decoding, resizing and encoding alone, on as many cores as the ingests have processes."""
    bodies = [path.read_bytes() for path in files]
    share = -(-n_images // WORKERS)
    with multiprocessing.get_context("spawn").Pool(WORKERS, initializer=hold, initargs=(bodies,)) as pool:
        pool.map(work, [len(files)] * WORKERS, chunksize=1)  # what is imported and allocated at first
        began = time.perf_counter()
        pool.map(work, [share] * WORKERS, chunksize=1)
        return share * WORKERS / (time.perf_counter() - began)


HELD: list[bytes] = []


def hold(bodies: Sequence[bytes]) -> None:
    HELD[:] = bodies


def work(n_images: int) -> None:
    settings = crawl_settings({})
    bounds = bounds_of(settings)
    for place in range(n_images):
        encode(decode_upright(HELD[place % len(HELD)], bounds).rgb, settings.encoding, settings.quality)


if __name__ == "__main__":
    main()
