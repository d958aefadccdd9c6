"""Every score finds off-topic rows among blobs, stays in its range, and has an answer where there is nothing to go by."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.methods.ood_scores import SCORES, Known, OodSettings, distance_scores, mixture, nearest_neighbor, neighbor_distance
from tests.tasks.methods.blobs import make_blobs

SETTINGS = OodSettings(1.0, 0.1, 100, 10, 0.1, 8, 16, 10, 1.0)


def known_blobs(clump: bool = False) -> tuple[Known, np.ndarray]:
    rows = make_blobs(n_off=100, noise=0.0)
    embeddings = rows.embeddings.copy()
    if clump:  # the off-topic rows lie in one heap instead of everywhere
        embeddings[rows.truth < 0] = 0.8 * np.eye(64)[0] + 0.2 * embeddings[rows.truth < 0]
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T - 3 * np.eye(len(embeddings))
    neighbors = np.argsort(-similarity, axis=1, kind="stable")[:, :50]
    centres = np.stack([embeddings[rows.truth == concept].mean(0) for concept in range(5)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    near = np.take_along_axis(similarity, neighbors, 1)
    known = Known(embeddings, 10 * embeddings @ centres.T, rows.truth, rows.weights, neighbors, near, rows.groups, centres)
    return known, rows.truth >= 0


@pytest.mark.parametrize("name", SCORES)
def test_scattered_off_topic_rows_score_low(name):
    known, inside = known_blobs()
    scores = SCORES[name](known, SETTINGS)
    assert scores.shape == inside.shape
    assert 0 <= scores.min() <= scores.max() <= 1
    assert roc_auc_score(inside, scores) > 0.93


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis", "vim", "gmm", "knn", "neighbor_distance", "prototype"])
def test_a_clump_that_is_not_kept_scores_low(name):
    known, inside = known_blobs(clump=True)
    assert roc_auc_score(inside, SCORES[name](known, SETTINGS)) > 0.97


def test_a_clump_inside_the_statistics_hides():
    known, inside = known_blobs(clump=True)
    taken_in = replace(known, members=np.where(inside, known.members, 0))
    clean = roc_auc_score(inside, SCORES["mahalanobis"](known, SETTINGS))
    assert roc_auc_score(inside, SCORES["mahalanobis"](taken_in, SETTINGS)) < clean - 0.1


@pytest.mark.parametrize("name", SCORES)
def test_the_order_of_the_rows_does_not_matter(name):
    known, _ = known_blobs()
    order = np.random.default_rng(0).permutation(len(known.members))
    place = np.argsort(order)
    moved = Known(
        known.embeddings[order], known.logits[order], known.members[order], known.weights[order], place[known.neighbors[order]],
        known.similarities[order], known.groups[order], known.texts,
    )  # fmt: skip
    assert SCORES[name](moved, SETTINGS) == pytest.approx(SCORES[name](known, SETTINGS)[order], abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("kept", [0, 1, 6])
def test_equal_embeddings_and_few_kept_rows_give_answers(name, kept):
    x = np.full((6, 4), 0.5)
    members = np.where(np.arange(6) < kept, np.arange(6) % 2, -1)  # two concepts, the second one empty when one row is kept
    graph = (np.full((6, 3), -1), np.zeros((6, 3)))
    scores = SCORES[name](Known(x, np.zeros((6, 2)), members, np.ones(6), *graph, np.arange(6), x[:2]), SETTINGS)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) == pytest.approx(0)


@pytest.mark.parametrize("name", SCORES)
def test_rows_of_no_weight_shape_nothing(name):
    known, _ = known_blobs()
    weights = np.where(np.arange(len(known.members)) % 4 == 0, 0.0, 1.0)
    idle = replace(known, weights=weights)
    wrong = np.where(weights > 0, known.members, 0)
    moved = np.where(weights[:, None] > 0, known.embeddings, np.eye(64)[3])
    other = replace(idle, members=wrong, embeddings=moved)
    assert SCORES[name](other, SETTINGS)[weights > 0] == pytest.approx(SCORES[name](idle, SETTINGS)[weights > 0])


def test_the_kth_kept_neighbour_counts():
    neighbors, near = np.array([[1, 2, 3], [0, 2, 3], [3, 1, 0], [2, 1, 0]]), np.array([[0.9, 0.6, 0.5], [0.9, 0.7, 0.4], [0.8, 0.7, 0.6],
                                                                                       [0.8, 0.4, 0.5]])  # fmt: skip
    known = Known(np.eye(4), np.zeros((4, 2)), np.array([0, 0, 1, -1]), np.ones(4), neighbors, near, np.arange(4), np.eye(4)[:2])
    # Second kept neighbours: 0.6, 0.7, 0.6, 0.4; ranks among the three kept rows.
    assert nearest_neighbor(known, replace(SETTINGS, n_neighbors=2)) == pytest.approx([1 / 3, 5 / 6, 1 / 3, 0])
    # Mean distances to the first two of them: 0.25, 0.2, 0.35, 0.4; the kept rows' median is 0.25.
    assert neighbor_distance(known, replace(SETTINGS, n_neighbors=2)) == pytest.approx(np.exp([-1.0, -0.8, -1.4, -1.6]))


def test_the_mixture_is_scikit_learns():
    from sklearn.mixture import GaussianMixture

    known, _ = known_blobs()
    ours = mixture(known, replace(SETTINGS, shrinkage=0.0, n_dims=6, n_steps=60))
    x = known.embeddings
    centred = x - x[known.kept].mean(0)
    spread, directions = np.linalg.eigh(np.cov(centred[known.kept].T, bias=True))
    latents = centred @ directions[:, ::-1][:, :6] / np.sqrt(spread[::-1][:6])
    means = np.stack([latents[known.members == concept].mean(0) for concept in range(5)])
    theirs = GaussianMixture(5, covariance_type="tied", means_init=means, tol=1e-9, max_iter=60).fit(latents[known.kept])
    assert np.corrcoef(np.argsort(np.argsort(ours)), np.argsort(np.argsort(theirs.score_samples(latents))))[0, 1] > 0.99


def test_datalabs_scores_by_hand():
    distances = np.array([0.1, 0.2, 0.3, 0.9])
    assert distance_scores(distances, np.ones(4, bool)) == pytest.approx([0.6703, 0.4493, 0.3012, 0.0273], abs=5e-5)
    assert distance_scores(distances, np.array([True, False, False, False])) == pytest.approx(np.exp(-10 * distances))
    assert distance_scores(np.array([0.0, 1e-9, 1.0]), np.array([True, True, False])) == pytest.approx([1, 1, 0])


def test_the_mean_distance_is_cleanlabs():
    from cleanlab.outlier import OutOfDistribution

    known, _ = known_blobs()
    everyone = replace(known, members=np.zeros(len(known.members), np.int64))
    theirs = OutOfDistribution({"k": 10}).fit_score(features=known.embeddings, verbose=False)
    assert neighbor_distance(everyone, SETTINGS) == pytest.approx(theirs, abs=1e-6)
