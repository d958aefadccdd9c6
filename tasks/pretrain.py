"""Pretrain: a small image model per arm and seed, trained on the arm's rows for the same number of samples seen.

Out comes a folder with model.safetensors, config.json and curve.csv. A killed run goes on from its checkpoint; a run whose recipe
(params, data, kind of device) is the one in config.json is not done again. Where the arm names a start, pictures without labels come
first, and a student of the result last.
"""

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from tasks.core.concepts import load_concepts
from tasks.core.errors import ParamsError, SluiceError
from tasks.core.files import digest_of, digest_of_file, remove_temporaries, write_atomically
from tasks.core.params import Params
from tasks.core.settings import Settings
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Source, to_json
from tasks.methods.alignment import matrix
from tasks.methods.arms import CAPTIONED, COLUMNS, FILTERED, all_concepts, choose_rows, hash_keys, passing, validation_rows
from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import PIXEL_MEAN, PIXEL_SPREAD, Rows
from tasks.methods.checkpoints import read_config, write_model
from tasks.methods.distribution import World, joined, wait_for_all
from tasks.methods.event_files import point_writer
from tasks.methods.inference import predict
from tasks.methods.loss_settings import LossSettings
from tasks.methods.metrics import accuracy
from tasks.methods.pixel_files import Decoding, decode_tar, reserve
from tasks.methods.runs import DivergedError
from tasks.methods.step_settings import Distillation, ViewContrast
from tasks.methods.steps import CHECKPOINT, STARTED, TAUGHT, Plan, Start, Teacher, train_in_steps
from tasks.methods.training import Noted, Recipe

CURVE = ("step", "epoch", "lr", "loss", "accuracy")
NO_START = "none"
log = logging.getLogger(__name__)


class ArmParams(Params):
    """What one arm is trained on, with which of `losses`, and from which of `starts`, if not from "none"."""

    rows: Literal["raw", "random", "curated", "not_relabelled", "basic", "text_based", "image_based", "clip_score", "image_and_clip_score"]
    weighted: bool
    loss: str
    logit_adjustment: float = Field(ge=0, le=2)
    start: str


class StartParams(Params):
    """SimCLRv2's steps around an arm's own training: contrast before it, distillation after it; see params.yaml for the reasons."""

    method: Literal["simclr"]
    rows: Literal["raw", "curated"]
    samples_seen: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    width: int = Field(ge=1)
    temperature: float = Field(gt=0)
    min_crop: float = Field(gt=0, le=1)
    colour: float = Field(ge=0, lt=1)
    grey: float = Field(ge=0, le=1)
    distil_samples: int = Field(ge=0)
    distil_temperature: float = Field(gt=0)

    @property
    def more_samples(self) -> int:
        """Samples seen beside the arm's own budget."""
        return self.samples_seen + self.distil_samples


class TeacherParams(Params):
    """A teacher that learns `rows` by the arm's loss, and whose student learns the arm's own rows; see params.yaml for the reasons."""

    method: Literal["teacher"]
    rows: Literal["raw", "curated"]
    samples_seen: int = Field(ge=1)
    temperature: float = Field(gt=0)
    teacher_share: float = Field(gt=0, le=1)

    @property
    def more_samples(self) -> int:
        """Samples seen beside the arm's own budget."""
        return self.samples_seen


class FilterParams(Params):
    """Limits of the filters that arms may be made of; see params.yaml for the reasons."""

    min_words: int = Field(ge=0)
    image_min_words: int = Field(ge=0)
    min_characters: int = Field(ge=0)
    min_side: int = Field(ge=0)
    max_aspect_ratio: float = Field(ge=1)
    clip_share: float = Field(gt=0, le=1)
    rows_per_cluster: int = Field(ge=1)


