"""Clumps are found and named in examples by hand."""

from collections import Counter

import numpy as np
import pytest

from tasks.methods.proposals import find_clumps, telling_words


def around(centre: list[float], n: int, seed: int, spread: float = 0.05) -> np.ndarray:
    vectors = np.array(centre) + np.random.default_rng(seed).normal(0, spread, (n, len(centre)))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_two_clumps_among_strays():
    strays = np.eye(8)[4:]
    embeddings = np.concatenate([around([1, 0, 0, 0, 0, 0, 0, 0], 5, 0), strays, around([0, 1, 0, 0, 0, 0, 0, 0], 7, 1)]).astype(np.float16)
    large, small = find_clumps(embeddings, min_similarity=0.9, min_rows=4)
    assert sorted(large.members) == list(range(9, 16))
    assert sorted(small.members) == list(range(5))
    assert 0.95 < large.cohesion <= 1
    centre = embeddings[large.members].astype(float).mean(0)
    assert (np.diff(embeddings[large.members].astype(float) @ centre) <= 1e-9).all()  # the most central first
    assert find_clumps(embeddings, min_similarity=0.9, min_rows=8) == []
    assert find_clumps(embeddings[:0], min_similarity=0.9, min_rows=4) == []


def test_words_by_hand():
    inside = [{"red", "tractor"}, {"tractor", "field"}, {"tractor", "red"}]
    outside = Counter(red=50, house=50, field=10)
    # tractor: prior 10 * 3 / 116 = .26; log(3.26 / (6 + 10 - 3.26)) - log(.26 / (110 + 10 - .26)) = 4.77, over sqrt(1/3.26 + 1/.26) = 2.34
    assert telling_words(inside, outside, prior_rows=10, n_words=3) == ["tractor"]
    assert telling_words([{"tractor"}], outside, prior_rows=10, n_words=3) == []  # one text is an accident
    assert telling_words([], outside, prior_rows=10, n_words=3) == []


@pytest.mark.parametrize(
    ("embeddings", "options", "message"),
    [
        (np.zeros(3), {"min_similarity": 0.9, "min_rows": 2}, "not in shape"),
        (np.zeros((3, 2)), {"min_similarity": 1.0, "min_rows": 2}, "min_similarity 1.0"),
        (np.zeros((3, 2)), {"min_similarity": 0.9, "min_rows": 1}, "min_rows 1"),
    ],
)
def test_messages(embeddings, options, message):
    with pytest.raises(ValueError, match=message):
        find_clumps(embeddings, **options)
