"""Hamming: near hashes against brute force, hashes that many share."""

import math

import numpy as np
import pytest

from tasks.methods import hamming
from tasks.methods.hamming import hamming_pairs


def hashes(n: int, seed: int = 0) -> np.ndarray:
    """Random hashes, a third of them within a few bits of an earlier one."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 2**64, n, dtype=np.uint64)
    for row in range(2 * n // 3, n):
        flips = rng.choice(64, rng.integers(0, 14), replace=False)
        made[row] = made[rng.integers(0, n // 2)] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0))
    return made


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


@pytest.mark.parametrize("radius", [6, 9, 10, 12])
def test_bands_find_what_comparing_all_finds(monkeypatch, radius):
    made, other = hashes(400), hashes(300, seed=3)
    found = {}
    for cost in (1e9, 0.0):  # looking up bins is dear: all are compared; it costs nothing: bands
        monkeypatch.setattr(hamming, "BIN_COST", cost)
        monkeypatch.setattr(hamming, "BLOCK", 50)
        chosen = hamming._bands(400, 400, radius)
        assert (chosen == [(0, 0, 0)]) == (cost > 0)
        found[cost] = [hamming_pairs(made, second, radius=radius, max_per_hash=3)[0].tolist() for second in (None, other)]
    assert found[1e9] == found[0.0]
    assert len(found[0.0][0]) > 5


def test_comparisons_grow_less_than_with_the_square():
    def compared(n: int) -> float:
        bands = hamming._bands(n, n, 10)
        return sum(sum(math.comb(width, k) for k in range(most + 1)) * n / 2**width for _, width, most in bands)

    assert compared(1_000_000) < 3 * compared(100_000) < 12_000
