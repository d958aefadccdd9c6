"""The stage on a crawl of stripes: what an arm's folder holds, when it is made again, and what stops it."""

import csv
import json
import os
import socket
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from tasks.contracts.curated import CONTRACT
from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.core.errors import ParamsError, SluiceError
from tasks.core.settings import Settings
from tasks.core.shards import SerialPool
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.checkpoints import read_model
from tasks.methods.inference import predict
from tasks.methods.tars import Entry, write_images
from tasks.pretrain import decode, pretrain
from tasks.pretrain_params import PretrainParams
from tests.conftest import REPO

CONCEPTS = ("lying", "standing")
PARAMS: dict[str, Any] = {
    "format": 1,
    "arms": {
        "raw": {"rows": "raw", "weighted": False, "loss": "cross_entropy", "logit_adjustment": 0.0, "start": "none"},
        "curated": {"rows": "curated", "weighted": True, "loss": "elr", "logit_adjustment": 0.0, "start": "none"},
    },
    "losses": {
        "cross_entropy": {"method": "cross_entropy", "label_smoothing": 0.0},
        "elr": {"method": "elr", "momentum": 0.7, "strength": 1.0},
        "co_teaching": {"method": "co_teaching", "forget_rate": 0.3, "ramp_epochs": 1.0, "nested_spread": 0.0},
    },
    "starts": {
        "simclr": {
            "method": "simclr", "rows": "raw", "samples_seen": 400, "batch_size": 20, "learning_rate": 0.05, "width": 8, "temperature": 0.2,
            "min_crop": 0.7, "colour": 0.2, "grey": 0.2, "distil_samples": 0, "distil_temperature": 1.0,
        },
        "teacher": {"method": "teacher", "rows": "raw", "samples_seen": 400, "temperature": 2.0, "teacher_share": 0.5},
    },
    "filters": {
        "min_words": 3, "image_min_words": 2, "min_characters": 6, "min_side": 10, "max_aspect_ratio": 3.0, "clip_share": 0.5,
        "rows_per_cluster": 10,
    },
    "backbone": "resnet9-4", "image_size": 16, "samples_seen": 600, "batch_size": 20, "accumulate": 1,
    "optimizer": "sgd", "learning_rate": 0.05,
    "weight_decay": 1e-4, "warmup": 0.2, "ema_decay": 0.9, "max_gradient_norm": 5.0, "max_loss": 1e9,
    "max_shift": 1, "mirror": True, "colour": 0.1, "cutout": 0, "precision": "fp32", "n_threads": 1, "points": 3,
    "checkpoint_steps": 10,
}  # fmt: skip


