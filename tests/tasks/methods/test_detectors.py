"""Detectors on five rows by hand, and on blobs with a clump that is off-topic."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.contracts.scores import CONTRACT as SCORES
from tasks.methods.detectors import Detected, Graph, detect
from tasks.methods.posterior import Beliefs
from tasks.methods.text_evidence import WordModel

WORDS = WordModel(np.ones((4, 1)), np.zeros((1, 4)), np.ones(1), 0.3)
# Three concepts and none of them; the last row is one of the test split.
IMAGE = np.array([[0.5, 0.2, 0.1, 0.2], [0.4, 0.2, 0.2, 0.2], [0.1, 0.6, 0.1, 0.2], [0.1, 0.6, 0.1, 0.2], [0.1, 0.6, 0.1, 0.2]])
POSTERIOR = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0.5], [0, 1, 0, 0], [0, 1, 0, 0]], float)
GIVEN = np.array([0, 0, 0, 1, 0])
WEIGHTS = np.array([1, 1, 1, 1, 0], float)
NEIGHBORS = np.array([[1, 3], [0, 3], [3, 4], [2, 0], [3, 2]])
SIMILARITIES = np.array([[0.9, 0.3], [0.9, 0.1], [0.8, 0.8], [0.8, 0.3], [0.8, 0.4]])
GRAPH = Graph(NEIGHBORS, SIMILARITIES, np.arange(5))
EMBEDDINGS = np.random.default_rng(0).normal(size=(5, 3))


def beliefs(image: np.ndarray, posterior: np.ndarray) -> Beliefs:
    n_concepts = image.shape[1] - 1
    even = np.full((n_concepts + 1, n_concepts), 1 / n_concepts)
    return Beliefs(posterior, posterior, posterior, image, even, posterior.mean(0), WORDS, 1.0, 1.0, 1.0)


def scores(**changes: object) -> Detected:
    arguments = {"given": GIVEN, "judged": GIVEN, "graph": GRAPH, "embeddings": EMBEDDINGS, "weights": WEIGHTS, **changes}
    return detect(arguments.pop("beliefs", beliefs(IMAGE, POSTERIOR)), **arguments, shrinkage=0.1)


def test_five_rows_by_hand():
    found = scores()
    assert found.probe_score == pytest.approx([0.625, 0.5, 0.125, 0.75, 0.125])
    assert found.confident_score == pytest.approx([0.6875, 0.625, 0.1875, 0.8125, 0.1875])
    # The test row neither votes (its vote would lift row 2 to a half) nor is an issue, though its image says what row 2's says.
    assert found.vote_score == pytest.approx([0.75, 0.9, 0.0, 0.0, 1 / 3])
    assert found.is_label_issue.tolist() == [False, False, True, False, False]
    # Trusted similarities 0.6, 0.5, 0.4, 0.35 and, for the test row, 0.5: row 2 is trusted by half.
    assert found.knn_ood_score == pytest.approx([0.875, 0.625, 0.375, 0.125, 0.625])


def test_scores_stand_in_the_order_of_the_table():
    assert list(Detected._fields) == SCORES.schema.names[-len(Detected._fields) :]
    found = scores()
    assert all(0 <= score.min() <= score.max() <= 1 for score in found)
    assert found.is_label_issue.dtype == bool


def test_a_row_without_a_given_concept_is_judged_by_another_and_is_no_issue():
    found = scores(given=np.array([0, 0, -1, 1, 0]), judged=np.array([0, 0, 1, 1, 0]))
    assert found.probe_score[2] == pytest.approx(0.75)
    assert found.vote_score[2] == pytest.approx(1.0)
    assert not found.is_label_issue.any()


def test_own_copies_have_no_say():
    found = scores(graph=Graph(NEIGHBORS, SIMILARITIES, np.array([0, 0, 1, 2, 3])))
    assert found.vote_score[:2] == pytest.approx([0.0, 0.0])
    assert found.knn_ood_score[1] < scores().knn_ood_score[1]


def blobs() -> dict[str, object]:
    """Two concepts at two corners and a clump of off-topic rows at a third; every tenth row is of the test split."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [60, 60, 20])
    embeddings = np.eye(3)[truth] + rng.normal(0, 0.1, (140, 3))
    similarity = embeddings @ embeddings.T - 10 * np.eye(140)
    neighbors = np.argsort(-similarity, axis=1)[:, :5]
    given = np.where(truth == 2, rng.integers(0, 2, 140), truth)
    graph = Graph(neighbors, np.clip(np.take_along_axis(similarity, neighbors, 1), 0, 1), np.arange(140))
    weights = (np.arange(140) % 10 > 0).astype(float)
    chances = 0.05 + 0.85 * np.eye(3)[truth]
    known = {"given": given, "judged": given, "graph": graph, "embeddings": embeddings, "weights": weights}
    return {"truth": truth, "beliefs": beliefs(chances, chances), **known}


def test_an_off_topic_clump_comes_last():
    rows = blobs()
    off_topic = rows.pop("truth") == 2
    found = scores(**rows)
    for score in (found.knn_ood_score, found.mahalanobis_score):
        assert score[off_topic].mean() < 0.15
        assert score[~off_topic].mean() > 0.5


def test_rows_of_no_weight_shape_nothing():
    rows = blobs()
    del rows["truth"]
    first, idle = scores(**rows), rows["weights"] == 0
    given = np.where(idle, 1 - rows["given"], rows["given"])
    chances = np.where(idle[:, None], rows["beliefs"].image[:, [1, 0, 2]], rows["beliefs"].image)
    changed = replace(rows["beliefs"], image=chances, posterior=chances)
    moved = np.where(idle[:, None], 7.0, rows["embeddings"])
    second = scores(**rows | {"beliefs": changed, "given": given, "judged": given, "embeddings": moved})
    for one, other in zip(first, second, strict=True):
        assert one[~idle] == pytest.approx(other[~idle])
    assert first.mahalanobis_score[idle] != pytest.approx(second.mahalanobis_score[idle])
