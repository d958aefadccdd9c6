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
from tasks.methods.checkpoints import load_tensors
from tasks.methods.feature_settings import OpenTargets, RepresentationCalibration
from tasks.methods.inference import extract_features, predict
from tasks.methods.loss_settings import (
    CoTeaching,
    CrossEntropy,
    EarlyLearning,
    EarlyLearningPlus,
    GeneralisedCrossEntropy,
    ImpreciseLabels,
    LossRescaling,
    LossSettings,
    PrototypeContrast,
    PseudoLoss,
    SmallLoss,
    SymmetricCrossEntropy,
)
from tasks.methods.metrics import accuracy
from tasks.methods.runs import DivergedError
from tasks.methods.training import Recipe, learning_rate, train

RECIPE = Recipe(
    samples_seen=480, batch_size=16, accumulate=1, optimizer="sgd", learning_rate=0.05, weight_decay=1e-4, warmup=0.2, ema_decay=0.9,
    max_gradient_norm=5.0, max_loss=1e9, loss=CrossEntropy("cross_entropy", 0.0), logit_adjustment=0.0,
    augmentation=Augmentation(1, True, 0.1, 2), precision="fp32", n_threads=1, points=3, checkpoint_steps=4,
)  # fmt: skip

ELR = EarlyLearning("elr", 0.7, 3.0)
LOSSES: dict[str, LossSettings] = {
    "cross_entropy": CrossEntropy("cross_entropy", 0.0),
    "gce": GeneralisedCrossEntropy("generalised_cross_entropy", 0.7, 0.0, 1.0),
    "sce": SymmetricCrossEntropy("symmetric_cross_entropy", 0.5, 0.5),
    "elr": ELR,
    "elr_plus": EarlyLearningPlus("elr_plus", 0.7, 1.0, 1.0),
    "pls": PseudoLoss("pseudo_loss", 3.0, 0.5, 1.5, False, 2.0, 0.5, 0.5, 0.5),
    "co_teaching": CoTeaching("co_teaching", 0.2, 1.0, 0.0),
    "nested": CoTeaching("co_teaching", 0.2, 1.0, 16.0),
    "small_loss": SmallLoss("small_loss", 3.0, 0.5, 1.5, True, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5),
    "rescaling": LossRescaling("loss_rescaling", 1.0, 0.9),
    "imprecise": ImpreciseLabels("imprecise_labels", 3.0, 0.8, 0.99, 0.1),
    "representation": RepresentationCalibration("representation_calibration", 0.2, 10, 1, 0.1, 0.3, 1e-4),  # from an untrained start
    "open_targets": OpenTargets("open_targets", 3.0, 0.5, 1.5, False, 0.5, 16, 0.8, 0.5, 0.5),
    "prototypes": PrototypeContrast("prototype_contrast", 8, 40, 0.1, 0.99, 0.5, 0.6, 0.0, 0.1, 0.5, 1.0),
}


def stripes(n: int = 96, side: int = 16, seed: int = 0) -> Rows:
    """Two concepts: stripes that lie and stripes that stand, in noise."""
    generator = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    wave = (128 + 60 * np.sin(np.arange(side) * 2.0 + generator.random((n, 1)) * 6))[:, :, None]
    pictures = np.where(classes[:, None, None] == 0, wave, wave.transpose(0, 2, 1))[..., None] + generator.normal(0, 25, (n, side, side, 3))
    keys = generator.integers(0, 2**63, n).astype(np.uint64)
    return Rows(pictures.clip(0, 255).astype(np.uint8), classes, np.ones(n, np.float32), keys)


def run(rows: Rows, recipe: Recipe = RECIPE, **how: object) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    networks = [build_network("resnet9-4", 2, seed=seed) for seed in (0, 100)]
    return train(networks[0], rows, recipe=recipe, seed=0, partner=networks[1], **how)  # type: ignore[arg-type]


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def accuracy_on(network: torch.nn.Module, rows: Rows) -> float:
    return accuracy(predict(network, rows.pictures, precision="fp32", device="cpu").argmax(1), rows.classes)


@pytest.mark.parametrize("changes", [{"optimizer": "adamw", "learning_rate": 3e-3}, {"precision": "bf16"}, {"accumulate": 2}])
def test_it_learns_what_it_never_saw_however_it_steps(changes: dict[str, object]) -> None:
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


@pytest.mark.parametrize(
    "changes", [*({"loss": loss} for loss in LOSSES.values()), {"optimizer": "adamw", "learning_rate": 3e-3}], ids=[*LOSSES, "adamw"]
)
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
    assert set(load_tensors(checkpoint)[0]) > {"learner.networks.0.head.bias", "average.networks.0.head.bias"}
    resumed, again = run(stripes(), recipe, checkpoint=checkpoint, fingerprint="f")
    assert same(whole, resumed)
    assert curve == again


