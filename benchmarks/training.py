"""Train on a crawl as it came, on a random part of it and on what curation kept, with three seeds each, and say what was gained.

    python -m benchmarks.training [--workspace DIR] [--crawl DIR] [--clean DIR] [--params FILE]
                                  [--arms NAME ...] [--seeds N ...] [--images-seen N]

DIR of --workspace is a curated workspace as `python -m benchmarks.curation CRAWL --keep DIR` leaves it; without one the crawl is
curated first. The arms see equally many samples; models that a workspace holds already are not trained again. The arm `curated_plain`
tells what the rows bring from what the loss brings. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
from ruamel.yaml import YAML

from benchmarks.curation import OVERLAY as CURATION
from benchmarks.curation import REPO, call, curate, merge
from tasks.contracts.curated import CONTRACT
from tasks.core.params import read_params, section
from tasks.core.shards import SerialPool
from tasks.core.tables import Source
from tasks.methods import training
from tasks.methods.arms import COLUMNS, all_concepts, choose_rows, hash_keys
from tasks.methods.backbones import build_network
from tasks.methods.batches import Rows, batches
from tasks.pretrain import decode
from tasks.pretrain_params import PretrainParams

SHARED = REPO.parent / "shared"
OVERLAY = Path(__file__).with_suffix(".yaml")
LOADING_STEPS, LOADING_ROUNDS = 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="a curated workspace; it is trained in, and left")
    parser.add_argument("--crawl", type=Path, default=SHARED / "data" / "tinyweb", help="the packed crawl to curate without --workspace")
    parser.add_argument("--clean", type=Path, default=SHARED / "data" / "eval", help="folder of clean test sets")
    parser.add_argument("--params", type=Path, default=OVERLAY, help="params that replace the project's, section by section, key by key")
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="a part of the arms that the params describe, instead of those they name")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="instead of those of the params")
    parser.add_argument("--images-seen", type=int, metavar="N", help="the budget of every training instead of that of the params")
    options = parser.parse_args()
    changes = overlay_of(options.params, options.arms, options.seeds, options.images_seen)
    clean = options.clean.resolve()
    with tempfile.TemporaryDirectory(prefix="sluice-training-") as temporary:
        workspace = options.workspace.resolve() if options.workspace else Path(temporary) / "workspace"
        if not options.workspace:
            curate(options.crawl.resolve(), workspace, CURATION, clean, (SHARED / "tools" / "score.py").resolve())
        print(json.dumps(compare(workspace, clean, changes)))


def overlay_of(file: Path, arms: list[str] | None, seeds: list[int] | None, images_seen: int | None) -> dict[str, Any]:
    """The params of a file, with what was asked for on the command line."""
    changes: dict[str, Any] = YAML(typ="safe").load(file)
    if arms:
        changes["arms"] = arms
    if seeds:
        changes["seeds"] = seeds
    if images_seen:
        changes.setdefault("pretrain", {})["samples_seen"] = images_seen
    return changes


def compare(workspace: Path, clean: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Train every arm and seed in the workspace, by the project's params with these changes, and return the figures."""
    began = time.monotonic()
    shutil.copytree(REPO / "tasks", workspace / "tasks", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    yaml = YAML()
    params, ours = (yaml.load(folder / "params.yaml") for folder in (workspace, REPO))
    params |= {name: ours[name] for name in ("pretrain", "evaluate")}  # a workspace may be older than the code
    merge(params, changes)
    params["clean"] = str(clean)
    yaml.dump(params, workspace / "params.yaml")
    loading = steps_vs_preloaded(workspace)
    call(workspace, "dvc", "repro", "--single-item", "pretrain")
    call(workspace, "dvc", "repro", "--single-item", "evaluate")
    metrics = json.loads((workspace / "reports/metrics/evaluate.json").read_text())
    means = {arm: mean_figures(seeds) for arm, seeds in metrics["arms"].items()}
    return {
        **curated_figures(metrics["gain"], means),
        "steps_vs_preloaded": loading,
        "gains": metrics["gain"],
        "arms": means,
        "encoder": metrics["encoder"],
        "sentence": metrics["sentence"],
        "samples_seen": params["pretrain"]["samples_seen"],
        "seeds": len(params["seeds"]),
        "seconds": round(time.monotonic() - began, 1),
    }


def curated_figures(gains: dict[str, dict[str, Any]], means: dict[str, dict[str, float]]) -> dict[str, Any]:
    """What the curated arm comes to; its gain where the raw arm was trained too; nothing without it."""
    if "curated" not in means:
        return {}
    found: dict[str, Any] = {"in_domain_accuracy": means["curated"]["in_domain_accuracy"]}
    if gain := gains["in_domain_accuracy"].get("curated"):
        found |= {"gain_over_raw": gain["mean"], "gain_interval": [gain["low"], gain["high"]]}
        found["near_domain_gain"] = gains["near_domain_linear_probe"].get("curated")
    return found


def mean_figures(seeds: dict[str, dict[str, Any]]) -> dict[str, float]:
    """An arm's figures, averaged over its seeds."""
    figures = {name: [found[name] for found in seeds.values()] for name in ("in_domain_accuracy", "expected_calibration_error", "rows")}
    figures["linear_probe"] = [found["near_domain"]["linear_probe"] for found in seeds.values()]
    return {name: round(statistics.mean(values), 4) for name, values in figures.items()}


def steps_vs_preloaded(workspace: Path) -> float:
    """Steps per second of the loop as it is, over those of the same loop on batches made beforehand; the median of some rounds."""
    values = read_params(workspace / "params.yaml")
    params = section(PretrainParams, "pretrain", values)
    source = Source(contract=CONTRACT, root=workspace / "data/curated", crawls=values["crawls"], per_crawl=False)
    samples = source.table(COLUMNS)
    chosen = choose_rows(samples, rows="raw", weighted=False, seed=0).slice(0, LOADING_STEPS * params.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        rows = as_rows(
            chosen,
            all_concepts(samples),
            decode(chosen, workspace / "data/images", Path(folder) / "pixels", params.image_size, SerialPool()),
        )
        recipe = replace(params.recipe(next(iter(params.arms.values()))), samples_seen=LOADING_STEPS * params.batch_size, points=1)
        ready = list(batches(rows, batch_size=recipe.batch_size, n_steps=recipe.n_steps, first=0, seed=0, how=recipe.augmentation))

        def preloaded(*_: Any, **__: Any) -> Iterator[Any]:
            return iter(ready)

        ratios = []
        for _ in range(LOADING_ROUNDS):
            as_it_is = seconds_of(rows, recipe, params.backbone)
            with mock.patch.object(training, "batches", preloaded):
                ratios.append(seconds_of(rows, recipe, params.backbone) / as_it_is)
    return round(statistics.median(ratios), 3)


def as_rows(chosen: pa.Table, concepts: list[str], pictures: Any) -> Rows:
    """The rows as the loop takes them."""
    classes = [concepts.index(name) for name in chosen["concept"].to_pylist()]
    weights = chosen["weight"].to_numpy()
    return Rows(pictures, pa.array(classes, pa.int64()).to_numpy(), weights, hash_keys(chosen["sample_id"]))


def seconds_of(rows: Rows, recipe: training.Recipe, backbone: str) -> float:
    network = build_network(backbone, int(rows.classes.max()) + 1, seed=0, pictures=rows.pictures)
    began = time.monotonic()
    training.train(network, rows, recipe=recipe, seed=0)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