class PretrainParams(Params):
    """Backbone, budget and recipe, the same for all arms; see params.yaml for the reasons."""

    format: int = Field(ge=1)
    arms: dict[str, ArmParams]
    losses: dict[str, Annotated[LossSettings, Field(discriminator="method")]]
    starts: dict[str, Annotated[StartParams | TeacherParams, Field(discriminator="method")]]
    filters: FilterParams
    backbone: str
    image_size: int = Field(ge=16, le=1024)
    samples_seen: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    accumulate: int = Field(ge=1)
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup: float = Field(ge=0, lt=1)
    ema_decay: float = Field(ge=0, lt=1)
    max_gradient_norm: float = Field(ge=0)
    max_loss: float = Field(gt=0)
    max_shift: int = Field(ge=0)
    mirror: bool
    colour: float = Field(ge=0, lt=1)
    cutout: int = Field(ge=0)
    precision: Literal["fp32", "bf16"]
    n_threads: int = Field(ge=1)
    points: int = Field(ge=1)
    checkpoint_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _shift_inside(self) -> "PretrainParams":
        if self.max_shift >= self.image_size:
            raise ValueError(f"max_shift {self.max_shift} must be smaller than image_size {self.image_size}")
        for name, arm in self.arms.items():
            if arm.loss not in self.losses:
                raise ValueError(f"arm '{name}' asks for loss '{arm.loss}', which is not among `losses`: {', '.join(self.losses)}")
            if arm.start not in (NO_START, *self.starts):
                known = ", ".join((NO_START, *self.starts))
                raise ValueError(f"arm '{name}' asks for start '{arm.start}', which is not among `starts`: {known}")
        return self

    def recipe(self, arm: ArmParams) -> Recipe:
        others = {"format", "arms", "losses", "starts", "filters", "backbone", "image_size", "max_shift", "mirror", "colour", "cutout"}
        own = self.model_dump(exclude=others)
        how = Augmentation(max_shift=self.max_shift, mirror=self.mirror, colour=self.colour, cutout=self.cutout)
        return Recipe(**own, loss=self.losses[arm.loss], logit_adjustment=arm.logit_adjustment, augmentation=how)

    def start(self, arm: ArmParams) -> StartParams | TeacherParams | None:
        """The arm's start; None for an arm from scratch."""
        return self.starts.get(arm.start)

    def steps(self, arm: ArmParams, rows: Rows) -> Start | Teacher | None:
        """What is trained on the rows of the arm's start, in the way of the arm but for what the start says otherwise."""
        start, own = self.start(arm), replace(self.recipe(arm), logit_adjustment=0.0)
        if start is None:
            return None
        if isinstance(start, TeacherParams):
            loss = Distillation("distillation", start.temperature, start.teacher_share)
            return Teacher(rows, replace(self.recipe(arm), samples_seen=start.samples_seen), loss)
        how = replace(own.augmentation, max_shift=0, cutout=0, colour=start.colour, min_crop=start.min_crop, grey=start.grey)
        contrast = replace(
            own,
            samples_seen=start.samples_seen,
            batch_size=start.batch_size,
            accumulate=1,  # all views of a batch stand against each other
            learning_rate=start.learning_rate,
            augmentation=how,
            loss=ViewContrast("view_contrast", start.width, start.temperature),
        )
        distil = replace(own, samples_seen=start.distil_samples, loss=Distillation("distillation", start.distil_temperature, 1.0))
        return Start(rows, contrast, distil if start.distil_samples else None)


