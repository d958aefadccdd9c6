"""Blends of pairs and nested masks."""

import numpy as np
import torch

from tasks.methods.mixing import blend, draw_blend, nested_mask, nested_sizes


def test_neighbours_are_blended_into_one_another() -> None:
    values = torch.tensor([[0.0], [10.0], [20.0], [40.0]])
    assert blend(values, 0.75).flatten().tolist() == [2.5, 7.5, 25.0, 35.0]
    assert blend(values, 1.0) is values


def test_an_odd_row_is_its_own_partner() -> None:
    assert blend(torch.tensor([0.0, 10.0, 20.0]), 0.5).tolist() == [5.0, 5.0, 20.0]


def test_parts_of_a_batch_are_blended_as_the_whole() -> None:
    values = torch.arange(8.0)
    parts = [blend(part, 0.6) for part in values.chunk(2)]
    assert torch.equal(torch.cat(parts), blend(values, 0.6))


def test_the_own_share_leads() -> None:
    generator = np.random.default_rng(0)
    draws = [draw_blend(generator, 1.0) for _ in range(200)]
    assert 0.5 <= min(draws) < 0.55
    assert 0.95 < max(draws) <= 1.0
    assert draw_blend(generator, 0.0) == 1.0


def test_small_numbers_of_features_are_drawn_most() -> None:
    sizes = nested_sizes(20_000, 64, 10.0, np.random.default_rng(0))
    assert sizes.min() == 1
    assert sizes.max() <= 64
    weight = np.exp(-(np.arange(1, 65) ** 2) / 200)
    expected = (weight * np.arange(1, 65)).sum() / weight.sum()
    assert abs(sizes.mean() - expected) < 0.15
    assert abs(nested_sizes(20_000, 64, 1e6, np.random.default_rng(0)).mean() - 32.5) < 0.5


def test_a_mask_keeps_the_first_features() -> None:
    np.testing.assert_array_equal(nested_mask(np.array([1, 3]), 4), [[1, 0, 0, 0], [1, 1, 1, 0]])
