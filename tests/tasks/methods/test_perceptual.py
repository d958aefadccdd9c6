"""Perceptual: near hashes against brute force, and how alike changed pictures are."""

import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from tasks.methods.perceptual import SIDE, copy_similarity, hamming_pairs, thumbnail


def hashes(n: int, seed: int = 0) -> np.ndarray:
    """Random hashes, a third of them within a few bits of an earlier one."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 2**64, n, dtype=np.uint64)
    for row in range(2 * n // 3, n):
        flips = rng.choice(64, rng.integers(0, 14), replace=False)
        made[row] = made[rng.integers(0, n // 2)] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0))
    return made


def picture(seed: int = 0) -> Image.Image:
    """Smooth shapes in many colours, 256 x 256."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC)


def thumbnails(*pictures: Image.Image) -> np.ndarray:
    return np.stack([np.frombuffer(thumbnail(one), np.uint8).reshape(SIDE, SIDE) for one in pictures])


@pytest.mark.parametrize("radius", [0, 1, 3, 6, 10, 13])
def test_pairs_equal_brute_force(radius):
    made = hashes(600)
    distances = np.bitwise_count(made[:, None] ^ made[None, :])
    expected = np.argwhere(np.triu(distances <= radius, k=1))
    pairs, found = hamming_pairs(made, radius=radius, max_per_hash=600)
    assert len(expected) > 5
    assert pairs.tolist() == expected.tolist()
    assert found.tolist() == distances[tuple(expected.T)].tolist()


def test_two_columns_equal_brute_force():
    left, right = hashes(300, seed=1), np.concatenate([hashes(300, seed=1)[::2], hashes(50, seed=2)])
    expected = np.argwhere(np.bitwise_count(left[:, None] ^ right[None, :]) <= 8)
    assert hamming_pairs(left, right, radius=8, max_per_hash=300)[0].tolist() == expected.tolist()


def test_a_hash_that_many_share_costs_little_and_holds_together():
    made = np.full(5000, 7, np.uint64)
    made[-1] = 6
    pairs, _ = hamming_pairs(made, radius=2, max_per_hash=4)
    assert len(pairs) < 5 * len(made)
    assert [row - 1 in pairs[pairs[:, 1] == row, 0] for row in range(1, 5000)].count(True) >= 4998
    assert (pairs[pairs[:, 1] == 4999, 0] == [0, 1, 2, 3]).all()


@pytest.mark.parametrize("n", [0, 1])
def test_no_rows_give_no_pairs(n):
    assert hamming_pairs(np.zeros(n, np.uint64), radius=4, max_per_hash=2)[0].shape == (0, 2)
    assert hamming_pairs(np.zeros(n, np.uint64), np.zeros(0, np.uint64), radius=4, max_per_hash=2)[0].shape == (0, 2)


@pytest.mark.slow
def test_a_hundred_thousand_hashes_take_seconds():
    started = time.perf_counter()
    hamming_pairs(np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64), radius=10, max_per_hash=16)
    assert time.perf_counter() - started < 30


def test_hostile_values_are_named():
    with pytest.raises(ValueError, match=r"radius 40 is not in 0\.\.32"):
        hamming_pairs(hashes(3), radius=40, max_per_hash=1)
    with pytest.raises(ValueError, match=r"hashes must be \(n,\) uint64, not \(3,\) int64"):
        hamming_pairs(np.zeros(3, np.int64), radius=4, max_per_hash=1)
    with pytest.raises(ValueError, match=r"max_per_hash 0 must be at least 1"):
        hamming_pairs(hashes(3), radius=4, max_per_hash=0)
    with pytest.raises(ValueError, match=r"max_zoom 1 must be in \[0, 1\)"):
        copy_similarity(thumbnails(picture()), thumbnails(picture()), max_zoom=1)


def test_copies_are_alike_and_strangers_are_not():
    original = picture()
    copies = {
        "same": original,
        "smaller": original.resize((96, 96)),
        "brighter": original.point(lambda value: 60 + value // 2),
        "trimmed": original.crop((10, 10, 246, 246)),
        "bordered": ImageOps.expand(original, 10, "black").crop((0, 0, 276, 276)),
    }
    many = thumbnails(*[original] * len(copies))
    alike = dict(zip(copies, copy_similarity(many, thumbnails(*copies.values()), max_zoom=0.15), strict=True))
    assert alike["same"] == 1.0
    assert min(alike["smaller"], alike["brighter"], alike["trimmed"]) > 0.985
    strangers = copy_similarity(many, thumbnails(*map(picture, range(1, 6))), max_zoom=0.15)
    assert strangers.max() < 0.7
    assert strangers.min() >= 0


def test_zoom_finds_the_trimmed_copy_from_either_side():
    original, trimmed = thumbnails(picture()), thumbnails(picture().crop((16, 16, 240, 240)))
    plain = copy_similarity(original, trimmed, max_zoom=0.0)
    zoomed = copy_similarity(original, trimmed, max_zoom=0.15)
    assert zoomed == copy_similarity(trimmed, original, max_zoom=0.15)
    assert plain < 0.97
    assert zoomed > 0.99


def test_blank_pictures_resemble_only_their_like():
    white, grey = np.full((1, SIDE, SIDE), 255, np.uint8), np.full((1, SIDE, SIDE), 90, np.uint8)
    assert copy_similarity(white, white, max_zoom=0.1).tolist() == [1.0]
    assert copy_similarity(white, grey, max_zoom=0.1).tolist() == [0.0]
    assert copy_similarity(white, thumbnails(picture()), max_zoom=0.1).tolist() == [0.0]
