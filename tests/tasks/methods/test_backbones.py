"""Networks by name: shapes, equal weights for equal seeds, and no timm where none is needed."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tasks.methods.backbones import build_network
from tasks.methods.checkpoints import read_model, write_model
from tasks.methods.small_network import whitening
from tasks.methods.training import train
from tests.tasks.methods.test_training import RECIPE, accuracy_on, same, stripes


def test_resnet9_gives_features_and_logits_at_any_size() -> None:
    network = build_network("resnet9-4", 3, seed=0).eval()
    for side in (16, 33, 48):
        pixels = torch.zeros(2, 3, side, side)
        assert network.features(pixels).shape == (2, 32)  # type: ignore[operator]
        assert network(pixels).shape == (2, 3)


def test_weights_come_from_the_seed() -> None:
    first, again, other = (build_network("resnet9-4", 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_any_network_of_timm() -> None:
    network = build_network("resnet18", 5, seed=0).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512)  # type: ignore[operator]


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("mobilenet_v3_small", 1024), ("convnext_tiny", 768)])
def test_any_network_of_torchvision(name: str, width: int) -> None:
    network = build_network(f"torchvision/{name}", 5, seed=0).eval()
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, width)  # type: ignore[operator]
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


def test_an_image_tower_of_open_clip() -> None:
    network = build_network("open_clip/RN50", 5, seed=0).eval()
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 5)


def test_halving_by_means_costs_less_and_looks_the_same_from_outside() -> None:
    network = build_network("resnet9avg-4", 3, seed=0).eval()
    assert network.features(torch.zeros(2, 3, 33, 33)).shape == (2, 32)  # type: ignore[operator]
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in network.modules())


def test_a_first_layer_of_filters_that_whiten_is_set_by_the_pictures_and_stays(tmp_path: Path) -> None:
    rows = stripes()
    network = build_network("resnet9white-6", 2, seed=0, pictures=rows.pictures)
    filters = network.get_buffer("backbone.0.whitener").clone()
    torch.testing.assert_close(filters, whitening(rows.pictures, 6))
    recipe = dataclasses.replace(RECIPE, samples_seen=160)
    trained, _ = train(network, rows, recipe=recipe, seed=0)
    assert torch.equal(trained.get_buffer("backbone.0.whitener"), filters)
    assert accuracy_on(trained, stripes(seed=1)) > 0.9
    config = {"backbone": "resnet9white-6", "concepts": ["a", "b"], "image_size": 16, "fingerprint": "f", "precision": "fp32"}
    write_model(tmp_path, trained, config)
    assert same(read_model(tmp_path)[0], trained)


def test_filters_that_whiten_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="the first width is 7: it must be even and at most 54, twice the numbers of a 3 x 3 patch"):
        build_network("resnet9white-7", 2, seed=0, pictures=stripes().pictures)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        ValueError, match="backbone 'resnet9-wide': after 'resnet9-' comes the width of the first block, such as resnet9-32"
    ):
        build_network("resnet9-wide", 3, seed=0)
    with pytest.raises(ValueError, match="backbone 'torchvision/resnet19' is not one of torchvision's .near: resnet101, "):
        build_network("torchvision/resnet19", 3, seed=0)
    with pytest.raises(ValueError, match=r"model 'RN51' is unknown to open_clip \(near: RN50"):
        build_network("open_clip/RN51", 3, seed=0)
    with pytest.raises(
        ValueError, match=r"backbone 'resnet18x' is neither resnet9, resnet9avg, resnet9white nor one of timm's \(near: .*resnet"
    ):
        build_network("resnet18x", 3, seed=0)


def test_the_default_imports_neither_timm_nor_torchvision() -> None:
    code = "import sys; from tasks.methods.backbones import build_network; build_network('resnet9', 3, seed=0)"
    code += "; sys.exit(bool({'timm', 'torchvision', 'open_clip', 'sklearn'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_backbone_may_end_in_one_more_layer() -> None:
    network = build_network("resnet9-4+layer", 3, seed=0).eval()
    features = network.features(torch.randn(2, 3, 16, 16))  # type: ignore[operator]
    assert features.shape == (2, 32)
    assert (features >= 0).all()
    assert build_network("torchvision/mobilenet_v3_small+layer", 5, seed=0).head.in_features == 1024  # type: ignore[union-attr]