def pretrain(
    images: Artifact,
    embeddings: Source,
    matches: Source,
    curated: Source,
    concepts: Artifact,
    models: Artifact,
    arm: str,
    seed: str,
    params: PretrainParams,
    pool: ShardPool,
    settings: Settings,
) -> Metrics:
    """Train the arm's model; `models` is this arm's and seed's folder."""
    if arm not in params.arms:
        raise ParamsError(f"params.yaml: arm '{arm}' is not described under pretrain.arms (there are: {', '.join(params.arms)})")
    how = params.arms[arm]
    samples = curated.table(COLUMNS)
    try:
        passed = passing_rows(how.rows, curated, embeddings, matches, concepts, params.filters) if how.rows in FILTERED else None
        chosen = choose_rows(samples, rows=how.rows, weighted=how.weighted, seed=int(seed), passed=passed)
    except ValueError as error:
        raise SluiceError(f"arm '{arm}': {error}") from None
    checked, names, start = validation_rows(samples), all_concepts(samples), params.start(how)
    more = choose_rows(samples, rows=start.rows, weighted=False, seed=int(seed)) if start else chosen.slice(0, 0)
    used = [chosen, checked, more]
    tars = sorted({tar for table in used for tar in tars_of(table, images.path)})
    with joined(settings.torch_device()) as (world, device):
        fingerprint = recipe_digest(used if start else used[:2], names, tars, params, how, int(seed), device, world)
        before = read_config(models.path)
        wait_for_all(world)
        if before is not None and before["fingerprint"] == fingerprint:
            remove_leftovers(models.path)
            log.info("%s: the model of this very recipe is there already", models.path)
            return dict(before["metrics"])
        models.path.mkdir(parents=True, exist_ok=True)
        (models.path / "config.json").unlink(missing_ok=True)
        pixels = models.path / ".pixels"
        try:
            pictures = decode(pa.concat_tables(used), images.path, pixels, params.image_size, pool, world)
            noted = point_writer(Path(settings.events) / models.path.name) if settings.events and world.rank == 0 else None
            metrics = fit(models.path, pictures, used, names, params, how, int(seed), device, fingerprint, world, noted)
            wait_for_all(world)
        finally:
            pixels.unlink(missing_ok=True)
    return metrics


def passing_rows(rows: str, curated: Source, embeddings: Source, matches: Source, concepts: Artifact, params: FilterParams) -> np.ndarray:
    """Who passes the filter of an arm, over the samples; embeddings are read where the filter looks at them."""
    samples = curated.table(CAPTIONED)
    words = [word for concept in load_concepts(concepts.path) for word in (concept.name, *concept.synonyms)]
    found = embeddings.table(["sample_id", "image_embedding"]) if rows.startswith("image") else None
    vectors = None if found is None else (found["sample_id"], matrix(found["image_embedding"]))
    limits = params.model_dump()
    return passing(samples, matches.table(["sample_id", "text_similarity", "is_anchor"]), vectors, rows=rows, words=words, **limits)


def fit(
    folder: Path,
    pictures: np.ndarray,
    used: Sequence[pa.Table],
    concepts: Sequence[str],
    params: PretrainParams,
    arm: ArmParams,
    seed: int,
    device: str,
    fingerprint: str,
    world: World,
    noted: Noted | None,
) -> Metrics:
    """Train, watch, write the folder. `pictures`: those of the three tables `used`: to train on, to watch, and of the arm's start."""
    parts = np.split(pictures, np.cumsum([table.num_rows for table in used])[:-1])
    rows, checked, more = (_rows(table, part, concepts) for table, part in zip(used, parts, strict=True))

    def validate(network: Any) -> float:
        said = predict(network, checked.pictures, precision=params.precision, device=device).argmax(1)
        return accuracy(said, checked.classes)

    plan = Plan(
        params.backbone, len(concepts), folder, fingerprint, seed, device, world,
        validate=validate if len(checked.classes) else None, noted=noted,
    )  # fmt: skip
    try:
        backbone, network, curve = train_in_steps(rows, params.recipe(arm), params.steps(arm, more), plan)
    except DivergedError as error:
        known = {key: name for table in used for key, name in zip(_keys(table).tolist(), table["sample_id"].to_pylist(), strict=True)}
        ids = [known[key] for key in error.keys.tolist()]
        with write_atomically(folder / "diverged.json") as path:
            path.write_text(to_json({"step": error.step, "sample_ids": ids}))
        raise SluiceError(f"{error}. The batch began with samples {', '.join(ids[:3])}; all {len(ids)}: {folder}/diverged.json") from None
    except ValueError as error:
        raise SluiceError(f"training failed: {error}") from None
    metrics = {"rows": len(rows.keys), "concepts": len(concepts), "samples_seen": params.samples_seen, "curve": curve}
    if start := params.start(arm):
        metrics |= {"start_samples_seen": start.more_samples, "start_rows": len(more.keys)}
    if world.rank == 0:
        write_curve(folder / "curve.csv", curve)
        config = {"backbone": backbone, "concepts": list(concepts), "image_size": params.image_size, "precision": params.precision}
        config |= {"pixel_mean": PIXEL_MEAN, "pixel_spread": PIXEL_SPREAD, "fingerprint": fingerprint, "metrics": metrics}
        write_model(folder, network, config)
        remove_leftovers(folder)
    return metrics


