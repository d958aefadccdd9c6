"""Find planted copies among 20,000 pictures, beside cleanvision and imagededup on the same files.

    python -m benchmarks.dedup [--pictures N] [--data DIR] [--no-peers]

Half of the pictures are copies of parts of photographs (128 pixels), as many of each of ten kinds (benchmarks/planted.py); the other half
are their originals and a crowd of small pictures without copies. Sluice's `deduplicate` runs on them with the project's params; without a
pretrained encoder the embeddings are the thumbnails. The peers run in environments of their own: cleanvision with its exact and near
duplicates, imagededup with each of its four hashes at every even distance up to 10. A pair is right if both have the same original; a
copy is found if the reported pairs link it with its original, directly or over others. `ahead` lists, kind by kind, the peers' variants
whose precision is not below Sluice's and whose share of found copies is higher: none, if all is well. The peers take ten minutes; with
`--no-peers` Sluice's figures come alone. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.peers import peer_python
from benchmarks.planted import KINDS, TILE, Picture, plant
from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.core.params import SharedParams, read_params
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.deduplicate import DeduplicateParams, deduplicate
from tasks.methods.groups import union
from tasks.methods.knn import knn_graph
from tasks.methods.perceptual import thumbnail
from tasks.methods.pictures import perceptual_hashes, to_rgb

REPO = Path(__file__).resolve().parents[1]
DATA = REPO.parent / "shared" / "data"
PEERS = {"cleanvision": "cleanvision==0.3.7", "imagededup": "imagededup==0.3.3.post2"}
PYTHON = "3.11"
CRAWL = "planted"
SEED = 11
DETAILS = {"min_detail_side": TILE}  # these are photographs throughout, so that details tell them apart at this size already


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with photos/ and eval/")
    parser.add_argument("--no-peers", action="store_true", help="Sluice's figures alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-dedup-") as scratch:
        print(json.dumps(compare(options.data, options.pictures, Path(scratch), {} if options.no_peers else PEERS)))


def compare(data: Path, n_pictures: int, folder: Path, requirements: dict[str, str]) -> dict[str, Any]:
    """All figures, beside those of the peers: name -> requirement."""
    pictures = plant(data, n_pictures, SEED)
    files = folder / "files"
    files.mkdir()
    for place, picture in enumerate(pictures):
        (files / f"{place:06d}.jpg").write_bytes(picture.data)
    began = time.perf_counter()
    ours = figures(pictures, find_copies(pictures, folder))
    ours["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(ours), file=sys.stderr)
    if not requirements:
        return {**ours, "pictures": len(pictures)}
    peers = {}
    for name, requirement in requirements.items():
        for variant, found in run_peer(name, requirement, files, folder / f"{name}.json").items():
            peers[variant] = figures(pictures, np.array(found["pairs"], np.int64).reshape(-1, 2)) | {"seconds": found["seconds"]}
            print(variant, json.dumps(peers[variant]), file=sys.stderr)
    ahead = {
        kind: [name for name, found in peers.items() if found["precision"] >= ours["precision"] and found[kind] > ours[kind]]
        for kind in KINDS
    }
    return {**ours, "pictures": len(pictures), "ahead": {kind: names for kind, names in ahead.items() if names}, "peers": peers}


def find_copies(pictures: Sequence[Picture], folder: Path) -> np.ndarray:
    """Pairs (m, 2) of places that `deduplicate` reports, each once, as far as it puts them into one group."""
    rows = [record(place, picture.data) for place, picture in enumerate(pictures)]
    empty = {field.name: None for field in RECORDS.schema}
    Sink(RECORDS, folder / "records", [CRAWL]).write(
        Shard(CRAWL, "00000"), pa.Table.from_pylist([empty | row for row in rows], RECORDS.schema)
    )
    vectors = np.stack([np.frombuffer(row["thumbnail"], np.uint8) for row in rows]).astype(np.float32)
    vectors = (vectors - vectors.mean(axis=1, keepdims=True)).astype(np.float16)
    (folder / "index").mkdir()
    np.save(folder / "index" / "vectors.npy", vectors)
    near, similarities = knn_graph(vectors, n_neighbors=read_params(REPO / "params.yaml")["index"]["n_neighbors"])
    columns = {"position": np.arange(len(rows)), "sample_id": [row["sample_id"] for row in rows], "crawl": [CRAWL] * len(rows)}
    whole: dict[str, Any] = {"crawls": [CRAWL], "per_crawl": False}
    graph = pa.table({**columns, "neighbors": list(near), "similarities": list(similarities)}).cast(NEIGHBORS.schema)
    Sink(NEIGHBORS, folder / "neighbors", **whole).write_whole(graph)
    (folder / "clean").mkdir()
    metrics = deduplicate(
        records=Source(RECORDS, folder / "records", [CRAWL]),
        index=Artifact(folder / "index"),
        neighbors=Source(NEIGHBORS, folder / "neighbors", **whole),
        clean=Artifact(folder / "clean"),
        duplicates=Sink(DUPLICATES, folder / "duplicates", **whole),
        pairs=Sink(PAIRS, folder / "pairs", **whole),
        params=DeduplicateParams.model_validate(read_params(REPO / "params.yaml")["deduplicate"] | DETAILS),
        shared=SharedParams(seed=0),
    )
    print(json.dumps(metrics), file=sys.stderr)
    groups = Source(DUPLICATES, folder / "duplicates", **whole).table(["sample_id", "duplicate_group"])
    members = np.array([[int(name, 16) for name in groups[column].to_pylist()] for column in ("sample_id", "duplicate_group")]).T
    pairs = Source(PAIRS, folder / "pairs", **whole).table(["sample_id", "other_id"])
    found = np.array([[int(name, 16) for name in pairs[column].to_pylist()] for column in ("sample_id", "other_id")]).T
    label = np.empty(len(rows), np.int64)
    label[members[:, 0]] = members[:, 1]
    together = label[found[:, 0]] == label[found[:, 1]]  # pairs whose rows a chain of resemblance keeps apart are no copies
    return np.unique(found[together], axis=0)


def record(place: int, data: bytes) -> dict[str, Any]:
    """What `ingest` writes of a picture, as far as `deduplicate` reads it."""
    rgb = to_rgb(Image.open(BytesIO(data)))
    plain, mirrored = perceptual_hashes(rgb)
    name = f"{place:032x}"
    given = {
        "sample_id": name,
        "image_id": name,
        "crawl": CRAWL,
        "shard": "00000",
        "key": name,
        "url": name,
        "alt_text": "",
        "status": "ok",
    }
    size = {"width": rgb.width, "height": rgb.height}
    return {
        **given,
        **size,
        "sha256": hashlib.sha256(data).hexdigest(),
        "phash": plain,
        "phash_mirrored": mirrored,
        "thumbnail": thumbnail(rgb),
    }


def run_peer(name: str, requirement: str, files: Path, out: Path) -> dict[str, Any]:
    """Pairs and seconds of each of a peer's variants."""
    script = Path(__file__).with_name("dedup_peers.py")
    command = [str(peer_python(requirement, PYTHON)), str(script), name, str(files), str(out)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def figures(pictures: Sequence[Picture], pairs: np.ndarray) -> dict[str, Any]:
    """Share of pairs whose pictures have one original, and for each kind the share of copies that pairs link with it."""
    original, kinds = np.array([picture.original for picture in pictures]), np.array([picture.kind for picture in pictures])
    right = original[pairs[:, 0]] == original[pairs[:, 1]]
    linked = union(len(pictures), pairs[right])
    first = {number: place for place, (number, kind) in enumerate(zip(original, kinds, strict=True)) if kind == "original"}
    source = np.array([first[number] for number in original])
    found = linked == linked[source]
    shares = {kind: round(float(found[kinds == kind].mean()), 4) for kind in KINDS}
    return {"precision": round(float(right.mean()), 4) if len(pairs) else 1.0, **shares, "pairs": len(pairs)}


if __name__ == "__main__":
    main()
