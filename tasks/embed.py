"""Embed: every valid sample's image and text in the encoder's space, shard by shard.

One row out per valid sample. A shard that is there and was made by the same recipe is left alone, so a killed run resumes.
"""

import logging
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import islice
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
from tasks.core.progress import track
from tasks.core.settings import Settings
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.clip import Encoder, Precision, describe, load_encoder
from tasks.methods.pictures import DECODER_ERRORS, square
from tasks.methods.tars import read_images

log = logging.getLogger(__name__)
WAY_OUT = "delete this tar and run `dvc repro` again"


class EmbedParams(Params):
    """How the encoder computes."""

    format: Annotated[int, Field(ge=1)]
    precision: Precision
    batch_size: Annotated[int, Field(ge=1)]


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
    """Raises DeviceError for a device that isn't there, ParamsError without an encoder, ShardError for an image that can't be read."""
    device = settings.torch_device()
    try:
        fingerprint = describe(encoder.path).fingerprint
    except ValueError as error:
        raise ParamsError(str(error)) from None
    shards = records.shards()
    embeddings.keep_only(shards)
    work = partial(
        embed_shard,
        images=images,
        records=records,
        validity=validity,
        embeddings=embeddings,
        encoder=encoder.path,
        fingerprint=fingerprint,
        params=params,
        device=device,
    )
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for shard_counts, shard_seconds in track(pool.map(work, shards), len(shards), f"embed {crawl}"):
        counts.update(shard_counts)
        seconds.update(shard_seconds)
    budget = ", ".join(f"{name} {value} ms" for name, value in sorted(seconds.items()))
    log.info("embed %s: %d images, %d texts on %s (%s)", crawl, counts["images"], counts["texts"], device, budget or "all were there")
    return {"images": counts["images"], "texts": counts["texts"], "shards": len(shards)}


def embed_shard(
    shard: Shard,
    images: Artifact,
    records: Source,
    validity: Source,
    embeddings: Sink,
    encoder: Path,
    fingerprint: str,
    params: EmbedParams,
    device: str,
) -> tuple[Counter[str], Counter[str]]:
    """Embed one shard unless that is done; its counts, and the milliseconds that its parts took."""
    samples = valid_samples(shard, records, validity)
    texts = list(dict.fromkeys(text for text in samples["alt_text"].to_pylist() if text.strip()))
    keys = sorted(set(samples["key"].to_pylist()))
    counts = Counter(images=len(keys), texts=len(texts))
    recipe = digest_of(params, fingerprint, records.digest(shard), validity.digest(shard), device.split(":")[0])
    if embeddings.done(shard, recipe):
        return counts, Counter()
    model = loaded_encoder(encoder, fingerprint, device, params.precision)
    seconds: Counter[str] = Counter()
    image_embeddings = encode_images(images.path / f"{shard.name}.tar", keys, model, params.batch_size, seconds)
    started = monotonic()
    text_embeddings = model.encode_texts(texts, batch_size=params.batch_size)
    seconds["texts"] += round(1000 * (monotonic() - started))
    rows = table_of(samples, image_embeddings, dict(zip(texts, text_embeddings, strict=True)))
    embeddings.write(shard, rows, recipe)
    log.debug("embed %s: %d images, %d texts", shard, counts["images"], counts["texts"])
    return counts, seconds


def valid_samples(shard: Shard, records: Source, validity: Source) -> pa.Table:
    """sample_id, crawl, key and alt_text of the samples that may go on, by sample_id."""
    valid = validity.read(shard, ["sample_id", "valid"])
    chosen = valid.filter(valid["valid"])["sample_id"]
    rows = records.read(shard, ["sample_id", "crawl", "key", "alt_text"])
    return rows.filter(pc.is_in(rows["sample_id"], value_set=chosen.combine_chunks())).sort_by("sample_id")


def encode_images(tar: Path, keys: Sequence[str], model: Encoder, batch_size: int, seconds: Counter[str]) -> dict[str, np.ndarray]:
    """Embedding by key: each image of the tar once, in batches of its order. Raises ShardError that names an unreadable image."""
    found: dict[str, np.ndarray] = {}
    stored = read_images(tar, keys) if keys else iter(())
    try:
        while True:
            started = monotonic()
            batch = list(islice(stored, batch_size))
            if not batch:
                return found
            pixels = np.stack([decoded(tar, key, data, model.image_size) for key, data in batch])
            ready = monotonic()
            found |= zip((key for key, _ in batch), model.encode_images(pixels, batch_size=batch_size), strict=True)
            seconds["reading"] += round(1000 * (ready - started))
            seconds["images"] += round(1000 * (monotonic() - ready))
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ShardError(f"the images of {tar} can't be read ({error}): {WAY_OUT}") from None


def decoded(tar: Path, key: str, data: bytes, size: int) -> np.ndarray:
    """The pixels of one stored image. `ingest` has decoded every one of them: a failure here is damage, not data."""
    try:
        return square(data, size)
    except DECODER_ERRORS as error:
        raise ShardError(f"image {key} of {tar} is damaged ({error}): {WAY_OUT}") from None


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


@cache
def loaded_encoder(folder: Path, fingerprint: str, device: str, precision: Precision) -> Encoder:
    """The encoder, once per process. One thread, whatever the number of workers: equal bytes need an equal number."""
    encoder = load_encoder(folder, device=device, precision=precision, threads=1)
    log.debug("embed: encoder %s loaded on %s", fingerprint[:12], device)
    return encoder


if __name__ == "__main__":
    main(embed)
