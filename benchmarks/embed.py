"""Compare the stage `embed` with the bare forward pass of its encoder, and with clip-retrieval, on photographs with texts.

    python -m benchmarks.embed [--photos DIR] [--images N] [--model NAME] [--precision P] [--compile WHERE] [--batch-size N] [--no-peer]

`share_of_forward`: pairs per second of the stage, once its workers have loaded the encoder (random weights), over those of the same
towers on tensors that lie ready, compiled if the stage's are, in as many processes or threads as there are cores, whichever is faster,
at the best batch size; measured before and after the stage. (A compiled stage fills the last batch of each of six tars up: give it many
images.) `cpu_share_of_forward` compares processor seconds: it holds where the machine has other work.
Texts are cut to their own length in both; `share_of_open_clip_forward` has open_clip's own text pass, of the whole context, below the
line. `share_of_peak` is what the stage computes over what the devices do when they multiply large matrices at the same precision.
clip-retrieval reads the same tars, in an environment of its own, with random weights, two decoding workers and no logger; its
clock starts with its first batch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.embed_bare import bare_rates, wait_for_all
from benchmarks.embed_pairs import CRAWL, make
from benchmarks.peers import peer_python
from tasks.contracts import embeddings, records, validity
from tasks.core.params import read_params
from tasks.core.settings import Settings, prepare_environment
from tasks.core.shards import Placement, ProcessPool
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.embed import EmbedParams, Job, embed, encode_images, loaded_encoder, opened_feed
from tasks.methods.tars import read_images

REPO = Path(__file__).resolve().parents[1]
PHOTOS = REPO.parent / "shared" / "data" / "photos"
PEER, PEER_SCRIPT = "clip-retrieval==2.45.0", Path(__file__).with_name("embed_peer.py")
BESIDE = "setuptools<81"  # the last one with pkg_resources, which it imports
PYTHON = "3.11"  # its pins have no wheels for later ones
T = TypeVar("T")
R = TypeVar("R")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder of image files")
    parser.add_argument("--images", type=int, default=600, help="pairs to embed; files are repeated with other texts")
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's name of the architecture")
    parser.add_argument("--precision", default=None, help="fp32, bf16 or fp16; that of params.yaml without it")
    parser.add_argument("--compile", default=None, help="never, on_card or always; that of params.yaml without it")
    parser.add_argument("--batch-size", type=int, default=None, help="of the stage; that of params.yaml without it")
    parser.add_argument("--no-peer", action="store_true", help="leave clip-retrieval out")
    options = parser.parse_args()
    files = sorted(path for path in options.photos.glob("*") if path.is_file())
    if not files:
        sys.exit(f"no files in {options.photos}: name a folder of images with --photos")
    prepare_environment()
    given = {"precision": options.precision, "compile": options.compile, "batch_size": options.batch_size}
    params = EmbedParams(**{**read_params(REPO / "params.yaml")["embed"], **{name: value for name, value in given.items() if value}})
    with tempfile.TemporaryDirectory(prefix="sluice-embed-") as scratch:
        make(Path(scratch), files, options.images, options.model)
        print(json.dumps(compare(Path(scratch), options.images, options.model, params, with_peer=not options.no_peer)))


def compare(folder: Path, n_images: int, model: str, params: EmbedParams, *, with_peer: bool) -> dict[str, Any]:
    """All figures."""
    settings = Settings(workers=len(os.sched_getaffinity(0)))
    devices = settings.torch_devices()
    bare = partial(bare_rates, folder, params, devices)
    ways = [(settings.workers, 1), (1, settings.workers)] if devices == ("cpu",) else [(len(devices), 1)]
    before = [bare(*way) for way in ways]
    say("bare forward pass before", before)
    stage, cpu_seconds = stage_rate(folder, n_images, params, settings)
    say("stage", {"images_per_s": stage, "cpu_s_per_image": cpu_seconds})
    best = max(range(len(ways)), key=lambda way: before[way]["forward"])
    after = bare(*ways[best])
    say("bare forward pass after", after)
    names = ("forward", "open_clip_forward", "cpu_s_per_image")
    forward, whole, forward_cpu = ((before[best][name] + after[name]) / 2 for name in names)
    figures: dict[str, Any] = {"share_of_forward": round(stage / forward, 3), "ratio_vs_clip_retrieval": None}
    if with_peer:
        peer = peer_rate(folder, model, params)
        figures["ratio_vs_clip_retrieval"] = round(stage / peer, 3)
        figures["clip_retrieval_images_per_s"] = round(peer, 2)
    return figures | {
        "images_per_s": round(stage, 2), "images": n_images, "model": model, "precision": params.precision, "devices": list(devices),
        "compiled": bool(params.compiled_for(devices[0])),
        "forward_images_per_s": round(forward, 2), "share_of_open_clip_forward": round(stage / whole, 3),
        "cpu_share_of_forward": round(forward_cpu / cpu_seconds, 3),
        "share_of_peak": round(stage * after["gflop_per_pair"] / 1000 / max(before[best]["peak_tflops"], after["peak_tflops"]), 3),
        "before": before, "after": after,
    }  # fmt: skip


class WarmPool(ProcessPool):
    """Workers that begin together, once all have loaded the encoder; notes when shards began and ended."""

    def __init__(self, workers: int, folder: Path) -> None:
        super().__init__(workers)
        self.folder = folder
        self.times: list[float] = []
        self.cpu_seconds = 0.0

    def placed(self, settings: Settings) -> tuple["WarmPool", Placement]:
        pool, placement = super().placed(settings)
        self.workers = pool.workers
        return self, placement

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        for result, began, ended, cpu_seconds in super().map(partial(timed, work, self.folder, min(self.workers, len(items))), items):
            self.times += [began, ended]
            self.cpu_seconds += cpu_seconds
            yield result


def timed(work: Any, folder: Path, workers: int, shard: Shard) -> tuple[Any, float, float, float]:
    """Embed a shard, and say when; the first time in a process, only when all are ready."""
    job: Job = work.keywords["job"]
    model = loaded_encoder(job.encoder, job.fingerprint, job.placement.device(), job.params)
    if not READY:
        tar = job.images / f"{shard.name}.tar"
        keys = [key for key, _ in read_images(tar)][: job.params.batch_size]
        feed = opened_feed(job.params.batch_size, model.image_size, job.placement.cores if model.on_card else 0)
        encode_images(tar, keys, model, feed, defaultdict(float))
        wait_for_all(folder, workers)
        READY.append(True)
    began, used = time.monotonic(), time.process_time()
    return work(shard), began, time.monotonic(), time.process_time() - used


def stage_rate(folder: Path, n_images: int, params: EmbedParams, settings: Settings) -> tuple[float, float]:
    """Pairs per second of the stage itself, from when all its workers have loaded the encoder; processor seconds per pair."""
    pool = WarmPool(settings.workers, folder / "meeting")
    made = embed(
        images=Artifact(folder / "images"),
        records=Source(records.CONTRACT, folder / "records", [CRAWL], bound_crawl=CRAWL),
        validity=Source(validity.CONTRACT, folder / "validity", [CRAWL], bound_crawl=CRAWL),
        encoder=Artifact(folder / "encoder"),
        embeddings=Sink(embeddings.CONTRACT, folder / "embeddings", [CRAWL], bound_crawl=CRAWL),
        crawl=CRAWL,
        params=params,
        pool=pool,
        settings=settings,
    )
    if made["images"] != n_images or made["texts"] != n_images:
        sys.exit(f"the stage embedded {made} of {n_images} pairs: no fair comparison")
    return n_images / (max(pool.times) - min(pool.times)), pool.cpu_seconds / n_images


def peer_rate(folder: Path, model: str, params: EmbedParams) -> float:
    """Pairs per second of clip-retrieval's own reader, mapper and writer, from its first batch on."""
    if params.precision != "fp32":
        sys.exit("clip-retrieval computes in fp32 here: compare at that precision, or leave it out with --no-peer")
    python = peer_python(PEER, PYTHON, BESIDE)
    words = [str(folder / "images"), str(folder / "peer"), model, str(params.batch_size)]
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}  # its one process wants all cores
    done = subprocess.run([str(python), str(PEER_SCRIPT), *words], env=free, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"clip-retrieval ended with {done.returncode}: the lines above say why")
    return float(json.loads(done.stdout.splitlines()[-1])["images_per_s"])


READY: list[bool] = []


def say(what: str, value: object) -> None:
    print(f"{what}: {value}", file=sys.stderr)


if __name__ == "__main__":
    main()
