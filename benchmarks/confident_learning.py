"""Find label errors among many concepts: the streamed sparse form against cleanlab's dense one.

    python -m benchmarks.confident_learning [--rows N] [--concepts K] [--top M]

Both get the same made predictions from the disk, dense (float32) or as each row's M most probable concepts, each in a process of its
own, whose CPU seconds and peak memory are taken. cleanlab runs in one process with the filter "confident_learning". The dense form of
1,000,000 rows of 1,000 concepts is a file of 4 GB and takes cleanlab several times as much memory: try it small first. One JSON line
comes last; its `agreement` is the share of rows flagged by both among those flagged by either.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.methods.sparse_labels import chunks, sparse_issues, top_concepts

ROWS_AT_A_TIME = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--concepts", type=int, default=1000)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--child", choices=("sparse", "dense"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_child(options.child, options.folder, options.concepts)))
        return
    with tempfile.TemporaryDirectory(prefix="sluice-labels-") as temporary:
        folder = Path(temporary)
        print(f"making {options.rows} x {options.concepts} predictions", file=sys.stderr)
        make(folder, options.rows, options.concepts, options.top)
        print(json.dumps(compare(folder, options.rows, options.concepts, options.top)))


def make(folder: Path, n: int, k: int, top: int) -> None:
    """Predictions of varying confidence, a fifth of the given concepts wrong; written part by part."""
    dense = np.lib.format.open_memmap(folder / "dense.npy", "w+", np.float32, (n, k))
    concepts = np.lib.format.open_memmap(folder / "concepts.npy", "w+", np.int32, (n, min(top, k)))
    probs = np.lib.format.open_memmap(folder / "probs.npy", "w+", np.float32, (n, min(top, k)))
    given = np.zeros(n, np.int64)
    rng = np.random.default_rng(0)
    for start in range(0, n, ROWS_AT_A_TIME):
        part = slice(start, min(start + ROWS_AT_A_TIME, n))
        m = part.stop - start
        truth = rng.integers(0, k, m)
        logits = rng.standard_normal((m, k), np.float32)
        logits[np.arange(m), truth] += rng.uniform(2, 14, m).astype(np.float32)
        chance = np.exp(logits)
        dense[part] = chance / chance.sum(1, keepdims=True)
        given[part] = np.where(rng.random(m) < 0.2, rng.integers(0, k, m), truth)
        concepts[part], probs[part] = top_concepts(dense[part], top)
    np.save(folder / "given.npy", given)


def compare(folder: Path, n: int, k: int, top: int) -> dict[str, Any]:
    """CPU seconds, peak memory of the whole process, and agreement of both forms."""
    sparse, dense = child("sparse", folder, k), child("dense", folder, k)
    ours, theirs = np.load(folder / "sparse_flags.npy"), np.load(folder / "dense_flags.npy")
    both, either = int((ours & theirs).sum()), int((ours | theirs).sum())
    return {
        "rows": n,
        "concepts": k,
        "top": top,
        "seconds": sparse["seconds"],
        "cleanlab_seconds": dense["seconds"],
        "speedup": round(dense["seconds"] / max(sparse["seconds"], 1e-9), 2),
        "memory_mb": sparse["peak_mb"],
        "cleanlab_memory_mb": dense["peak_mb"],
        "memory_ratio": round(sparse["peak_mb"] / dense["peak_mb"], 4),
        "flagged": int(ours.sum()),
        "cleanlab_flagged": int(theirs.sum()),
        "agreement": round(both / either, 6) if either else 1.0,
    }


def child(kind: str, folder: Path, k: int) -> dict[str, float]:
    """What a process of its own measured."""
    command = [sys.executable, "-m", "benchmarks.confident_learning", "--child", kind, "--folder", str(folder), "--concepts", str(k)]
    print(f"running {kind}", file=sys.stderr)
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def run_child(kind: str, folder: Path, k: int) -> dict[str, float]:
    """Flag the rows of a folder and measure: CPU seconds of the method alone, peak memory of the whole process."""
    given = np.load(folder / "given.npy")
    if kind == "sparse":
        listed = (np.load(folder / "concepts.npy", mmap_mode="r"), np.load(folder / "probs.npy", mmap_mode="r"), given)
        began = time.process_time()
        passes = (chunks(*listed, rows=ROWS_AT_A_TIME) for _ in range(2))
        flags = sparse_issues(*passes, n_concepts=k).is_issue
    else:
        from cleanlab.filter import find_label_issues

        pred_probs = np.load(folder / "dense.npy")
        began = time.process_time()
        flags = find_label_issues(given, pred_probs, filter_by="confident_learning", n_jobs=1)
    seconds = time.process_time() - began
    np.save(folder / f"{kind}_flags.npy", flags)
    return {"seconds": round(seconds, 3), "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this program has held since it began; `getrusage` would count what its parent held before."""
    status = Path("/proc/self/status").read_text()
    return round(int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024, 1)


if __name__ == "__main__":
    main()
