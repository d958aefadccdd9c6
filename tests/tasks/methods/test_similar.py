"""Nearest rows by hand, and the same as exact search."""

import numpy as np
import pytest

from tasks.methods.search import build_index
from tasks.methods.similar import cosines, nearest


def test_the_nearest_by_hand() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], np.float16)
    index = build_index(vectors)
    positions, similarities = nearest(index, vectors, np.array([2.0, 0.0]), k=3, n_probes=1)
    assert positions.tolist() == [0, 3, 2]
    assert similarities == pytest.approx([1.0, 1.0, 0.6], abs=1e-3)
    assert nearest(index, vectors, np.array([1.0, 0.0]), k=9, n_probes=1)[0].tolist() == [0, 3, 2, 1]


def test_another_width_is_refused() -> None:
    index = build_index(np.eye(4, dtype=np.float16))
    with pytest.raises(ValueError, match=r"^queries of width 3 for an index of width 4"):
        nearest(index, np.eye(4, dtype=np.float16), np.ones(3), k=1, n_probes=1)


def test_an_approximate_index_gives_exact_similarities() -> None:
    vectors = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float16)
    index = build_index(vectors, kind="ivf", lists_per_sqrt=1.0)
    positions, similarities = nearest(index, vectors, vectors[7], k=5, n_probes=1000)
    truth = cosines(vectors, vectors[7])
    assert positions.tolist() == np.argsort(-truth, kind="stable")[:5].tolist()
    assert similarities == pytest.approx(np.sort(truth)[::-1][:5])


def test_zeros_resemble_nothing() -> None:
    assert cosines(np.zeros((2, 3), np.float16), np.ones(3)).tolist() == [0.0, 0.0]
