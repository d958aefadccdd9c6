"""Train with every loss on pictures with the concepts they were given, each as often, and say which resist the noise.

    python -m benchmarks.robust_training [--crawl DIR] [--clean DIR] [--params FILE] [--samples-seen N] [--losses NAME ...] [--seeds N ...]
                                         [--workers N]

DIR of --crawl is a packed crawl (images.parquet, manifest.parquet); its truth is not read. Every arm of the params sees the same rows in
the same batches, with the same seeds; the first one is what the others are compared with. Arms with a start have seen the same pictures
without labels before (`start_samples_seen`). As many trainings run at once as there are workers, each on its share of the cores: on two
cores that is a sixth faster, with the same accuracies. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from ruamel.yaml import YAML

from benchmarks.curation import REPO, merge
from tasks.core.params import read_params, section
from tasks.core.settings import prepare_environment
from tasks.methods.batches import Rows
from tasks.methods.clean_sets import read_clean_set
from tasks.methods.distribution import World
from tasks.methods.inference import predict
from tasks.methods.metrics import accuracy, expected_calibration_error, paired_interval
from tasks.methods.pictures import DECODER_ERRORS, square
from tasks.methods.steps import Plan, train_in_steps
from tasks.pretrain_params import PretrainParams

SHARED = REPO.parent / "shared" / "data"
OVERLAY = Path(__file__).with_suffix(".yaml")
CONFIDENCE, N_BINS = 0.95, 15


def main() -> None:
    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", type=Path, default=SHARED / "tinyweb")
    parser.add_argument("--clean", type=Path, default=SHARED / "eval", help="folder of clean test sets")
    parser.add_argument("--params", type=Path, default=OVERLAY, help="params that replace the project's, and the benchmark's own")
    parser.add_argument("--samples-seen", type=int, help="the budget of every training instead of that of the params")
    parser.add_argument("--losses", nargs="+", metavar="NAME", help="arms of the params to run, beside the first one; all without it")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="instead of those of the params")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="trainings that run at once; default: one per core")
    options = parser.parse_args()
    overlay = YAML(typ="safe").load(options.params)
    own, changes = overlay["robust_training"], overlay["pretrain"]
    if options.samples_seen:
        changes["samples_seen"] = options.samples_seen
    seeds = options.seeds or own["seeds"]
    print(json.dumps(compare(options.crawl, options.clean, own, changes, options.losses, seeds, options.workers)))


def compare(
    crawl: Path, clean: Path, own: dict[str, Any], changes: dict[str, Any], names: list[str] | None, seeds: list[int], n_workers: int
) -> dict[str, Any]:
    """Train every arm with every seed and return the figures."""
    began = time.monotonic()
    values = read_params(REPO / "params.yaml")
    values["pretrain"].pop("arms")
    merge(values["pretrain"], changes)
    params = section(PretrainParams, "pretrain", values)
    baseline, *others = params.arms
    unknown = sorted(set(names or []) - set(others))
    if unknown:
        raise SystemExit(f"no arms {unknown} beside '{baseline}' (there are: {', '.join(others)})")
    trial = Trial(crawl, clean, own, params)
    asked = [(name, seed) for name in params.arms if names is None or name in {baseline, *names} for seed in seeds]
    found: dict[str, list[dict[str, float]]] = {}
    # Spawned, for threads don't outlive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, context, initializer=share_cores, initargs=(n_workers,)) as pool:
        for (name, seed), result in zip(asked, pool.map(trial.run, *zip(*asked, strict=True)), strict=True):
            found.setdefault(name, []).append(result)
            say(f"{name}, seed {seed}: accuracy {result['accuracy']:.4f} in {result['seconds']:.0f} s")
    return {
        "rows": [figures(name, found, baseline) | beside(params, name) for name in found],
        "images": own["rows"],
        "samples_seen": params.samples_seen,
        "backbone": params.backbone,
        "seeds": seeds,
        "workers": n_workers,
        "test_pictures": int(found[baseline][0]["pictures"]),
        "seconds": round(time.monotonic() - began, 1),
    }


def share_cores(n_workers: int) -> None:
    """Give this process its share of the cores; more threads than cores would wait for one another."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // n_workers))


