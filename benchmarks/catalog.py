"""Ask the catalog of a large dataset, and the same of img2dataset's own Parquet layout.

    python -m benchmarks.catalog [--samples N] [--vectors N] [--keep DIR]

N synthetic samples (10,000,000) are written as `curate` writes them, the catalog is built over them by its stage, and the same rows are
written as img2dataset writes its shards: 10,000 rows a file, 100 rows a group. Every question is asked several times, the median counts.
`similar_s` is `sluice similar` from the shell over 1,000,000 vectors. Progress goes to standard error; one JSON line comes last.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tasks.catalog import DATABASE, catalog
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.drift import CONTRACT as DRIFT
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.predictions import CONTRACT as PREDICTIONS
from tasks.contracts.proposals import CONTRACT as PROPOSALS
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.index import INDEX, ROWS, VECTORS
from tasks.methods.index_files import write_index
from tasks.methods.search import build_index
from tasks.methods.sql import open_catalog

REPO = Path(__file__).resolve().parents[1]
PER_CRAWL, PER_FILE, PER_GROUP = 1_000_000, 10_000, 100
N_CONCEPTS, WIDTH, REPEATS, LOOKUPS = 1000, 512, 5, 20
REASONS = [None, "unreachable", "broken", "too_small", "duplicate", "out_of_distribution", "label_noise"]
SHARES = [0.45, 0.2, 0.03, 0.02, 0.1, 0.12, 0.08]
LOOK = "SELECT * FROM samples WHERE sample_id = ?"
OURS = "SELECT concept, reason, sum(n_rows) AS n FROM tallies GROUP BY ALL"
SCAN = "SELECT concept, reason, count(*) AS n FROM samples GROUP BY ALL"
THEIRS = "SELECT concept, coalesce(error_message, status) AS reason, count(*) AS n FROM read_parquet({files}) GROUP BY ALL"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--vectors", type=int, default=1_000_000, help="of the index that `sluice similar` asks; 0 leaves it out")
    parser.add_argument("--keep", type=Path, help="make the data here and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-catalog-") as temporary:
        top = (options.keep or Path(temporary)).resolve()
        top.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(top, options.samples, options.vectors)))


def measure(top: Path, n_samples: int, n_vectors: int) -> dict[str, Any]:
    """Make the data in `top` and ask."""
    crawls = [f"crawl-{number:03d}" for number in range(-(-n_samples // PER_CRAWL))]
    ids, keys = write_samples(top, crawls, n_samples)
    began = time.monotonic()
    build_catalog(top, crawls)
    build_s = time.monotonic() - began
    ours, theirs = ask_ours(top, ids), ask_theirs(top / "img2dataset", keys)
    ratios = {name: theirs[name] / ours[name] for name in ("funnel_s", "scan_funnel_s", "lookup_s")}
    result = {**ours, "ratio_vs_img2dataset_layout": min(ratios["funnel_s"], ratios["lookup_s"])}
    result |= {f"ratio_{name.removesuffix('_s')}": ratio for name, ratio in ratios.items()}
    result |= {f"img2dataset_{name}": seconds for name, seconds in theirs.items()}
    if n_vectors:
        result["similar_s"] = ask_similar(top, n_vectors)
    return {"samples": n_samples, "build_s": build_s} | {name: round(value, 4) for name, value in result.items()}


def write_samples(top: Path, crawls: list[str], n_samples: int) -> tuple[list[str], list[str]]:
    """Both layouts, crawl after crawl; some ids and keys to look up."""
    sink, random = Sink(CURATED, top / "data/curated", crawls, per_crawl=False), np.random.default_rng(0)
    ids: list[str] = []
    keys: list[str] = []
    for number, crawl in enumerate(crawls):
        n = min(PER_CRAWL, n_samples - number * PER_CRAWL)
        table = synthetic(crawl, n, random)
        sink.write(Shard(crawl, "00000"), table.sort_by("sample_id"))
        write_theirs(top / "img2dataset", table, number * (PER_CRAWL // PER_FILE))
        places = random.integers(0, n, LOOKUPS)
        ids += [table["sample_id"][int(place)].as_py() for place in places]
        keys += [f"{number * (PER_CRAWL // PER_FILE) + place // PER_FILE:05d}{place % PER_FILE:04d}" for place in places.tolist()]
        print(f"{crawl}: {n:,} samples", file=sys.stderr)
    chosen = random.permutation(len(ids))[:LOOKUPS]
    return [ids[place] for place in chosen], [keys[place] for place in chosen]


def synthetic(crawl: str, n: int, random: np.random.Generator) -> pa.Table:
    """Rows of the contract of about the size and spread of real ones."""
    first, second, third = (
        [text[start : start + 64] for start in range(0, 64 * n, 64)] for text in (random.bytes(32 * n).hex() for _ in range(3))
    )
    concepts = pa.array([f"concept {number:04d}" for number in range(N_CONCEPTS)])
    concept = concepts.take(pa.array(random.zipf(1.3, n) % N_CONCEPTS))
    reason = pa.array(REASONS, pa.string()).take(pa.array(random.choice(len(REASONS), n, p=SHARES)))
    keep, ok = reason.is_null(), pa.array([name not in ("unreachable", "broken") for name in reason.to_pylist()])
    score = pa.array(random.random(n, np.float32))
    known: dict[str, Any] = {
        "sample_id": [text[:32] for text in first],
        "image_id": [text[32:] for text in first],
        "crawl": [crawl] * n,
        "shard": [f"{place // 5000:05d}" for place in range(n)],
        "key": [f"{place // 5000:05d}{place % 5000:04d}" for place in range(n)],
        "url": [f"https://site{int(text[:3], 16)}.example/{text[3:20]}/{text[20:40]}.jpg" for text in second],
        "alt_text": [f"picture of {text[:5]} {text[5:12]} in {text[12:20]}" for text in second],
        "concept": concept,
        "status": pa.array(["failed", "ok"]).take(ok.cast(pa.int8())),
        "detail": pa.array(["http_404", None], pa.string()).take(ok.cast(pa.int8())),
        "sha256": third,
        "bytes": random.integers(5_000, 500_000, n),
        "format": ["jpeg"] * n,
        **{name: random.integers(100, 2000, n).astype(np.int32) for name in ("width", "height", "original_width", "original_height")},
        "keep": keep,
        "reason": reason,
        "reasons": [[] if name is None else [name] for name in reason.to_pylist()],
        "curated_concept": pa.array([name if kept else None for name, kept in zip(concept.to_pylist(), keep.to_pylist(), strict=True)]),
        "suggested_concept": concept,
        "verdict": ["right"] * n,
        **dict.fromkeys(("confidence", "label_score", "ood_score", "text_score", "near_duplicate_score", "weight"), score),
        "duplicate_group": [text[:32] for text in first],
        "split": ["train"] * n,
        "fold": random.integers(0, 3, n).astype(np.int8),
        "review_priority": score,
    }
    columns = [known[name] if name in known else pa.nulls(n, CURATED.schema.field(name).type) for name in CURATED.schema.names]
    return pa.table(columns, schema=CURATED.schema)


def write_theirs(folder: Path, table: pa.Table, first: int) -> None:
    """The rows as img2dataset's shards: its columns, 10,000 rows a file, 100 rows a group."""
    folder.mkdir(exist_ok=True)
    names = {"concept": "concept", "caption": "alt_text", "url": "url", "width": "width", "height": "height", "sha256": "sha256"}
    sizes = {"original_width": "original_width", "original_height": "original_height"}
    for start in range(0, table.num_rows, PER_FILE):
        rows, shard = table.slice(start, PER_FILE), first + start // PER_FILE
        ok = rows["status"].to_pylist()
        more = {
            "key": [f"{shard:05d}{place:04d}" for place in range(rows.num_rows)],
            "status": ["success" if status == "ok" else "failed_to_download" for status in ok],
            "error_message": pa.array([None if status == "ok" else "HTTP Error 404: Not Found" for status in ok], pa.string()),
        }
        columns = {**{theirs: rows[ours] for theirs, ours in {**names, **sizes}.items()}, **more}
        pq.write_table(pa.table(columns), folder / f"{shard:05d}.parquet", row_group_size=PER_GROUP)


