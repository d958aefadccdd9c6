"""Embed: every valid sample's image and text in the encoder's space, shard by shard.

One row out per valid sample. A shard that is there and was made by the same recipe is left alone, so a killed run resumes.
"""

import atexit
import json
import logging
import tarfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.contracts.embeddings import CONTRACT
from tasks.core.errors import ParamsError, ShardError
from tasks.core.files import digest_of
from tasks.core.params import Params
from tasks.core.processes import die_with_parent
from tasks.core.progress import track
from tasks.core.settings import Settings, prepare_environment
from tasks.core.shards import Placement, ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.clip import describe, first_line, load_encoder
from tasks.methods.compiling import Compile, CompileError
from tasks.methods.encoder import Encoder, Precision
from tasks.methods.feeding import Ahead, Feed, Inline
from tasks.methods.tars import locate_images

log = logging.getLogger(__name__)
WAY_OUT = "delete this tar and run `dvc repro` again"
IMAGES, TEXTS = "image_embedding", "text_embedding"
VERSIONS = ("torch", "open_clip_torch", "pillow", "cykooz-resizer", "numpy")
PARTS = ("read", "decode", "wait", "transfer", "encode", "encode texts", "write")
MAX_WAITING = 0.2  # share of the device's time: beyond, more of something else is cheaper than a faster device
ADVICE = {
    "read": "the storage of the images is slow",
    "decode": "more SLUICE_WORKERS decode more, and images stored smaller (ingest.max_side) take less",
    "write": "the storage of the embeddings is slow",
}


class EmbedParams(Params):
    """How the encoder computes."""

    format: Annotated[int, Field(ge=1)]
    precision: Precision
    compile: Compile
    batch_size: Annotated[int, Field(ge=1)]

    def compiled_for(self, device: str) -> int | None:
        """The batch size that the image tower is compiled for on such a device; None where it is not compiled."""
        return self.batch_size if self.compile == "always" or (self.compile == "on_card" and device.startswith("cuda")) else None


def embed(
    images: Artifact,
    records: Source,
    validity: Source,
    encoder: Artifact,
    embeddings: Sink,
    crawl: str,
    params: EmbedParams,
    pool: ShardPool,
    settings: Settings,
) -> Metrics:
    """Raises DeviceError for a device that isn't there, ParamsError without an encoder that works, ShardError for an unreadable image."""
    pool, placement = pool.placed(settings)
    try:
        fingerprint = describe(encoder.path).fingerprint
    except ValueError as error:
        raise ParamsError(str(error)) from None
    shards = records.shards()
    embeddings.keep_only(shards)
    job = Job(images.path, records, validity, embeddings, encoder.path, fingerprint, params, placement)
    counts: Counter[str] = Counter()
    spent: defaultdict[str, float] = defaultdict(float)
    for done in track(pool.map(partial(embed_shard, job=job), shards), len(shards), f"embed {crawl}"):
        counts.update(done.counts)
        for name, value in done.spent.items():
            spent[name] += value
    report(crawl, counts, spent, placement)
    return {"images": counts["images"], "texts": counts["texts"], "shards": len(shards)}


@dataclass(frozen=True)
class Job:
    """What every worker has to know."""

    images: Path
    records: Source
    validity: Source
    embeddings: Sink
    encoder: Path
    fingerprint: str
    params: EmbedParams
    placement: Placement


@dataclass(frozen=True)
class Done:
    """What came of a shard: its counts, and where the time went, in milliseconds."""

    counts: Counter[str]
    spent: Mapping[str, float]


def embed_shard(shard: Shard, job: Job) -> Done:
    """Embed one shard unless that is done."""
    began, spent = monotonic(), defaultdict[str, float](float)
    samples = valid_samples(shard, job.records, job.validity)
    texts = list(dict.fromkeys(text for text in samples["alt_text"].to_pylist() if text.strip()))
    keys = sorted(set(samples["key"].to_pylist()))
    counts = Counter(images=len(keys), texts=len(texts))
    digests = job.records.digest(shard), job.validity.digest(shard)
    recipe = digest_of(job.params, job.fingerprint, *digests, job.placement.kind)
    if job.embeddings.done(shard, recipe):
        return Done(counts + Counter(others=not same_versions(job.embeddings.made_by(shard, IMAGES))), {})
    device, batch_size = job.placement.device(), job.params.batch_size
    model = loaded_encoder(job.encoder, job.fingerprint, device, job.params)
    spent["read"] += 1000 * (monotonic() - began)
    feed = opened_feed(batch_size, model.image_size, job.placement.cores if model.on_card else 0)
    image_embeddings = encode_images(job.images / f"{shard.name}.tar", keys, model, feed, spent)
    began = monotonic()
    text_embeddings = model.encode_texts(texts, batch_size=batch_size)
    spent["encode texts"] += 1000 * (monotonic() - began)
    began = monotonic()
    check_numbers(shard, image_embeddings, text_embeddings)
    rows = table_of(samples, image_embeddings, dict(zip(texts, text_embeddings, strict=True)))
    job.embeddings.write(shard, rows, recipe, makers(model))
    spent["write"] += 1000 * (monotonic() - began)
    log.debug("embed %s: %d images, %d texts", shard, counts["images"], counts["texts"])
    return Done(counts, spent)


