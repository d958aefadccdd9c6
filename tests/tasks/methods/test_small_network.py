"""The network of the folds, and the filters that it starts from."""

import numpy as np
import pytest
import torch

from tasks.methods.small_network import build_network, to_tensor, whitening


def test_shapes():
    logits, words, features = build_network((8, 8, 16, 16), torch.zeros(8, 3, 3, 3), 3, 7)(torch.zeros(2, 3, 32, 32))
    assert (tuple(logits.shape), tuple(words.shape), tuple(features.shape)) == ((2, 3), (2, 7), (2, 16))
    assert build_network((2, 2, 2, 2), torch.zeros(2, 3, 3, 3), 3, 0)(torch.zeros(2, 3, 8, 8))[1].shape == (2, 0)


def test_the_first_layer_stays_as_it_is():
    filters = torch.rand(4, 3, 3, 3)
    network = build_network((4, 4, 4, 4), filters, 2, 0)
    fixed = [p for p in network.parameters() if not p.requires_grad]
    assert len(fixed) == 1
    assert torch.equal(fixed[0], filters)


def test_whitening_filters_make_patches_uncorrelated_and_even():
    images = np.random.default_rng(0).integers(0, 256, (200, 12, 12, 3)).astype(np.uint8)
    images[..., 1] = images[..., 0] // 2 + images[..., 1] // 2  # two colours that say much the same
    filters = whitening(images, 54)
    assert torch.equal(filters[27:], -filters[:27])
    seen = torch.nn.functional.conv2d(to_tensor(images), filters[:27])[:, :, ::3, ::3].permute(1, 0, 2, 3).flatten(1)
    assert torch.cov(seen).numpy() == pytest.approx(np.eye(27), abs=0.01)
    fewer = whitening(images, 8)
    assert torch.equal(fewer[:4], filters[:4])  # the strongest directions first
    assert whitening(np.full((3, 12, 12, 3), 7, np.uint8), 8).isfinite().all()


@pytest.mark.parametrize("n_filters", [7, 56, 0])
def test_a_first_width_that_gives_no_filters_is_refused(n_filters):
    with pytest.raises(ValueError, match=f"the first width is {n_filters}: it must be even and at most 54"):
        whitening(np.zeros((1, 8, 8, 3), np.uint8), n_filters)