def stripes(number: int) -> np.ndarray:
    """A 20 x 20 picture of concept number % 2."""
    wave = 128 + 60 * np.sin(np.arange(20) * 1.6 + number * 0.7)
    picture = np.broadcast_to(wave[:, None, None], (20, 20, 3)) + np.random.default_rng(number).normal(0, 20, (20, 20, 3))
    return (picture if number % 2 == 0 else picture.transpose(1, 0, 2)).clip(0, 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def sample(number: int) -> dict[str, Any]:
    """Of ten, three are filed under the wrong concept, which curation put right; one is of the val split."""
    truth, wrong = CONCEPTS[number % 2], CONCEPTS[1 - number % 2]
    row: dict[str, Any] = dict.fromkeys(CONTRACT.schema.names)
    row |= {"sample_id": f"{number * 2654435761 % 2**128:032x}", "image_id": f"{number:032x}", "crawl": "alpha", "key": f"{number:09d}"}
    row |= {"shard": f"{number // 50:05d}", "url": f"http://demo.test/{number}", "alt_text": "", "status": "ok", "sha256": f"{number:064x}"}
    row |= {"alt_text": f"three {truth} lines" if number % 3 else "IMG", "original_width": 20, "original_height": 20}
    row |= {"concept": wrong if number % 10 in (1, 4, 6) else truth, "keep": number % 10 != 8, "reasons": [], "weight": 1.0}
    row |= {"curated_concept": truth if row["keep"] else None, "suggested_concept": truth, "split": "val" if number % 10 == 9 else "train"}
    return row


@pytest.fixture
def crawl(tmp_path: Path) -> tuple[Artifact, Source]:
    """100 pictures in two tars, and their samples table."""
    for shard in range(2):
        (tmp_path / "images" / "alpha").mkdir(parents=True, exist_ok=True)
        entries = [Entry(f"{n:09d}", "png", png(stripes(n)), "", {}) for n in range(shard * 50, shard * 50 + 50)]
        write_images(tmp_path / "images" / "alpha" / f"{shard:05d}.tar", entries)
    where: dict[str, Any] = {"contract": CONTRACT, "root": tmp_path / "curated", "crawls": ["alpha"], "per_crawl": False}
    rows = sorted((sample(number) for number in range(100)), key=lambda row: str(row["sample_id"]))
    Sink(**where).write(Shard("alpha", "00000"), pa.Table.from_pylist(rows, CONTRACT.schema))
    (tmp_path / "concepts").mkdir()
    (tmp_path / "concepts" / "lines.yaml").write_text("concepts: [{name: lying, definition: a line}, {name: standing, definition: a line}]")
    write_prototypes(tmp_path)
    for contract, make in ((EMBEDDINGS, embedding_of), (MATCHES, match_of)):
        sink = Sink(contract=contract, root=tmp_path / contract.name, crawls=["alpha"], per_crawl=False)
        sink.write(Shard("alpha", "00000"), pa.Table.from_pylist([make(row) for row in rows], contract.schema))
    return Artifact(tmp_path / "images"), Source(**where)


def write_prototypes(folder: Path) -> None:
    vectors = {"lying": [1.0, 0.0], "standing": [0.0, 1.0]}
    rows = [{"concept": name, "kind": "text", "name": name, "embedding": vector, "n_images": 0} for name, vector in vectors.items()]
    sink = Sink(contract=PROTOTYPES, root=folder / PROTOTYPES.name, crawls=[], per_crawl=False)
    sink.write(Shard("", "00000"), pa.Table.from_pylist(rows, PROTOTYPES.schema))


def embedding_of(row: dict[str, Any]) -> dict[str, Any]:
    vector = [1.0, 0.0] if row["suggested_concept"] == "lying" else [0.0, 1.0]
    return {"sample_id": row["sample_id"], "crawl": "alpha", "image_embedding": vector, "text_embedding": vector}


def match_of(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"sample_id": row["sample_id"], "crawl": "alpha", "matched_concept": "lying", "similarity": 0.5, "margin": 0.1}
    found |= {"text_similarity": 0.4 if row["concept"] == row["suggested_concept"] else 0.1, "concepts": [], "probabilities": []}
    return found | {"is_anchor": row["suggested_concept"] == "lying" and row["keep"]}


def run(crawl: tuple[Artifact, Source], folder: Path, arm: str = "curated", events: str = "", **changes: Any) -> dict[str, Any]:
    params, top = PretrainParams.model_validate(PARAMS | changes), crawl[0].path.parent
    tables = [Source(contract, top / contract.name, ["alpha"], per_crawl=False) for contract in (EMBEDDINGS, MATCHES)]
    meant, concepts = Source(PROTOTYPES, top / PROTOTYPES.name, [], per_crawl=False), Artifact(top / "concepts")
    settings = Settings(device="cpu", events=events)
    return pretrain(crawl[0], *tables, crawl[1], meant, concepts, Artifact(folder), arm, "0", params, SerialPool(), settings)


def test_the_folder_holds_model_config_and_curve(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    metrics = run(crawl, tmp_path / "curated-0")
    assert {name: metrics[name] for name in ("rows", "concepts", "samples_seen")} == {"rows": 80, "concepts": 2, "samples_seen": 600}
    assert metrics["curve"][-1]["accuracy"] > 0.85
    assert sorted(file.name for file in (tmp_path / "curated-0").iterdir()) == ["config.json", "curve.csv", "model.safetensors"]
    with (tmp_path / "curated-0" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["10", "20", "30"]
    network, config = read_model(tmp_path / "curated-0")
    assert config["concepts"] == list(CONCEPTS)
    fresh = np.stack([stripes(number)[2:18, 2:18] for number in range(200, 240)])
    right = predict(network, fresh, precision="fp32", device="cpu").argmax(1) == np.arange(40) % 2
    assert right.mean() > 0.85


def test_an_equal_recipe_is_not_trained_again_and_another_one_is(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    folder = tmp_path / "raw-0"
    first = run(crawl, folder, "raw", samples_seen=100)
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert run(crawl, folder, "raw", samples_seen=100, checkpoint_steps=3) == first
    others = {**PARAMS["arms"], "curated": {**PARAMS["arms"]["curated"], "weighted": False}}
    assert run(crawl, folder, "raw", samples_seen=100, arms=others) == first
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    run(crawl, folder, "raw", samples_seen=120)
    assert (folder / "model.safetensors").stat().st_mtime_ns > stamp


def test_an_arm_may_name_any_of_the_losses(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    arms = {"raw": {**PARAMS["arms"]["raw"], "loss": "co_teaching"}}
    metrics = run(crawl, tmp_path / "raw-0", "raw", arms=arms, samples_seen=1200)
    assert metrics["curve"][-1]["accuracy"] > 0.6
    before = (tmp_path / "raw-0" / "model.safetensors").read_bytes()
    losses = {**PARAMS["losses"], "co_teaching": {**PARAMS["losses"]["co_teaching"], "forget_rate": 0.1}}
    run(crawl, tmp_path / "raw-0", "raw", arms=arms, losses=losses, samples_seen=1200)
    assert (tmp_path / "raw-0" / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("rows", "n"),
    [
        ("not_relabelled", 54),
        ("basic", 60),
        ("text_based", 60),
        ("clip_score", 60),
        ("image_based", 30),
        ("image_and_clip_score", 20),
        ("clip_margin", 60),
    ],
)
def test_arms_of_other_filters(crawl: tuple[Artifact, Source], tmp_path: Path, rows: str, n: int) -> None:
    arms = {"other": {"rows": rows, "weighted": False, "loss": "cross_entropy", "logit_adjustment": 0.0, "start": "none"}}
    found = run(crawl, tmp_path / "other-0", "other", arms=arms, samples_seen=20)["rows"]
    assert abs(found - n) <= 4


def test_losses_that_are_missing_or_out_of_range_are_refused() -> None:
    arms = {"raw": {**PARAMS["arms"]["raw"], "loss": "mae"}}
    with pytest.raises(
        ValidationError, match="arm 'raw' asks for loss 'mae', which is not among `losses`: cross_entropy, elr, co_teaching"
    ):
        PretrainParams.model_validate(PARAMS | {"arms": arms})
    with pytest.raises(ValidationError, match="arm 'raw' asks for start 'moco', which is not among `starts`: none, simclr, teacher"):
        PretrainParams.model_validate(PARAMS | {"arms": {"raw": {**PARAMS["arms"]["raw"], "start": "moco"}}})
    losses = {**PARAMS["losses"], "elr": {"method": "elr", "momentum": 1.5, "strength": 1.0}}
    with pytest.raises(ValidationError, match="momentum of elr is 1.5: it must be a number from 0 to below 1"):
        PretrainParams.model_validate(PARAMS | {"losses": losses})


def from_start(**changes: Any) -> dict[str, Any]:
    """Params of an arm `curated` that starts without labels."""
    starts = {"simclr": PARAMS["starts"]["simclr"] | changes}
    return {"starts": starts, "arms": {"curated": {**PARAMS["arms"]["curated"], "start": "simclr"}}}


def test_an_arm_may_start_without_labels(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    metrics = run(crawl, tmp_path / "curated-0", **from_start())
    assert (metrics["start_samples_seen"], metrics["start_rows"]) == (400, 90)
    assert metrics["curve"][-1]["accuracy"] > 0.7
    assert sorted(file.name for file in (tmp_path / "curated-0").iterdir()) == ["config.json", "curve.csv", "model.safetensors"]
    _, config = read_model(tmp_path / "curated-0")
    assert config["backbone"] == "resnet9-4+layer"
    before = (tmp_path / "curated-0" / "model.safetensors").read_bytes()
    run(crawl, tmp_path / "curated-0", **from_start(temperature=0.5))
    assert (tmp_path / "curated-0" / "model.safetensors").read_bytes() != before


def test_an_arm_may_end_with_a_student_on_pictures_without_labels(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    metrics = run(crawl, tmp_path / "curated-0", **from_start(distil_samples=400))
    assert metrics["start_samples_seen"] == 800
    assert read_model(tmp_path / "curated-0")[1]["backbone"] == "resnet9-4"
    assert metrics["curve"][-1]["accuracy"] > 0.7


def test_an_arm_may_learn_from_a_teacher_of_other_rows(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    arms = {"curated": {**PARAMS["arms"]["curated"], "start": "teacher"}}
    metrics = run(crawl, tmp_path / "curated-0", arms=arms)
    assert (metrics["rows"], metrics["start_rows"], metrics["start_samples_seen"]) == (80, 90, 400)
    assert metrics["curve"][-1]["accuracy"] > 0.7
    assert read_model(tmp_path / "curated-0")[1]["backbone"] == "resnet9-4"
    assert len(list((tmp_path / "curated-0").iterdir())) == 3


def test_curves_for_tensorboard_lie_outside_the_model(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    run(crawl, tmp_path / "raw-0", "raw", samples_seen=100, events=str(tmp_path / "events"))
    (file,) = (tmp_path / "events" / "raw-0").iterdir()
    assert file.name.startswith("events.out.tfevents.")
    assert file.read_bytes().count(b"accuracy") == 3
    assert len(list((tmp_path / "raw-0").iterdir())) == 3


def test_equal_input_gives_equal_bytes(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    for name in ("a-0", "b-0"):
        run(crawl, tmp_path / name, samples_seen=200)
    for name in ("model.safetensors", "config.json", "curve.csv"):
        assert (tmp_path / "a-0" / name).read_bytes() == (tmp_path / "b-0" / name).read_bytes()


TWO = """
import sys
from pathlib import Path
from tests.tasks.test_pretrain import *

top = Path(sys.argv[1])
source = Source(contract=CONTRACT, root=top / "curated", crawls=["alpha"], per_crawl=False)
run((Artifact(top / "images"), source), top / "models" / "raw-0", "raw", samples_seen=100)
"""


def test_two_processes_make_one_model(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, tmp_path], cwd=REPO, env={**os.environ, **place, "RANK": str(rank)}, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    folder = tmp_path / "models" / "raw-0"
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "curve.csv", "model.safetensors"]
    run(crawl, tmp_path / "raw-0", "raw", samples_seen=100)
    ours, alone = (read_model(path)[0].state_dict() for path in (folder, tmp_path / "raw-0"))
    for name, value in alone.items():
        torch.testing.assert_close(ours[name], value, rtol=2e-3, atol=2e-4)


def test_pictures_come_back_in_the_order_of_the_rows(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    rows = crawl[1].table(["crawl", "shard", "key"])
    pictures = decode(rows, crawl[0].path, tmp_path / "pixels", 20, SerialPool())
    for place in (0, 17, 99):
        np.testing.assert_array_equal(pictures[place], stripes(int(rows["key"][place].as_py())))


def test_divergence_names_step_and_samples(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    with pytest.raises(SluiceError, match=r"loss is .* at step \d+; last good checkpoint: none; lower learning_rate .* The batch"):
        run(crawl, tmp_path / "raw-0", "raw", learning_rate=1e30, warmup=0.0, max_gradient_norm=0.0)
    found = json.loads((tmp_path / "raw-0" / "diverged.json").read_text())
    assert set(found["sample_ids"]) <= set(crawl[1].table(["sample_id"])["sample_id"].to_pylist())
    assert len(found["sample_ids"]) == 20


def test_unknown_arms_and_unfit_params_are_refused(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"arm 'best' is not described under pretrain.arms \(there are: raw, curated\)"):
        run(crawl, tmp_path / "best-0", "best")
    with pytest.raises(ValidationError, match="max_shift 16 must be smaller than image_size 16"):
        run(crawl, tmp_path / "raw-0", "raw", max_shift=16)
    with pytest.raises(SluiceError, match="backbone 'nonsense' is neither resnet9, resnet9avg, resnet9white nor one of timm's"):
        run(crawl, tmp_path / "raw-0", "raw", backbone="nonsense")