def build_catalog(top: Path, crawls: list[str]) -> None:
    """The catalog stage over the samples alone; its other tables are empty."""
    (top / "data/concepts").mkdir(exist_ok=True)
    concepts = {"concepts": [{"name": f"concept {number:04d}", "definition": "made up"} for number in range(N_CONCEPTS)]}
    (top / "data/concepts/made.yaml").write_text(yaml.safe_dump(concepts))
    contracts = (CURATED, PAIRS, NEIGHBORS, PREDICTIONS, DRIFT, PROPOSALS)
    folders = ("curated", *(contract.name for contract in contracts[1:]))
    curated, pairs, neighbors, predictions, drift, proposals = (
        Source(contract, top / "data" / name, crawls, per_crawl=False) for contract, name in zip(contracts, folders, strict=True)
    )
    concepts_folder, catalog_folder = Artifact(top / "data/concepts"), Artifact(top / "data/catalog")
    catalog(curated, pairs, neighbors, predictions, drift, proposals, concepts_folder, catalog_folder, crawls)


def ask_ours(top: Path, ids: list[str]) -> dict[str, float]:
    """Median seconds to open the catalog and to answer, through the hardened door."""

    def opened() -> Any:
        return open_catalog(top / "data/catalog" / DATABASE, top, [Path("data")])

    def open_and_look() -> None:
        with opened() as door:
            door.execute("SELECT * FROM crawls").fetchall()

    with opened() as door:
        return {
            "open_s": median(open_and_look),
            "funnel_s": median(lambda: door.execute(OURS).fetchall()),
            "scan_funnel_s": median(lambda: door.execute(SCAN).fetchall()),
            "lookup_s": statistics.median(seconds(partial(fetched, door, LOOK, sample)) for sample in ids),
        }


