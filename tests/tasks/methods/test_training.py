"""The loop: it learns, it resists noise, it repeats itself to the bit, also when it was killed."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.methods.augmentation import Augmentation
from tasks.methods.backbones import build_network
from tasks.methods.batches import Rows
from tasks.methods.checkpoints import load_tensors, save_tensors
from tasks.methods.inference import extract_features, predict
from tasks.methods.metrics import accuracy
from tasks.methods.training import DivergedError, Recipe, learning_rate, train, update_average

RECIPE = Recipe(
    samples_seen=480, batch_size=16, optimizer="sgd", learning_rate=0.05, weight_decay=1e-4, warmup=0.2, ema_decay=0.9,
    max_gradient_norm=5.0, loss="cross_entropy", label_smoothing=0.0, elr_momentum=0.7, elr_strength=3.0, logit_adjustment=0.0,
    augmentation=Augmentation(1, True, 0.1, 2), precision="fp32", n_threads=1, points=3, checkpoint_steps=4,
)  # fmt: skip


def stripes(n: int = 96, side: int = 16, seed: int = 0) -> Rows:
    """Two concepts: stripes that lie and stripes that stand, in noise."""
    generator = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    wave = (128 + 60 * np.sin(np.arange(side) * 2.0 + generator.random((n, 1)) * 6))[:, :, None]
    pictures = np.where(classes[:, None, None] == 0, wave, wave.transpose(0, 2, 1))[..., None] + generator.normal(0, 25, (n, side, side, 3))
    keys = generator.integers(0, 2**63, n).astype(np.uint64)
    return Rows(pictures.clip(0, 255).astype(np.uint8), classes, np.ones(n, np.float32), keys)


def run(rows: Rows, recipe: Recipe = RECIPE, **how: object) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    return train(build_network("resnet9-4", 2, seed=0), rows, recipe=recipe, seed=0, **how)  # type: ignore[arg-type]


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def accuracy_on(network: torch.nn.Module, rows: Rows) -> float:
    return accuracy(predict(network, rows.pictures, precision="fp32", device="cpu").argmax(1), rows.classes)


@pytest.mark.parametrize("changes", [{}, {"loss": "elr"}, {"optimizer": "adamw", "learning_rate": 3e-3}, {"precision": "bf16"}])
def test_it_learns_what_it_never_saw(changes: dict[str, object]) -> None:
    test = stripes(seed=1)
    network, curve = run(
        stripes(),
        dataclasses.replace(RECIPE, **changes),
        validate=lambda network: accuracy_on(network, test),  # type: ignore[arg-type]
    )
    assert accuracy_on(network, test) > 0.9
    assert [point["step"] for point in curve] == [10, 20, 30]
    assert curve[-1]["epoch"] == 5.0
    assert curve[-1]["accuracy"] == accuracy_on(network, test)
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert extract_features(network, test.pictures, precision="fp32", device="cpu").shape == (96, 32)


def test_rows_of_no_weight_teach_nothing() -> None:
    rows = stripes()
    flipped = np.arange(len(rows.classes)) % 4 < 2
    classes = np.where(flipped, 1 - rows.classes, rows.classes)
    weighted, _ = run(dataclasses.replace(rows, classes=classes, weights=np.where(flipped, 0, 2).astype(np.float32)))
    assert accuracy_on(weighted, stripes(seed=1)) > 0.9
    plain, _ = run(dataclasses.replace(rows, classes=classes))
    assert accuracy_on(plain, stripes(seed=1)) < 0.8


def test_logit_adjustment_lifts_the_rare_concept() -> None:
    rows = stripes(200)
    few = np.flatnonzero((rows.classes == 0) | (np.arange(200) < 20))
    rare = Rows(rows.pictures[few], rows.classes[few], rows.weights[few], rows.keys[few])
    shares = []
    for strength in (0.0, 1.0):
        network, _ = run(rare, dataclasses.replace(RECIPE, samples_seen=160, logit_adjustment=strength))
        shares.append(predict(network, stripes(seed=1).pictures, precision="fp32", device="cpu")[:, 1].mean())
    assert shares[1] > shares[0] + 0.05


@pytest.mark.parametrize("changes", [{"loss": "elr"}, {"optimizer": "adamw", "learning_rate": 3e-3}])
def test_interrupted_and_resumed_gives_the_same_bits(tmp_path: Path, changes: dict[str, object]) -> None:
    recipe, checkpoint = dataclasses.replace(RECIPE, **changes), tmp_path / "checkpoint.safetensors"  # type: ignore[arg-type]
    whole, curve = run(stripes(), recipe)

    class Stop(Exception):
        pass

    def stop(network: torch.nn.Module) -> float:
        raise Stop

    with pytest.raises(Stop):
        run(stripes(), recipe, checkpoint=checkpoint, fingerprint="f", validate=stop)
    assert load_tensors(checkpoint)[1]["step"] == 8  # of 30, in the second epoch of 6 steps each
    resumed, again = run(stripes(), recipe, checkpoint=checkpoint, fingerprint="f")
    assert same(whole, resumed)
    assert curve == again


def test_killed_in_mid_epoch_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    recipe = dataclasses.replace(RECIPE, samples_seen=1600, checkpoint_steps=7, loss="elr")
    code = "from tests.tasks.methods.test_training import *; import os; recipe = dataclasses.replace(RECIPE, samples_seen=1600,"
    code += " checkpoint_steps=7, loss='elr', points=100); seen = []\n"
    code += "def kill(network):\n seen.append(1)\n if len(seen) == 40: os.kill(os.getpid(), 9)\n return 0.0\n"
    code += f"run(stripes(), recipe, checkpoint=Path({str(checkpoint)!r}), fingerprint='f', validate=kill)"
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_tensors(checkpoint)[1]["step"] == 35
    resumed, _ = run(stripes(), recipe, checkpoint=checkpoint, fingerprint="f")
    whole, _ = run(stripes(), recipe)
    assert same(whole, resumed)


def test_a_checkpoint_of_another_recipe_is_left_alone(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole, _ = run(stripes(), checkpoint=checkpoint, fingerprint="one")
    other, _ = run(stripes(), checkpoint=checkpoint, fingerprint="two")
    assert same(whole, other)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"checkpoint.safetensors is no checkpoint of this project .*: delete it to start again"):
        run(stripes(), checkpoint=tmp_path / "checkpoint.safetensors")


def test_divergence_stops_with_step_rows_and_last_good_checkpoint(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30, max_gradient_norm=0.0, warmup=0.0, checkpoint_steps=1)
    with pytest.raises(
        DivergedError, match=r"loss is .* at step \d+; last good checkpoint: step \d+ in .*checkpoint.safetensors; lower"
    ) as caught:
        run(stripes(), recipe, checkpoint=tmp_path / "checkpoint.safetensors")
    assert len(caught.value.places) == 16
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == caught.value.step


def test_rows_that_cannot_be_trained_on_are_refused() -> None:
    rows = stripes()
    with pytest.raises(ValueError, match="96 rows to train a head of 2 on: pass at least one, with classes from 0 to 1"):
        run(dataclasses.replace(rows, classes=rows.classes + 1))
    with pytest.raises(ValueError, match="sample weights must be finite, not negative and not all 0"):
        run(dataclasses.replace(rows, weights=np.zeros(96, np.float32)))


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    recipe = dataclasses.replace(RECIPE, samples_seen=1600, learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(step, recipe) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001


def test_average_of_weights_follows_the_network() -> None:
    average, network = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(network.weight, 1.0)
    update_average(average, network, step=1000, decay=0.9)
    assert average.weight.item() == pytest.approx(0.1)
    update_average(average, network, step=0, decay=0.9)
    assert average.weight.item() == pytest.approx(0.1 + 0.9 * 0.9)
    update_average(average, network, step=5, decay=0.0)
    assert average.weight.item() == 1.0


def test_saving_replaces_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.safetensors"
    for value in (1.0, 2.0):
        save_tensors(path, {"x": torch.tensor([value])}, {"step": value})
    tensors, metadata = load_tensors(path)
    assert tensors["x"].item() == metadata["step"] == 2.0
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"]
