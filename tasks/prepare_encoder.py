"""Prepare the encoder: a CLIP, out of open_clip's pretrained ones or of one crawl's own noisy pairs.

Both give the same artefact. One that is trained here sees the crawl that its params name and no other, so that later crawls change nothing.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.core.errors import ParamsError
from tasks.core.files import write_folder_atomically
from tasks.core.params import Params, SharedParams
from tasks.core.settings import Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Source
from tasks.methods.adapters import adaptable_model, merge_adapters
from tasks.methods.clip import export_pretrained, new_model, save_encoder
from tasks.methods.contrastive import ContrastiveSettings, image_size, train_encoder
from tasks.methods.encoder import PIXEL_MEAN, PIXEL_SPREAD, Description
from tasks.methods.pictures import DECODER_ERRORS, square
from tasks.methods.tars import read_images
from tasks.methods.text_targets import token_information

log = logging.getLogger(__name__)

MIN_PAIRS = 2  # one to learn from and another to tell it from


class PrepareEncoderParams(Params):
    """Which encoder; from `tower` on, how one is built when `source` is crawl; from `max_pairs` on, how it or an adapted one is trained."""

    format: Annotated[int, Field(ge=1)]
    source: Literal["pretrained", "crawl", "adapted"]
    model: str
    pretrained: str | None
    crawl: str
    tower: str
    image_size: Annotated[int, Field(ge=32, le=512)]
    embedding_width: Annotated[int, Field(ge=8)]
    text_width: Annotated[int, Field(ge=32, multiple_of=32)]
    text_layers: Annotated[int, Field(ge=1)]
    context_length: Annotated[int, Field(ge=4, le=77)]
    max_pairs: Annotated[int, Field(ge=2)]
    use_concept: bool
    join_copies: bool
    min_information: Annotated[float, Field(ge=0, lt=1)]
    information_prior: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    own_belief: Annotated[float, Field(ge=0, lt=1)]
    word_weight: Annotated[float, Field(ge=0)]
    min_word_count: Annotated[int, Field(ge=1)]
    min_crop: Annotated[float, Field(gt=0, le=1)]
    colour_jitter: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["fp32", "bf16"]
    adapter_rank: Annotated[int, Field(ge=1)]
    adapter_strength: Annotated[float, Field(gt=0)]
    adapter_learning_rate: Annotated[float, Field(gt=0)]
    n_threads: Annotated[int, Field(ge=1)]


def prepare_encoder(
    images: Artifact,
    records: Source,
    validity: Source,
    encoder: Artifact,
    params: PrepareEncoderParams,
    shared: SharedParams,
    settings: Settings,
) -> Metrics:
    """Raises ParamsError for a model that can't be had, and for a crawl without pairs to learn from."""
    device = settings.torch_device()
    try:
        with write_folder_atomically(encoder.path) as folder:
            if params.source == "pretrained":
                return metrics_of(export_pretrained(params.model, params.pretrained, folder))
            pairs = read_pairs(records, validity, params.max_pairs)
            return train(pairs, images, folder, params, shared.seed, device, settings.workers)
    except ValueError as error:
        raise ParamsError(str(error)) from None


def read_pairs(records: Source, validity: Source, max_pairs: int) -> pa.Table:
    """Shard, key, sha256, alt_text and concept of the valid samples, by sample_id: an even draw where there are more than `max_pairs`."""
    pairs = pa.concat_tables(
        records.read(shard, ["sample_id", "shard", "key", "sha256", "alt_text", "concept"]).join(
            validity.read(shard, ["sample_id", "valid"]).filter(pc.field("valid")), "sample_id", join_type="inner"
        )
        for shard in records.shards()
    )
    return pairs.sort_by("sample_id").slice(0, max_pairs)


def train(pairs: pa.Table, images: Artifact, folder: Path, params: PrepareEncoderParams, seed: int, device: str, workers: int) -> Metrics:
    """Train or adapt an encoder on the pairs and save it. Raises ValueError where there are none to learn from."""
    adapted = params.source == "adapted"
    model, tokenizer, config, mean, spread = adaptable(params, seed) if adapted else fresh(params, seed)
    tokens, information = choose_texts(pairs, tokenizer, params)
    used = np.flatnonzero(tokens.any(axis=1))
    if len(used) < MIN_PAIRS:
        raise ValueError(
            f"{len(used)} of {pairs.num_rows} pairs have a text that tells of the concepts (prepare_encoder.min_information "
            f"{params.min_information}), {MIN_PAIRS} are needed: set prepare_encoder.use_concept to true, which learns the concepts' names "
            "instead, or take a pretrained encoder (prepare_encoder.source)"
        )
    pixels, decoded = read_pixels(pairs.take(used), images, image_size(model)[0], workers)
    used = used[decoded]
    tokens = tokens[used]
    copies = pc.dictionary_encode(pairs["sha256"].take(used).combine_chunks()).indices.to_numpy() if params.join_copies else None
    log.info("prepare_encoder: %d of %d pairs have a text to learn from", len(tokens), pairs.num_rows)
    settings = training_settings(params, device)
    losses = train_encoder(model, pixels, tokens, information, mean=mean, spread=spread, settings=settings, seed=seed, copies=copies)
    if adapted:
        merge_adapters(model)
    origin = (params.model, params.pretrained) if adapted else (params.tower, params.crawl)
    description = save_encoder(model.cpu(), config, folder, source=params.source, name=origin[0], pretrained=origin[1])
    return {**metrics_of(description), "pairs": len(tokens), "losses": [round(loss, 4) for loss in losses]}