def report(crawl: str, counts: Mapping[str, int], spent: Mapping[str, float], placement: Placement) -> None:
    """Say where the time went, and warn where the device had to wait."""
    budget = ", ".join(f"{name} {spent[name] / 1000:.1f} s" for name in PARTS if spent.get(name))
    log.info(
        "embed %s: %d images, %d texts on %s (%s)", crawl, counts["images"], counts["texts"], placement.kind, budget or "all were there"
    )
    if counts.get("others"):
        libraries = f"{', '.join(VERSIONS[:-1])} or {VERSIONS[-1]}"
        message = "embed %s: %d shards were made with other versions of %s: raise embed.format to make them anew"
        log.warning(message, crawl, counts["others"], libraries)
    busy = spent.get("transfer", 0.0) + spent.get("encode", 0.0) + spent.get("encode texts", 0.0)
    waiting = spent.get("wait", 0.0) + spent.get("write", 0.0)
    if waiting > MAX_WAITING * (busy + waiting):
        worst = max(("read", "decode", "write"), key=lambda name: spent.get(name, 0.0))
        share = round(100 * waiting / (busy + waiting))
        log.warning("embed %s: the device waited %d %% of its time, mostly for `%s`: %s", crawl, share, worst, ADVICE[worst])


def valid_samples(shard: Shard, records: Source, validity: Source) -> pa.Table:
    """sample_id, crawl, key and alt_text of the samples that may go on, by sample_id."""
    valid = validity.read(shard, ["sample_id", "valid"])
    chosen = valid.filter(valid["valid"])["sample_id"]
    rows = records.read(shard, ["sample_id", "crawl", "key", "alt_text"])
    return rows.filter(pc.is_in(rows["sample_id"], value_set=chosen.combine_chunks())).sort_by("sample_id")


def encode_images(tar: Path, keys: Sequence[str], model: Encoder, feed: Feed, spent: defaultdict[str, float]) -> dict[str, np.ndarray]:
    """Embedding by key: each image of the tar once, in batches of its order. Raises ShardError that names an unreadable image."""
    try:
        began = monotonic()
        places = locate_images(tar, keys) if keys else []
        spent["read"] += 1000 * (monotonic() - began)
        found = [row for batch in model.encode_batches(feed.batches(tar, places, spent), spent) for row in batch]
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ShardError(f"the images of {tar} can't be read ({error}): {WAY_OUT}") from None
    except BrokenProcessPool:
        raise ShardError("a decoding process ended (killed, or out of memory): run `dvc repro` again to resume") from None
    return dict(zip((key for key, _, _ in places), found, strict=True))


def check_numbers(shard: Shard, images: Mapping[str, np.ndarray], texts: np.ndarray) -> None:
    """Raise ShardError where the encoder gave no numbers: one NaN would make every score of the crawl one."""
    for what, count in (
        ("images", sum(not np.isfinite(row).all() for row in images.values())),
        ("texts", (~np.isfinite(texts)).any(1).sum()),
    ):
        if count:
            raise ShardError(
                f"the encoder gives NaN or infinity for {count} {what} of {shard}: set embed.precision to fp32, or train or fetch it anew"
            )


def table_of(samples: pa.Table, images: Mapping[str, np.ndarray], texts: Mapping[str, np.ndarray]) -> pa.Table:
    """Rows of the contract, in the order of `samples`."""
    image_rows = [images[key] for key in samples["key"].to_pylist()]
    text_rows = [texts.get(text) for text in samples["alt_text"].to_pylist()]
    columns = [samples["sample_id"], samples["crawl"], vectors(image_rows), vectors(text_rows)]
    return pa.Table.from_arrays(columns, schema=CONTRACT.schema)


def vectors(rows: Sequence[np.ndarray | None]) -> pa.Array:
    """A list<float16> array; None gives null."""
    missing = np.array([row is None for row in rows], bool)
    lengths = [0 if row is None else len(row) for row in rows]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    values = np.concatenate([np.zeros(0, np.float16), *(row.astype(np.float16) for row in rows if row is not None)])
    return pa.ListArray.from_arrays(offsets, pa.array(values, pa.float16()), mask=pa.array(missing) if len(rows) else None)


def makers(model: Encoder) -> dict[str, str]:
    """By column: the encoder, what was done before it, and the libraries, as JSON."""
    maker = {**asdict(model.description), "precision": model.precision, "device": model.device.split(":")[0], "versions": versions()}
    pictures = {**maker, "preprocessing": model.preprocessing(), "compiled": model.compiled_for is not None}
    return {name: json.dumps(content, sort_keys=True) for name, content in ((IMAGES, pictures), (TEXTS, maker))}


def same_versions(maker: str | None) -> bool:
    """Whether a shard was made by the libraries that are here."""
    return maker is not None and json.loads(maker)["versions"] == versions()


@cache
def versions() -> dict[str, str]:
    """Of the libraries that decode, resize and compute; the resizer has no build for some machines."""
    found = {}
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def loaded_encoder(folder: Path, fingerprint: str, device: str, params: EmbedParams) -> Encoder:
    """The encoder, once per process. One thread, whatever the number of workers: equal bytes need an equal number. Raises ParamsError."""
    try:
        encoder = load_encoder(folder, device=device, precision=params.precision, threads=1, compiled_for=params.compiled_for(device))
    except CompileError as error:
        cause = f"embed.compile is '{params.compile}', but the encoder can't be compiled for {device} ({first_line(error)})"
        raise ParamsError(f"{cause}: install a C++ compiler such as g++, or set embed.compile to 'never'") from None
    log.debug("embed: encoder %s loaded on %s", fingerprint[:12], device)
    return encoder


@cache
def opened_feed(batch_size: int, side: int, workers: int) -> Feed:
    """Where pixels come from, once per process: decoded ahead by `workers` processes, or here where there are none."""
    if not workers:
        return Inline(batch_size, side)
    feed = Ahead(batch_size, side, workers, start_decoder)
    atexit.register(feed.close)
    return feed


def start_decoder() -> None:
    """What every decoding process does first."""
    die_with_parent()
    prepare_environment()


if __name__ == "__main__":
    main(embed)
