"""Grow tenfold: time and memory of stages on synthetic rows.

    python -m benchmarks.growth [--rows N,M] [--memory-gb G]

`validate` stands for the stages that stream shards, `index`, `deduplicate` and `match` for those that look at neighbours; each runs by
itself, in a process of its own, on tables of N and of M rows (embeddings of 64 numbers in one cluster per 500 rows; ten concepts; an
encoder of random weights). Before it, in the same process, the stage runs twice on 1,000 rows: the first time loads what it needs, the
second tells what it takes however few the rows are; both are left out of its seconds. Peak memory is the largest resident set, private
memory what of it is no page of a mapped file. `streaming_growth` and `knn_growth` are ratios of seconds, the largest one of the latter;
`under_ceiling` says whether peak memory stayed under G. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.memory import largest_resident, watching_private
from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.core.params import SharedParams, read_params
from tasks.core.settings import Settings, prepare_environment
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.deduplicate import DeduplicateParams, deduplicate
from tasks.index import IndexParams, index
from tasks.match import MatchParams, match
from tasks.methods.clip import new_model, save_encoder
from tasks.validate import ValidateParams, validate

REPO = Path(__file__).resolve().parents[1]
CRAWL = "rows"
ROWS_PER_SHARD, START_ROWS = 20_000, 1_000
WIDTH, SPREAD, ROWS_PER_CLUSTER = 64, 0.5, 500
CONCEPTS = tuple(f"kind {number}" for number in range(10))
ENCODER: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
STAGES = ("validate", "index", "deduplicate", "match")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--memory-gb", type=float, default=8.0)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_environment()
    if options.stage:
        print(json.dumps(measure(options.stage, options.folder, options.memory_gb)))
        return
    sizes = [int(n) for n in options.rows.split(",")]
    with tempfile.TemporaryDirectory(prefix="sluice-growth-") as scratch:
        print(json.dumps(compare(sizes, options.memory_gb, Path(scratch))))


def compare(sizes: list[int], memory_gb: float, scratch: Path) -> dict[str, Any]:
    """All figures."""
    runs: dict[str, dict[str, dict[str, float]]] = {stage: {} for stage in STAGES}
    for n in sizes:
        folder = scratch / str(n)
        for path, size in ((folder, n), (folder / "first", START_ROWS), (folder / "second", START_ROWS)):
            write_rows(path, size)
        for stage in STAGES:
            command = [sys.executable, "-m", "benchmarks.growth", "--stage", stage, "--folder", str(folder), "--memory-gb", str(memory_gb)]
            done = subprocess.run(command, cwd=REPO, check=True, stdout=subprocess.PIPE, text=True)
            runs[stage][str(n)] = json.loads(done.stdout)
            print(stage, n, done.stdout.strip(), file=sys.stderr)
    first, last = str(sizes[0]), str(sizes[-1])
    growth = {stage: round(runs[stage][last]["seconds"] / runs[stage][first]["seconds"], 2) for stage in STAGES}
    peak = max(run["peak_memory_gb"] for found in runs.values() for run in found.values())
    return {
        "streaming_growth": growth["validate"],
        "knn_growth": max(growth[stage] for stage in STAGES[1:]),
        "under_ceiling": peak < memory_gb,
        "peak_memory_gb": peak,
        "stages": runs,
    }


def write_rows(folder: Path, n: int) -> None:
    """Records and embeddings of `n` rows, shard by shard; concepts and an encoder."""
    rng = np.random.default_rng(n)
    centres = rng.normal(size=(max(1, n // ROWS_PER_CLUSTER), WIDTH)).astype(np.float32)
    records, embeddings = Sink(RECORDS, folder / "records", [CRAWL]), Sink(EMBEDDINGS, folder / "embeddings", [CRAWL])
    for number, start in enumerate(range(0, n, ROWS_PER_SHARD)):
        size = min(ROWS_PER_SHARD, n - start)
        shard = Shard(CRAWL, f"{number:05d}")
        ids = [f"{place:032x}" for place in range(start, start + size)]
        clusters = rng.integers(0, len(centres), size)
        columns = {"sample_id": pa.array(ids), "crawl": pa.array([CRAWL] * size)}
        columns |= {name: unit_lists(centres[clusters], rng) for name in ("image_embedding", "text_embedding")}
        embeddings.write(shard, pa.table(columns).select(EMBEDDINGS.schema.names).cast(EMBEDDINGS.schema))
        records.write(shard, record_table(ids, shard, [CONCEPTS[cluster % len(CONCEPTS)] for cluster in clusters], rng))
    known = [{"name": name, "definition": f"a thing of {name}"} for name in CONCEPTS]
    (folder / "concepts").mkdir()
    (folder / "concepts" / "concepts.yaml").write_text(yaml.safe_dump({"concepts": known}))
    save_encoder(new_model(ENCODER, seed=0)[0], ENCODER, folder / "encoder", source="crawl", name="tiny")


def unit_lists(centres: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """Vectors of length 1 about the centres (n, d), float16, as a column of n lists."""
    vectors = centres + SPREAD * rng.standard_normal(centres.shape, np.float32)
    flat = pa.array((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, centres.shape[1]).cast(pa.list_(flat.type))


def record_table(ids: list[str], shard: Shard, concepts: list[str], rng: np.random.Generator) -> pa.Table:
    """Small grey pictures with hashes of their own, filed under these concepts."""
    size = len(ids)
    text = {
        "concept": concepts,
        **dict.fromkeys(("sample_id", "image_id", "key", "url", "alt_text"), ids),
        "sha256": [2 * name for name in ids],
    }
    same = {"crawl": CRAWL, "shard": shard.name, "status": "ok", "format": "jpeg", "thumbnail": bytes(1024)}
    numbers = {name: np.full(size, 48) for name in ("bytes", "width", "height", "original_width", "original_height")}
    hashes = {name: rng.integers(0, 2**64, size, np.uint64) for name in ("phash", "phash_mirrored")}
    columns = {**text, **{name: [value] * size for name, value in same.items()}, **numbers, **hashes}
    absent = {field.name: pa.nulls(size, field.type) for field in RECORDS.schema if field.name not in columns}
    return pa.table({**columns, **absent}).select(RECORDS.schema.names).cast(RECORDS.schema)


def measure(stage: str, folder: Path, memory_gb: float) -> dict[str, float]:
    """Seconds of one stage in this process beyond what it takes for a few rows, those, and its peak memory."""
    run_stage(stage, folder / "first", memory_gb)
    fixed = run_stage(stage, folder / "second", memory_gb)
    with watching_private() as private:
        whole = run_stage(stage, folder, memory_gb)
    memory = {"peak_memory_gb": largest_resident(), "private_memory_gb": private[0]}
    return {"seconds": round(whole - fixed, 2), "fixed_seconds": round(fixed, 2)} | {
        name: round(size / 2**30, 3) for name, size in memory.items()
    }


def run_stage(stage: str, folder: Path, memory_gb: float) -> float:
    """Seconds of one run of a stage; the next stages read what it leaves in the folder."""
    params = read_params(REPO / "params.yaml")
    settings = Settings(workers=len(os.sched_getaffinity(0)), memory_gb=memory_gb)
    whole: dict[str, Any] = {"crawls": [CRAWL], "per_crawl": False}
    records, embeddings = Source(RECORDS, folder / "records", [CRAWL]), Source(EMBEDDINGS, folder / "embeddings", [CRAWL])
    shared = SharedParams(seed=0)
    (folder / "clean").mkdir(exist_ok=True)
    neighbors, duplicates = (Source(contract, folder / contract.name, **whole) for contract in (NEIGHBORS, DUPLICATES))
    began = time.perf_counter()
    if stage == "validate":
        bound = Source(RECORDS, folder / "records" / CRAWL, [CRAWL], bound_crawl=CRAWL)
        verdicts = Sink(VALIDITY, folder / "validity", [CRAWL], bound_crawl=CRAWL)
        limits = ValidateParams.model_validate(params["validate"] | {"min_valid_share": 0.0})
        validate(bound, verdicts, Artifact(folder / "validation"), CRAWL, limits)
    elif stage == "index":
        made = Sink(NEIGHBORS, folder / "neighbors", **whole)
        index(embeddings, Artifact(folder / "index"), made, IndexParams.model_validate(params["index"]), shared, settings)
    elif stage == "deduplicate":
        sources = records, Artifact(folder / "index"), neighbors, Artifact(folder / "clean")
        sinks = Sink(DUPLICATES, folder / "duplicates", **whole), Sink(PAIRS, folder / "pairs", **whole)
        deduplicate(*sources, *sinks, DeduplicateParams.model_validate(params["deduplicate"]), shared, settings)
    else:
        artifacts = Artifact(folder / "encoder"), Artifact(folder / "concepts")
        sinks = Sink(PROTOTYPES, folder / "prototypes", [CRAWL]), Sink(MATCHES, folder / "matches", **whole)
        told = MatchParams.model_validate(params["match"])
        match(records, embeddings, neighbors, duplicates, *artifacts, *sinks, told, settings)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
