"""Drift: worked examples by hand, and what must hold for any crawl."""

from collections import Counter

import numpy as np
import pytest

from tasks.methods.drift import (
    CrawlStatistics,
    Moments,
    confusion_prior,
    drift_between,
    em_prior,
    frechet_distance,
    jensen_shannon,
    matched_shift,
    total_variation,
)


def gaussian(mean: list[float], covariance: list[list[float]]) -> Moments:
    return Moments(101, np.array(mean, float), np.array(covariance, float) * 100)


def test_frechet_distance_by_hand():
    # One dimension: (m1 - m2)^2 + (s1 - s2)^2 = 9 + (2 - 3)^2.
    assert frechet_distance(gaussian([0], [[4]]), gaussian([3], [[9]])) == pytest.approx(10)
    # Covariances that commute: the roots of the eigenvalues apart, (1 - 2)^2 + (3 - 1)^2.
    assert frechet_distance(gaussian([0, 0], [[1, 0], [0, 9]]), gaussian([0, 0], [[4, 0], [0, 1]])) == pytest.approx(5)
    # Singular ones: variance 1 along one axis against variance 1 along the other; nothing is shared, 1 + 1.
    assert frechet_distance(gaussian([0, 0], [[1, 0], [0, 0]]), gaussian([0, 0], [[0, 0], [0, 1]])) == pytest.approx(2)


def test_frechet_distance_of_covariances_that_do_not_commute_agrees_with_a_matrix_root():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(0)
    a, b = (Moments.of(random.normal(size=(50, 6)) @ random.normal(size=(6, 6))) for _ in range(2))
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * sqrtm(a.covariance @ b.covariance).real)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_moments_of_blocks_are_those_of_the_whole():
    vectors = np.random.default_rng(1).normal(5, 2, (40, 3)).astype(np.float16)
    whole = Moments.of(vectors)
    parts = Moments.of(vectors[:0]).plus(Moments.of(vectors[:7])).plus(Moments.of(vectors[7:]))
    assert parts.n == whole.n == 40
    np.testing.assert_allclose(parts.mean, whole.mean)
    np.testing.assert_allclose(parts.covariance, np.cov(vectors.astype(float).T))
    assert not Moments.of(vectors[:1]).covariance.any()


def test_em_finds_the_shares_of_a_shifted_crawl():
    # Two values of x; the classifier saw both classes equally often: P(x=1|A) = .8, P(x=1|B) = .2, so its belief in A is .8 or .2.
    # With 90 % A, x=1 in .9 * .8 + .1 * .2 = 74 of 100 rows: the likeliest share of A is (.74 - .2) / (.8 - .2) = .9.
    beliefs = np.array([[0.8, 0.2]] * 74 + [[0.2, 0.8]] * 26)
    np.testing.assert_allclose(em_prior(beliefs, np.array([0.5, 0.5])), [0.9, 0.1], atol=1e-4)
    np.testing.assert_allclose(em_prior(np.zeros((0, 2)), np.array([0.3, 0.7])), [0.3, 0.7])
    np.testing.assert_allclose(em_prior(np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]), np.array([0.5, 0.5])), [0.75, 0.25])


def test_confusion_matrix_finds_the_same_shares():
    confusion = np.array([[8, 2], [2, 8]])  # of ten A eight are called A, of ten B two
    np.testing.assert_allclose(confusion_prior(confusion, np.array([74, 26]), ridge=0), [0.9, 0.1])
    np.testing.assert_allclose(
        confusion_prior(confusion, np.array([10, 90]), ridge=0), [0, 1]
    )  # beyond what any share explains: the nearest
    singular = confusion_prior(np.array([[5, 5], [5, 5]]), np.array([50, 50]), ridge=0)
    assert singular.sum() == pytest.approx(1)
    # A strong ridge says that nothing moved.
    np.testing.assert_allclose(confusion_prior(confusion, np.array([74, 26]), ridge=1e6), [0.5, 0.5], atol=1e-4)
    # By hand, with s = (1/2 + t, 1/2 - t): 2 (.6 t - .24)^2 + 2 r t^2 is least at t = .144 / (.36 + r).
    np.testing.assert_allclose(confusion_prior(confusion, np.array([74, 26]), ridge=0.36), [0.7, 0.3], atol=1e-6)


