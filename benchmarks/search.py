"""Build the kNN graph and the search index of a million vectors, and append to both, beside FAISS' own inverted lists.

    python -m benchmarks.search [--rows N] [--queries N]

The vectors are a mixture of 2,000 Gaussian clusters (one for every 500 rows) on a 64-dimensional subspace plus isotropic noise, 512
float16 numbers each, in a file. One process makes cells, index and graph with k = 50 and writes them, then appends 1 % more rows to all
three; another one trains, fills and asks a bare FAISS index of as many lists, with as many probes and training points, and writes what it
finds. `time_vs_faiss` is the first's time over the second's. Memory is the largest resident set above that at the start, over the size of
the vectors, mapped files included. Recall is measured against exact search. With `--queries` the bare index is asked for so many rows
alone, and its time is scaled. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.memory import forget_largest, largest_resident
from tasks.core.params import read_params
from tasks.core.settings import prepare_environment
from tasks.methods.cell_append import append_to_cell_graph
from tasks.methods.cell_graph import build_cell_graph, unpack
from tasks.methods.cells import Cells, count_gpus, grow_cells, read_cells, write_cells
from tasks.methods.index_files import read_index, write_segments
from tasks.methods.knn import graph_recall, sampled_rows
from tasks.methods.search import others_found
from tasks.methods.vectors import QUERIES, release, unit

REPO = Path(__file__).resolve().parents[1]
SEED = 20
WIDTH, SUBSPACE, K = 512, 64, 50
ROWS_PER_CLUSTER = 500  # 2,000 clusters at a million rows
SPREAD = 0.6  # of a cluster, over that of the centres
NOISE = 0.1  # of each of the 512 numbers: as long as 2.3 beside clusters 4.8 wide
APPENDED = 0.01
SAMPLES = 500
THREADS = len(os.sched_getaffinity(0))  # FAISS uses as many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, help="rows that the bare FAISS index is asked for; all, without it")
    parser.add_argument("--part", choices=["ours", "faiss"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_environment()
    if options.part:
        import faiss  # noqa: F401  its code is no memory that vectors need

        part = (
            run_ours(options.folder, options.rows) if options.part == "ours" else run_faiss(options.folder, options.rows, options.queries)
        )
        print(json.dumps(part))
        return
    with tempfile.TemporaryDirectory(prefix="sluice-search-") as scratch:
        print(json.dumps(compare(Path(scratch), options.rows, options.queries)))


def compare(folder: Path, n: int, queries: int | None) -> dict[str, Any]:
    """All figures."""
    write_vectors(folder / "vectors.npy", n + round(n * APPENDED))
    words = ["--rows", str(n), *(["--queries", str(queries)] if queries else [])]
    ours, bare = (run_part(part, folder, words) for part in ("ours", "faiss"))
    return {
        "recall": ours["recall"],
        "time_vs_faiss": round(ours["seconds"] / bare["seconds"], 3),
        "memory_vs_vectors": round(ours["memory_bytes"] / (2 * n * WIDTH), 3),
        "append_share": round(ours["append_seconds"] / ours["seconds"], 4),
        "rows": n,
        "ours": ours,
        "faiss": bare,
    }


def run_part(part: str, folder: Path, words: list[str]) -> dict[str, Any]:
    """The figures of one part, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.search", "--part", part, "--folder", str(folder), *words]
    done = subprocess.run(command, cwd=REPO, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout.strip(), file=sys.stderr)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def write_vectors(path: Path, n: int) -> None:
    """The mixture, unit vectors (n, 512) float16, block by block."""
    rng = np.random.default_rng(SEED)
    basis = np.linalg.qr(rng.normal(size=(WIDTH, SUBSPACE)))[0].astype(np.float32)
    centres = rng.normal(size=(max(1, n // ROWS_PER_CLUSTER), SUBSPACE)).astype(np.float32)
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, WIDTH))
    for start in range(0, n, 8 * QUERIES):
        size = min(8 * QUERIES, n - start)
        inside = centres[rng.integers(0, len(centres), size)] + SPREAD * rng.standard_normal((size, SUBSPACE), np.float32)
        block = inside @ basis.T + NOISE * rng.standard_normal((size, WIDTH), np.float32)
        vectors[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    vectors.flush()


def run_ours(folder: Path, n: int) -> dict[str, Any]:
    """Cells, index and graph of the first `n` vectors, then of all of them."""
    params = read_params(REPO / "params.yaml")["index"]
    gpu, path = count_gpus() > 0, folder / "image.index"
    every = np.load(folder / "vectors.npy", mmap_mode="r")
    vectors, took = every[:n], dict[str, float]()
    with peak_memory() as memory:
        with timed(took, "cells"):
            cells = cut(vectors, [n], params, gpu)
            write_cells(cells, folder / "cells.npz", "")
        with timed(took, "index"):
            write_segments(vectors, path, kind="ivf", cells=cells, ends=[n])
        with timed(took, "graph"):
            graph = build_cell_graph(vectors, cells, folder / "graph", n_neighbors=K, n_probes=params["n_probes"], threads=THREADS, gpu=gpu)
    samples = sampled_rows(n, SAMPLES, SEED)
    recall = graph_recall(vectors, samples, unpack(np.asarray(graph[samples]))[0])
    del graph
    appended: dict[str, float] = {}
    with timed(appended, "cells"):
        grown = cut(every, [n, len(every)], params, gpu, read_cells(folder / "cells.npz", ""))
        write_cells(grown, folder / "cells.npz", "")
    with timed(appended, "index"):
        write_segments(every, path, kind="ivf", cells=grown, ends=[n, len(every)], held=path)
        index = read_index(path, mapped=True)
    with timed(appended, "graph"):
        graph = append_to_cell_graph(every, grown, folder / "graph", n_old=n, n_neighbors=K, n_probes=params["n_probes"], threads=THREADS)
    later = sampled_rows(len(every), SAMPLES, SEED + 1)
    found = others_found(index, every, later, k=K, n_probes=params["n_probes"])
    return {
        "recall": round(recall, 4),
        "recall_after_append": round(graph_recall(every, later, unpack(np.asarray(graph[later]))[0]), 4),
        "search_recall": round(graph_recall(every, later, found), 4),
        "seconds": round(sum(took.values()), 2),
        "append_seconds": round(sum(appended.values()), 2),
        "memory_bytes": memory["above_start"],
        "cells": len(cells.centroids),
        "parts": {name: round(seconds, 2) for name, seconds in took.items()},
        "append_parts": {name: round(seconds, 2) for name, seconds in appended.items()},
    }


def cut(vectors: np.ndarray, ends: list[int], params: dict[str, Any], gpu: bool, previous: Cells | None = None) -> Cells:
    return grow_cells(
        vectors, ends, cells_per_sqrt=params["lists_per_sqrt"], points_per_cell=params["points_per_list"],
        max_growth=params["max_growth"], max_drift=params["max_drift"], seed=SEED, previous=previous, gpu=gpu,
    )  # fmt: skip


def run_faiss(folder: Path, n: int, queries: int | None) -> dict[str, Any]:
    """The same with nothing but FAISS: an index of float16 vectors in as many lists, asked for every row."""
    import faiss

    params = read_params(REPO / "params.yaml")["index"]
    vectors, took = np.load(folder / "vectors.npy", mmap_mode="r")[:n], dict[str, float]()
    n_lists, asked = round(params["lists_per_sqrt"] * math.sqrt(n)), min(queries or n, n)
    found = np.lib.format.open_memmap(folder / "found.npy", mode="w+", dtype=np.int64, shape=(asked, K + 1))
    with peak_memory() as memory:
        with timed(took, "train"):
            index: Any = faiss.index_factory(WIDTH, f"IVF{n_lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
            index.cp.max_points_per_centroid = params["points_per_list"]
            sample = np.sort(np.random.default_rng(SEED).choice(n, size=min(n, n_lists * params["points_per_list"]), replace=False))
            index.train(unit(vectors[sample]))
        with timed(took, "add"):
            for start in range(0, n, 8 * QUERIES):
                index.add(unit(vectors[start : start + 8 * QUERIES]))
            faiss.write_index(index, str(folder / "bare.index"))
        index.nprobe = params["n_probes"]
        with timed(took, "search"):
            for start in range(0, asked, QUERIES):
                stop = min(start + QUERIES, asked)
                found[start:stop] = index.search(unit(vectors[start:stop]), K + 1)[1]
                release(found)
    took["search"] *= n / asked
    samples = sampled_rows(asked, SAMPLES, SEED)
    others = np.argsort(found[samples] == samples[:, None], axis=1, kind="stable")[:, :-1]
    return {
        "recall": round(graph_recall(vectors, samples, np.take_along_axis(found[samples], others, axis=1)), 4),
        "seconds": round(sum(took.values()), 2),
        "memory_bytes": memory["above_start"],
        "asked": asked,
        "parts": {name: round(seconds, 2) for name, seconds in took.items()},
    }


@contextmanager
def timed(took: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[name] = time.perf_counter() - began
    print(f"{name}: {took[name]:.1f} s", file=sys.stderr)


@contextmanager
def peak_memory() -> Iterator[dict[str, int]]:
    """`above_start`: how far the largest resident set lies above the one at the start."""
    memory: dict[str, int] = {}
    forget_largest()
    start = psutil.Process().memory_info().rss
    yield memory
    memory["above_start"] = largest_resident() - start


if __name__ == "__main__":
    main()