def ask_theirs(folder: Path, keys: list[str]) -> dict[str, float]:
    """The same questions to the other layout: the funnel by concept and error, a row by its key."""
    files = f"'{folder}/*.parquet'"
    with duckdb.connect() as connection:
        funnel = median(lambda: connection.execute(THEIRS.format(files=files)).fetchall(), repeats=3)
        look = f"SELECT * FROM read_parquet({files}) WHERE key = ?"
        lookups = [seconds(partial(fetched, connection, look, key)) for key in keys[:5]]
    return {"funnel_s": funnel, "scan_funnel_s": funnel, "lookup_s": statistics.median(lookups)}


def fetched(door: Any, sql: str, value: str) -> None:
    """Ask with one value and read the answer."""
    if len(door.execute(sql, [value]).fetchall()) != 1:
        raise ValueError(f"{value} should be one row")


def ask_similar(top: Path, n: int) -> float:
    """Median seconds of `sluice similar` from the shell, over a workspace whose index has `n` vectors of 512 numbers."""
    folder, random = top / "data/index", np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=np.float16, shape=(n, WIDTH))
    centres = random.standard_normal((1000, WIDTH), dtype=np.float32)
    for start in range(0, n, 100_000):
        size = min(100_000, n - start)
        vectors[start : start + size] = centres[random.integers(0, 1000, size)] + random.standard_normal((size, WIDTH), dtype=np.float32)
    write_index(build_index(vectors, kind="ivf", lists_per_sqrt=1.0), folder / INDEX)
    ids = [f"{number:032x}" for number in range(n)]
    pq.write_table(pa.table({"position": np.arange(n), "sample_id": ids, "crawl": ["crawl-000"] * n}), folder / ROWS, compression="zstd")
    shutil.copy(REPO / "dvc.yaml", top / "dvc.yaml")
    shutil.copy(REPO / "params.yaml", top / "params.yaml")
    command = [sys.executable, "-m", "tasks.cli", "--workspace", str(top), "similar", ids[n // 2]]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return median(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))


def median(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Median wall time."""
    return statistics.median(seconds(work) for _ in range(repeats))


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