def fresh(params: PrepareEncoderParams, seed: int) -> tuple[Any, Any, dict[str, Any], tuple[float, ...], tuple[float, ...]]:
    """A model of random weights, its tokenizer and `model_cfg`, mean and spread of its pixels."""
    config = model_config(params)
    return *new_model(config, seed=seed), config, PIXEL_MEAN, PIXEL_SPREAD


def adaptable(params: PrepareEncoderParams, seed: int) -> tuple[Any, Any, dict[str, Any], tuple[float, ...], tuple[float, ...]]:
    """The same of a pretrained model, all frozen but its adapters."""
    return adaptable_model(params.model, params.pretrained, rank=params.adapter_rank, strength=params.adapter_strength, seed=seed)


def choose_texts(pairs: pa.Table, tokenizer: Any, params: PrepareEncoderParams) -> tuple[np.ndarray, np.ndarray]:
    """(n, context_length) int64 tokens of each pair's text, 0 where it is not used, and the tokens' information (vocabulary,).

    A text is used if some token of it tells of the concepts. Others, if asked for, are replaced by the concept's name.
    """
    texts, given = pairs["alt_text"].to_pylist(), pairs["concept"].to_pylist()
    tokens = tokenizer(texts).numpy()
    tokens[[not text.strip() for text in texts]] = 0
    numbers = {name: number for number, name in enumerate(sorted({name for name in given if name is not None}))}
    concepts = np.array([numbers.get(name, -1) for name in given], np.int64)
    known = token_information(tokens, concepts, prior_rows=params.information_prior)
    information = np.zeros(tokenizer.vocab_size)
    information[: len(known)] = known
    information[0] = 0  # padding
    tokens[information[tokens].max(axis=1, initial=0) <= params.min_information] = 0
    if params.use_concept:
        silent = np.flatnonzero(~tokens.any(axis=1) & (concepts >= 0))
        tokens[silent] = tokenizer([given[row] for row in silent]).numpy() if len(silent) else 0
    return tokens, information


def read_pixels(pairs: pa.Table, images: Artifact, size: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, size, size, 3) uint8 of the images that can be decoded, and which rows of `pairs` these are."""
    rows = pairs.to_pylist()
    places: dict[str, dict[str, list[int]]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["shard"], {}).setdefault(row["key"], []).append(place)
    pixels = np.zeros((len(rows), size, size, 3), np.uint8)
    decoded = np.zeros(len(rows), bool)
    work = partial(fill_pixels, images=images, pixels=pixels, decoded=decoded)
    with ThreadPoolExecutor(workers) as threads:  # Pillow works outside the interpreter's lock
        list(threads.map(work, sorted(places.items())))
    chosen = np.flatnonzero(decoded)
    return (pixels if decoded.all() else pixels[chosen]), chosen


def fill_pixels(shard: tuple[str, Mapping[str, list[int]]], images: Artifact, pixels: np.ndarray, decoded: np.ndarray) -> None:
    """Decode the images of one shard into their rows."""
    name, places = shard
    for key, data in read_images(images.path / f"{name}.tar", places):
        try:
            pixels[places[key]] = square(data, pixels.shape[1])
            decoded[places[key]] = True
        except DECODER_ERRORS as error:
            log.warning("prepare_encoder: image %s of shard %s can't be decoded (%s), left out", key, name, error)


def model_config(params: PrepareEncoderParams) -> dict[str, Any]:
    """open_clip's `model_cfg` of the encoder to train."""
    text = {"context_length": params.context_length, "vocab_size": 49408, "width": params.text_width}
    text |= {"heads": params.text_width // 32, "layers": params.text_layers}
    vision = {"timm_model_name": params.tower, "image_size": params.image_size}
    return {"embed_dim": params.embedding_width, "vision_cfg": vision, "text_cfg": text}


def training_settings(params: PrepareEncoderParams, device: str) -> ContrastiveSettings:
    """The training part of the params."""
    return ContrastiveSettings(
        n_epochs=params.epochs,
        batch_size=params.batch_size,
        learning_rate=params.adapter_learning_rate if params.source == "adapted" else params.learning_rate,
        weight_decay=params.weight_decay,
        label_smoothing=params.label_smoothing,
        own_belief=params.own_belief,
        word_weight=params.word_weight,
        min_word_count=params.min_word_count,
        min_crop=params.min_crop,
        colour_jitter=params.colour_jitter,
        precision=params.precision,
        n_threads=params.n_threads,
        device=device,
    )


def metrics_of(description: Description) -> Metrics:
    """What the encoder is."""
    return {
        "source": description.source,
        "fingerprint": description.fingerprint,
        "embedding_width": description.embedding_width,
        "image_size": description.image_size,
    }


if __name__ == "__main__":
    main(prepare_encoder)