def test_jensen_shannon_by_hand():
    # {a: 1/2, b: 1/2} against {a: 1}: H(3/4, 1/4) - H(1/2, 1/2) / 2 = 0.811278 - 0.5.
    assert jensen_shannon({"a": 5, "b": 5}, {"a": 3}) == pytest.approx(0.311278, abs=1e-6)
    assert jensen_shannon({"a": 5}, {"b": 3}) == 1
    assert jensen_shannon({"a": 5, "b": 10}, {"a": 1, "b": 2}) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon({}, {}) == 0
    assert jensen_shannon({}, {"a": 1}) == 1


def crawl(seed: int, shift: float = 0.0, share: float = 0.5, noisy: int = 10) -> CrawlStatistics:
    random = np.random.default_rng(seed)
    first = int(100 * share)
    beliefs = np.array([[0.9, 0.1]] * first + [[0.1, 0.9]] * (100 - first), np.float32)
    moments = Moments.of(random.normal(shift, 1, (100, 4)))
    counts = Counter({"cat": first, "dog": 100 - first})
    confusion = np.array([[0.9 * first, 0.1 * (100 - first)], [0.1 * first, 0.9 * (100 - first)]])  # a tenth is matched with the other
    shares = em_prior(beliefs, np.full(2, 0.5))
    return CrawlStatistics(moments, shares, confusion, counts, Counter(counts), Counter({"a.test": 100}), 100, noisy, 5)


def test_equal_crawls_do_not_drift_and_shifted_ones_do():
    same = drift_between(crawl(0), crawl(0), ridge=0)
    assert all(value == pytest.approx(0, abs=1e-6) for value in same.values())
    far = drift_between(crawl(0), crawl(1, shift=1.0, share=0.9, noisy=40), ridge=0)
    assert far["frechet"] == pytest.approx(4, rel=0.4)  # four dimensions, one apart in each
    assert far["label_shift"] == pytest.approx(0.5, abs=0.01)  # beliefs of .9 on rows of 90 %: EM says all of them
    assert far["matched_shift"] == pytest.approx(0.4)  # 90 % instead of 50 %
    assert far["concepts"] == far["words"] > 0.1
    assert far["hosts"] == 0
    assert far["noise"] == pytest.approx(0.3)
    assert far["copies"] == 0


def test_crawls_add_up():
    both = crawl(0).plus(crawl(1, share=0.9))
    assert both.decodable == 200
    assert both.concepts == {"cat": 140, "dog": 60}
    np.testing.assert_allclose(both.shares, [0.75, 0.25], atol=0.01)  # EM says .5 and 1
    assert both.moments.n == 200


def test_nothing_counted_is_no_shift():
    assert matched_shift(np.zeros((2, 2)), np.ones((2, 2)), ridge=0) == 0


def test_total_variation():
    assert total_variation(np.array([0.5, 0.5]), np.array([0.9, 0.1])) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments.of(np.zeros(3)), "not of shape"),
        (lambda: Moments.of(np.zeros((1, 2))).plus(Moments.of(np.zeros((1, 3)))), "width 2 and 3"),
        (lambda: frechet_distance(gaussian([0], [[1]]), gaussian([0, 0], [[1, 0], [0, 1]])), "can't be compared"),
        (lambda: em_prior(np.zeros((1, 3)), np.array([0.5, 0.5])), "don't fit 2 classes"),
        (lambda: em_prior(np.zeros((1, 2)), np.array([1.5, -0.5])), "negative"),
        (lambda: confusion_prior(np.ones((2, 3)), np.ones(2), ridge=0), "doesn't fit 2 classes"),
        (lambda: confusion_prior(np.zeros((2, 2)), np.ones(2), ridge=0), "no row was counted"),
        (lambda: confusion_prior(np.ones((2, 2)), np.ones(2), ridge=-1), "ridge -1"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