@dataclass(frozen=True)
class Trial:
    """What all trainings share."""

    crawl: Path
    clean: Path
    own: dict[str, Any]
    params: PretrainParams

    def run(self, name: str, seed: int) -> dict[str, float]:
        """Train one arm with one seed; accuracy and calibration on the clean pictures."""
        params, how = self.params, {"precision": self.params.precision, "device": "cpu"}
        rows, checked, concepts = read_rows(self.crawl, self.own["rows"], self.own["validation_rows"], params.image_size)
        test = read_clean_set(self.clean, self.own["clean_set"])
        if test is None:
            raise SystemExit(f"{self.clean} has no clean set '{self.own['clean_set']}': pass --clean")
        pictures, truth = test.pictures(params.image_size), test.classes(concepts)

        def validate(network: Any) -> float:
            return accuracy(predict(network, checked.pictures, **how).argmax(1), checked.classes)

        began, arm = time.monotonic(), params.arms[name]
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(params.backbone, len(concepts), Path(folder), "", seed, "cpu", World(), validate=validate, noted=None)
            _, network, _ = train_in_steps(rows, params.recipe(arm), params.steps(arm, rows), plan)
        seconds = time.monotonic() - began
        probabilities = predict(network, pictures, **how)
        right = probabilities.argmax(1) == truth
        error = expected_calibration_error(probabilities.max(1), right, n_bins=N_BINS)
        return {"accuracy": float(right.mean()), "calibration": error, "seconds": seconds, "pictures": len(truth)}


def figures(name: str, found: dict[str, list[dict[str, float]]], baseline: str) -> dict[str, Any]:
    """A line of the table: means over the seeds, and the paired interval of what the loss gains over the baseline."""
    ours = [result["accuracy"] for result in found[name]]
    row: dict[str, Any] = {"loss": name, "in_domain_accuracy": round(statistics.mean(ours), 4), "accuracies": ours}
    if name != baseline:
        gain = paired_interval([result["accuracy"] for result in found[baseline]], ours, confidence=CONFIDENCE)
        row |= {"gain": gain.mean, "gain_interval": [gain.low, gain.high], "beats_baseline": gain.low is not None and gain.low > 0}
    row["expected_calibration_error"] = round(statistics.mean(result["calibration"] for result in found[name]), 4)
    return row | {"seconds_per_training": round(statistics.mean(result["seconds"] for result in found[name]), 1)}


def beside(params: PretrainParams, name: str) -> dict[str, Any]:
    """Samples seen beside the budget, of an arm with a start."""
    start = params.start(params.arms[name])
    return {"start_samples_seen": start.more_samples} if start else {}


@cache  # once per worker
def read_rows(crawl: Path, n: int, n_validation: int, size: int) -> tuple[Rows, Rows, list[str]]:
    """n random decodable pictures of the crawl with their given concepts, and n_validation others; the same ones every time."""
    manifest, images = pq.read_table(crawl / "manifest.parquet"), pq.read_table(crawl / "images.parquet")
    places = {path: place for place, path in enumerate(images["path"].to_pylist())}
    given = manifest["concept"].to_pylist()
    concepts = sorted({concept for concept in given if concept})
    pictures: list[np.ndarray] = []
    classes: list[int] = []
    for row in np.random.default_rng(0).permutation(manifest.num_rows):
        if len(pictures) == n + n_validation:
            break
        place = places.get(manifest["url"][int(row)].as_py().split("/", 3)[3])
        if place is None or not given[row]:
            continue
        try:
            pictures.append(square(images["bytes"][place].as_py(), size))
        except DECODER_ERRORS:
            continue
        classes.append(concepts.index(given[row]))
    if len(pictures) < n + n_validation:
        raise SystemExit(f"{crawl} has only {len(pictures)} decodable pictures with a concept: lower `rows`")
    keys = np.random.default_rng(1).integers(0, 2**63, len(pictures)).astype(np.uint64)
    whole = np.stack(pictures), np.array(classes, np.int64), np.ones(len(pictures), np.float32), keys
    return Rows(*(part[:n] for part in whole)), Rows(*(part[n:] for part in whole)), concepts


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
