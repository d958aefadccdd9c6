"""Networks joined with a projection, and heads cut down to their first features."""

import torch

from tasks.methods.backbones import build_network
from tasks.methods.learners import build_learner, candidate_sizes, feature_width, keep_features, n_classes

PIXELS = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_learner_says_what_its_networks_say() -> None:
    networks = [build_network("resnet9-2", 3, seed=seed) for seed in (0, 1)]
    learner = build_learner(networks, projection=(), seed=0).eval()
    for i in range(2):
        logits, projected, features = learner(i, PIXELS, None)
        assert torch.equal(logits, networks[i].eval()(PIXELS))
        assert torch.equal(features, networks[i].features(PIXELS))  # type: ignore[operator]
        assert projected is None


def test_the_projection_comes_from_the_seed() -> None:
    found = [
        build_learner([build_network("resnet9-2", 3, seed=0)], projection=(5,), seed=seed).eval()(0, PIXELS, None)[1] for seed in (0, 0, 1)
    ]
    assert found[0].shape == (2, 5)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_masked_features_are_as_if_the_head_never_had_them() -> None:
    network = build_network("resnet9-2", 3, seed=0).eval()
    mask = torch.zeros(2, feature_width(network))
    mask[:, :4] = 1
    masked = build_learner([network], projection=(), seed=0).eval()(0, PIXELS, mask)[0]
    keep_features(network, 4)
    torch.testing.assert_close(network(PIXELS), masked)


def test_sizes_of_heads() -> None:
    network = build_network("resnet9-2", 3, seed=0)
    assert (feature_width(network), n_classes(network)) == (16, 3)
    assert candidate_sizes(16) == [1, 2, 4, 8, 16]
    assert candidate_sizes(20) == [1, 2, 4, 8, 16, 20]


def test_a_projection_of_several_layers_bends_between_them() -> None:
    learner = build_learner([build_network("resnet9-2", 3, seed=0)], projection=(6, 5), seed=0).eval()
    features = learner.networks[0].features(PIXELS)
    first, _, last = learner.projection
    expected = first(features).clamp(min=0) @ last.weight.T
    torch.testing.assert_close(learner(0, PIXELS, None)[1], expected)
    assert (first.out_features, last.bias) == (6, None)
