"""Batches: every row once an epoch, whatever the batch size, and the same ones from any step on."""

import numpy as np

from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import Rows, batches

PLAIN = Augmentation(1, True, 0.0, 0)


def rows(n: int) -> Rows:
    pictures = np.random.default_rng(0).integers(0, 256, (n, 6, 6, 3), np.uint8)
    keys = np.random.default_rng(1).integers(0, 2**63, n).astype(np.uint64)
    return Rows(pictures, np.zeros(n, np.int64), np.ones(n, np.float32), keys)


def made(n: int, batch_size: int, n_steps: int, first: int = 0) -> list[tuple[int, np.ndarray, np.ndarray]]:
    found = batches(rows(n), batch_size=batch_size, n_steps=n_steps, first=first, seed=5, how=PLAIN)
    return [(step, places, pixels.numpy()) for step, places, pixels in found]


def test_every_row_is_seen_once_an_epoch_without_gaps() -> None:
    places = np.concatenate([places for _, places, _ in made(10, 4, 10)])
    assert len(places) == 40
    epochs = places.reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4


def test_a_batch_may_span_several_epochs() -> None:
    places = np.concatenate([places for _, places, _ in made(3, 8, 3)])
    assert np.bincount(places).tolist() == [8, 8, 8]


def test_starting_later_gives_the_same_batches() -> None:
    whole, rest = made(10, 4, 10), made(10, 4, 10, first=6)
    assert [step for step, _, _ in rest] == [6, 7, 8, 9]
    for (_, places, pixels), (_, again, same) in zip(whole[6:], rest, strict=True):
        np.testing.assert_array_equal(places, again)
        np.testing.assert_array_equal(pixels, same)


def test_pixels_are_normalised_and_channels_first() -> None:
    (_, _, pixels), *_ = made(10, 4, 1)
    assert pixels.shape == (4, 3, 6, 6)
    assert abs(pixels.mean()) < 0.4
    assert 1.0 < pixels.std() < 1.6


def test_views_of_a_picture_follow_each_other_and_differ() -> None:
    how: dict[str, int] = {"batch_size": 4, "n_steps": 2, "first": 0, "seed": 5}
    (_, places, one), *_ = batches(rows(10), **how, how=PLAIN)
    (_, same_places, two), *_ = batches(rows(10), **how, how=PLAIN, views=2)
    np.testing.assert_array_equal(places, same_places)
    assert two.shape == (8, 3, 6, 6)
    np.testing.assert_array_equal(two[::2], one)
    assert (two[1::2] != two[::2]).flatten(1).any(1).sum() >= 3
    (_, _, mine), *_ = batches(rows(10), **how, how=PLAIN, views=2, mine=np.array([1, 2]))
    np.testing.assert_array_equal(mine, two[2:6])
