"""Pretrain: a small image model per arm and seed, trained on the arm's rows for the same number of samples seen.

Out comes a folder with model.safetensors, config.json and curve.csv. A killed run goes on from its checkpoint; a run whose recipe
(params, data, kind of device) is the one in config.json is not done again. Where the arm names a start, pictures without labels come
first, and a student of the result last.
"""

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.errors import ParamsError, SluiceError
from tasks.core.files import digest_of, digest_of_file, remove_temporaries, write_atomically
from tasks.core.settings import Settings
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Source, to_json
from tasks.methods.arms import COLUMNS, FILTERED, all_concepts, choose_rows, hash_keys, validation_rows
from tasks.methods.batches import PIXEL_MEAN, PIXEL_SPREAD, Rows
from tasks.methods.checkpoints import read_config, write_model
from tasks.methods.distribution import World, joined, wait_for_all
from tasks.methods.event_files import point_writer
from tasks.methods.inference import predict
from tasks.methods.metrics import accuracy
from tasks.methods.pixel_files import Decoding, decode_tar, reserve
from tasks.methods.runs import DivergedError
from tasks.methods.steps import CHECKPOINT, STARTED, TAUGHT, Plan, train_in_steps
from tasks.methods.training import Noted
from tasks.pretrain_params import ArmParams, PretrainParams
from tasks.pretrain_rows import passing_rows

CURVE = ("step", "epoch", "lr", "loss", "accuracy")
log = logging.getLogger(__name__)


def pretrain(
    images: Artifact,
    embeddings: Source,
    matches: Source,
    curated: Source,
    prototypes: Source,
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
        tables = curated, embeddings, matches, prototypes
        passed = passing_rows(how.rows, *tables, concepts, params.filters) if how.rows in FILTERED else None
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
