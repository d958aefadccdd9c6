"""Networks at work: their numbers by hand, whatever the batch, the side or the caller's threads."""

import numpy as np
import pytest
import torch

from tasks.methods import inference
from tasks.methods.backbones import build_network
from tasks.methods.inference import autocast, deterministic, extract_features, predict

HOW = {"precision": "fp32", "device": "cpu"}
LOW, HIGH = -0.485 / 0.229, (1 - 0.485) / 0.229  # red of nothing and of full light, normalised


class LeftEdge(torch.nn.Module):
    """Features: red and green of the left column; logits: the red alone, against nothing."""

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, :2, :, 0].mean(2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        red = self.features(pixels)[:, :1]
        return torch.cat([red, torch.zeros_like(red)], 1)


def pictures(n: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), np.uint8)


def test_a_picture_and_its_mirror_image_by_hand():
    half_red = np.zeros((2, 2, 2, 3), np.uint8)
    half_red[0, :, 0, 0] = 255  # the left column, so the mirror image's right one
    half_red[1, :, :, 0] = 255
    found = extract_features(LeftEdge(), half_red, **HOW)
    assert found[:, 0] == pytest.approx([(LOW + HIGH) / 2, HIGH], abs=1e-5)
    assert found[:, 1] == pytest.approx([-0.456 / 0.224] * 2, abs=1e-5)
    chances = predict(LeftEdge(), half_red, **HOW)
    assert chances[:, 0] == pytest.approx([1 / (1 + np.exp(-(LOW + HIGH) / 2)), 1 / (1 + np.exp(-HIGH))], abs=1e-5)
    assert chances.sum(1) == pytest.approx([1, 1])
    assert chances.dtype == found.dtype == np.float32


def test_batches_and_mirrors_change_nothing(monkeypatch):
    network = build_network("resnet9-2", 3, seed=0)
    chances, features = predict(network, pictures(), **HOW), extract_features(network, pictures(), **HOW)
    assert not network.training
    assert features.shape == (7, 16)
    assert np.ptp(chances, axis=0).max() > 1e-3
    assert predict(network, np.ascontiguousarray(pictures()[:, :, ::-1]), **HOW) == pytest.approx(chances, abs=1e-6)
    monkeypatch.setattr(inference, "BATCH", 3)
    assert predict(network, pictures(), **HOW) == pytest.approx(chances, abs=1e-6)
    assert extract_features(network, pictures(), **HOW) == pytest.approx(features, abs=1e-5)


def test_equal_input_gives_equal_bytes():
    network = build_network("resnet9-2", 3, seed=0)
    with deterministic(2, "cpu"):
        first = predict(network, pictures(), **HOW)
    with deterministic(2, "cpu"):
        assert predict(network, pictures(), **HOW).tobytes() == first.tobytes()


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="^no pictures to run the network on: pass at least one$"):
        predict(LeftEdge(), pictures(0), **HOW)
    with pytest.raises(ValueError, match="^no pictures to run the network on: pass at least one$"):
        extract_features(LeftEdge(), pictures(0), **HOW)


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision_is_that_of_the_arithmetic_alone(precision, kind):
    layer = torch.nn.Linear(2, 2)
    with autocast(precision, "cpu"):
        assert layer(torch.ones(1, 2)).dtype == kind
    assert layer(torch.ones(1, 2)).dtype == torch.float32
    network = build_network("resnet9-2", 3, seed=0)
    chances = predict(network, pictures(), precision=precision, device="cpu")
    assert chances.dtype == np.float32
    assert chances == pytest.approx(predict(network, pictures(), **HOW), abs=0.02)


def test_threads_are_put_back_even_after_a_failure():
    before = torch.get_num_threads()
    with deterministic(before + 1, "cpu"):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="inside"), deterministic(before + 1, "cpu"):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()