def recipe_digest(
    used: Sequence[pa.Table],
    concepts: Sequence[str],
    tars: Sequence[Path],
    params: PretrainParams,
    arm: ArmParams,
    seed: int,
    device: str,
    world: World,
) -> str:
    """A digest of all that the weights depend on: rows, tar shards, params but for other arms and losses, kind of device, processes."""
    others = {"arms", "losses", "starts", "filters", "checkpoint_steps"}
    own = params.model_dump(exclude=others) | arm.model_dump(exclude={"start"}) | asdict(params.losses[arm.loss])
    if start := params.start(arm):
        own["start"] = start.model_dump()
    columns = [table[name].to_pylist() for table in used for name in ("sample_id", "sha256", "concept", "weight")]
    return digest_of(own, columns, list(concepts), [digest_of_file(tar) for tar in tars], seed, device.split(":")[0], world.size)


def tars_of(rows: pa.Table, images: Path) -> set[Path]:
    """The tar shards that hold the rows' images."""
    return {images / crawl / f"{shard}.tar" for crawl, shard in zip(rows["crawl"].to_pylist(), rows["shard"].to_pylist(), strict=True)}


def remove_leftovers(folder: Path) -> None:
    """Delete what training leaves behind beside the model, also when it was killed just before the end."""
    for name in (CHECKPOINT, STARTED, TAUGHT, "diverged.json", ".pixels"):
        (folder / name).unlink(missing_ok=True)
    remove_temporaries(folder)


def decode(rows: pa.Table, images: Path, file: Path, size: int, pool: ShardPool, world: World | None = None) -> np.ndarray:
    """(n, size, size, 3) uint8 pictures of the rows, mapped from `file`: memory doesn't grow with the crawl, the disk holds them.

    Of several processes the first one does the work.
    """
    world, shape = world or World(), (rows.num_rows, size, size, 3)
    if world.rank == 0:
        try:
            reserve(file, shape)
        except ValueError as error:
            raise SluiceError(str(error)) from None
        jobs: dict[Path, dict[str, list[int]]] = {}
        names = (rows[name].to_pylist() for name in ("crawl", "shard", "key"))
        for place, (crawl, shard, key) in enumerate(zip(*names, strict=True)):
            jobs.setdefault(images / crawl / f"{shard}.tar", {}).setdefault(key, []).append(place)
        work = partial(decode_tar, file=file, shape=shape)
        for _ in pool.map(work, [Decoding(tar, places) for tar, places in sorted(jobs.items())]):
            pass
    wait_for_all(world)
    return np.memmap(file, np.uint8, "r", shape=shape)


def write_curve(path: Path, curve: Sequence[dict[str, float]]) -> None:
    """The curve as CSV, for `dvc plots`."""
    with write_atomically(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, CURVE)
        writer.writeheader()
        writer.writerows(curve)


def _keys(rows: pa.Table) -> np.ndarray:
    return hash_keys(rows["sample_id"])


def _rows(table: pa.Table, pictures: np.ndarray, concepts: Sequence[str]) -> Rows:
    places = {name: place for place, name in enumerate(concepts)}
    classes = np.array([places[name] for name in table["concept"].to_pylist()], np.int64)
    return Rows(pictures, classes, table["weight"].to_numpy().astype(np.float32), _keys(table))


if __name__ == "__main__":
    main(pretrain)
