"""The detectors on one planted set, within the bands that were measured elsewhere on a set of the same making.

Ten concepts of 300 unit-length rows in 64 dimensions, at three separations; 20 % of the rows are given any other concept, 10 % the next
one; 300 more rows are off-topic, under any concept. F1 is that of wrong concepts among the on-topic rows. How the off-topic rows were
drawn there isn't known. Ours are scattered and easier to find: their bands are floors. Confident learning flags less of them than there
(0.33, 0.53, 0.51), which has no test.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from tasks.methods.consensus import count_consensus, error_chances, fit_noise
from tasks.methods.label_filters import find_issues
from tasks.methods.ood_scores import SCORES, Known, OodSettings
from tasks.methods.outliers import relative_mahalanobis
from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.simifeat import RULES, Rule, rounds
from tests.tasks.methods.blobs import Blobs, make_blobs

SEPARATIONS = [1.0, 0.7, 0.5]
BAND = 0.03
# Stronger than the benchmark's 0.001, with which confident learning reaches 0.943, 0.905 and 0.847 here: 2,640 rows in 64 dimensions
# fit their own noise.
PENALTY = 0.03
SETTINGS = OodSettings(1.0, 0.1, 100, 50, 0.1, 32, 32, 20, 1.0)


@dataclass(frozen=True)
class Planted:
    """place of the separation in every band; flags (n,) bool by rule; probs (n, 10) by probes that never saw the row."""

    place: int
    rows: Blobs
    flags: dict[Rule, np.ndarray]
    probs: np.ndarray


@pytest.fixture(scope="module", params=SEPARATIONS)
def planted(request) -> Planted:
    rows = make_blobs(n_each=300, n_concepts=10, separation=request.param, noise=0.2, paired=0.1, n_off=300)
    return Planted(SEPARATIONS.index(request.param), rows, judge(rows), predict(rows))


def judge(rows: Blobs) -> dict[Rule, np.ndarray]:
    common = {"n_concepts": 10, "share": 0.9, "seed": 0}
    counted = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, n_rounds=5, n_slices=10, **common)
    noise = 1 - np.diag(error_chances(*fit_noise(counted, n_steps=1500)))
    arguments = (rows.neighbors, rows.similarities, rows.given, rows.groups, rows.weights)
    told = {"n_neighbors": 10, "n_rounds": 11, "noise": noise, **common}
    return {rule: rounds(*arguments, rule=rule, **told).noisy_chance > 0.5 for rule in RULES}


def predict(rows: Blobs) -> np.ndarray:
    targets = np.eye(10, dtype=np.float32)[rows.given]
    folds = np.arange(len(rows.given)) % 5
    return np.exp(out_of_fold_log_probs(rows.embeddings, targets, rows.weights, folds, l2=PENALTY, n_steps=60).astype(np.float64))


def wrong_f1(rows: Blobs, flags: np.ndarray) -> float:
    inside = rows.truth >= 0
    return float(f1_score((rows.given != rows.truth)[inside], flags[inside]))


def known_of(rows: Blobs, kept: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray) -> Known:
    return Known(rows.embeddings, np.zeros((len(kept), 10)), kept, rows.weights, neighbors, similarities, rows.groups, np.eye(64)[:10])


@pytest.mark.parametrize(("rule", "expected"), [("vote", [0.987, 0.976, 0.945]), ("rank", [0.966, 0.947, 0.919])])
def test_neighbours_find_wrong_concepts_as_well_as_measured(planted, rule, expected):
    assert wrong_f1(planted.rows, planted.flags[rule]) == pytest.approx(expected[planted.place], abs=BAND)


@pytest.mark.parametrize(("rule", "least"), [("vote", [0.62, 0.61, 0.58]), ("rank", [0.74, 0.72, 0.84])])
def test_neighbours_flag_at_least_the_measured_share_of_off_topic_rows(planted, rule, least):
    assert planted.flags[rule][planted.rows.truth < 0].mean() > least[planted.place] - BAND


def test_confident_learning_finds_wrong_concepts_as_well_as_measured(planted):
    found = wrong_f1(planted.rows, find_issues(planted.probs, planted.rows.given, rule="confident_learning"))
    assert found == pytest.approx([0.966, 0.949, 0.895][planted.place], abs=BAND)


def test_the_greatest_probability_ranks_off_topic_rows_at_least_as_well_as_measured(planted):
    known = replace(
        known_of(planted.rows, planted.rows.given, planted.rows.neighbors, planted.rows.similarities), logits=np.log(planted.probs)
    )
    scores = SCORES["msp"](known, SETTINGS)
    assert roc_auc_score(planted.rows.truth >= 0, scores) > [0.87, 0.81, 0.74][planted.place] - BAND


def test_kept_neighbours_rank_off_topic_rows_at_least_as_well_as_measured(planted):
    rows = planted.rows
    kept = np.where(planted.flags["vote"], -1, rows.given)
    similarity = rows.embeddings @ rows.embeddings.T
    np.fill_diagonal(similarity, -2)
    neighbors = np.argsort(-similarity, axis=1, kind="stable")[:, :400]  # 50 of them are kept, mostly
    scores = SCORES["knn"](known_of(rows, kept, neighbors, np.take_along_axis(similarity, neighbors, 1)), SETTINGS)
    assert roc_auc_score(rows.truth >= 0, scores) > [0.97, 0.92, 0.89][planted.place] - BAND


@pytest.mark.parametrize(
    ("n_clumps", "raw", "kept", "against_raw", "against_kept"),
    [(1, 0.71, 0.98, 0.996, 0.95), (5, 0.93, 0.98, 0.98, 0.92), (0, 0.97, 0.98, 0.955, 0.92)],
)
def test_a_clump_hides_in_raw_statistics_and_shows_against_the_raw_pool(n_clumps, raw, kept, against_raw, against_kept):
    rows = make_blobs(n_each=300, n_concepts=10, separation=0.5, noise=0.2, paired=0.1, n_off=300, n_clumps=n_clumps)
    agreeing = (rows.given[rows.neighbors[:, :10]] == rows.given[:, None]).mean(1) >= 0.5
    members = np.where(agreeing, rows.given, -1)  # SimiFeat's vote would keep two fifths of a clump, whose names are random
    in_raw, in_kept = (known_of(rows, m, rows.neighbors, rows.similarities) for m in (rows.given, members))
    shares = np.eye(10)[np.maximum(members, 0)] * agreeing[:, None]
    apart = relative_mahalanobis(rows.embeddings, shares, agreeing.astype(np.float64), shrinkage=SETTINGS.shrinkage)

    def found(scores: np.ndarray) -> float:
        return float(roc_auc_score(rows.truth >= 0, scores))

    assert found(SCORES["mahalanobis"](in_raw, SETTINGS)) < raw + BAND
    assert found(SCORES["mahalanobis"](in_kept, SETTINGS)) == pytest.approx(kept, abs=BAND)
    assert found(SCORES["relative_mahalanobis"](in_kept, SETTINGS)) == pytest.approx(against_raw, abs=BAND)
    assert found(apart) == pytest.approx(against_kept, abs=BAND)
    assert found(SCORES["relative_mahalanobis"](in_kept, SETTINGS)) > found(apart) + 0.01