def test_killed_in_mid_epoch_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    recipe = dataclasses.replace(RECIPE, samples_seen=1600, checkpoint_steps=7, loss=ELR)
    code = "from tests.tasks.methods.test_training import *; import os; recipe = dataclasses.replace(RECIPE, samples_seen=1600,"
    code += " checkpoint_steps=7, loss=ELR, points=100); seen = []\n"
    code += "def kill(network):\n seen.append(1)\n if len(seen) == 40: os.kill(os.getpid(), 9)\n return 0.0\n"
    code += f"run(stripes(), recipe, checkpoint=Path({str(checkpoint)!r}), fingerprint='f', validate=kill)"
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_tensors(checkpoint)[1]["step"] == 35
    resumed, _ = run(stripes(), recipe, checkpoint=checkpoint, fingerprint="f")
    whole, _ = run(stripes(), recipe)
    assert same(whole, resumed)


def test_pictures_on_disk_give_the_same_bits_as_pictures_in_memory(tmp_path: Path) -> None:
    rows = stripes()
    np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=rows.pictures.shape)[:] = rows.pictures
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r", shape=rows.pictures.shape)
    assert same(run(rows)[0], run(dataclasses.replace(rows, pictures=mapped))[0])


MAPPED = """
import sys
from tests.tasks.methods.test_training import *

def own_bytes():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon"))

pictures = np.memmap(sys.argv[1], np.uint8, "r", shape=(40_000, 64, 64, 3))
rows = Rows(pictures, np.arange(40_000) % 2, np.ones(40_000, np.float32), np.arange(40_000, dtype=np.uint64))
run(stripes())
before = own_bytes()
run(rows, validate=lambda network: accuracy_on(network, dataclasses.replace(rows, pictures=pictures[:600], classes=rows.classes[:600])))
print(own_bytes() - before)
"""


def test_memory_holds_batches_and_not_the_pictures(tmp_path: Path) -> None:
    with (tmp_path / "pixels").open("wb") as file:
        file.truncate(40_000 * 64 * 64 * 3)  # 490 MB, without taking any of the disk
    found = subprocess.run(
        [sys.executable, "-c", MAPPED, str(tmp_path / "pixels")], cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 150e6


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
    assert len(set(caught.value.keys.tolist()) & set(stripes().keys.tolist())) == 16
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


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_learns_in_spite_of_wrong_concepts(name: str) -> None:
    rows = stripes()
    noisy = np.where(np.arange(96) % 10 < 2, 1 - rows.classes, rows.classes)
    recipe = dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=800)
    network, curve = run(dataclasses.replace(rows, classes=noisy), recipe)
    assert accuracy_on(network, stripes(seed=1)) > 0.85
    assert curve[-1]["loss"] < curve[0]["loss"] + 0.5


def test_losses_of_two_networks_ask_for_the_second() -> None:
    with pytest.raises(ValueError, match="loss co_teaching trains two networks: pass another one as `partner`"):
        train(build_network("resnet9-4", 2, seed=0), stripes(), recipe=dataclasses.replace(RECIPE, loss=LOSSES["co_teaching"]), seed=0)


def test_nested_dropout_keeps_the_fewest_features_that_validate_best() -> None:
    recipe = dataclasses.replace(RECIPE, loss=LOSSES["nested"])
    network, _ = run(stripes(), recipe, validate=lambda network: accuracy_on(network, stripes(seed=1)))
    used = (network.head.weight != 0).any(0)  # type: ignore[union-attr, operator]
    n = int(used.sum())
    assert 1 <= n < 32
    assert used[:n].all()


def test_a_loss_out_of_bounds_is_divergence() -> None:
    with pytest.raises(DivergedError, match=r"loss is 0\.\d+ with gradient norm .* at step 0; last good checkpoint: none"):
        run(stripes(), dataclasses.replace(RECIPE, max_loss=0.01))


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size 16 can't be cut into 3 parts \(accumulate\): make it a multiple"):
        run(stripes(), dataclasses.replace(RECIPE, accumulate=3))


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    layered = [timm_like(seed=0) for _ in range(2)]
    recipe = dataclasses.replace(RECIPE, samples_seen=160, loss=ELR)
    whole, _ = train(layered[0], stripes(), recipe=recipe, seed=0)
    pieces, _ = train(layered[1], stripes(), recipe=dataclasses.replace(recipe, accumulate=4), seed=0)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(pieces.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def timm_like(seed: int) -> torch.nn.Module:
    """A network without norms over the batch."""
    network = build_network("resnet9-4", 2, seed=seed)
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, name, torch.nn.GroupNorm(2, child.num_features))
    return network
