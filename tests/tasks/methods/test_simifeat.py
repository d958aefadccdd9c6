"""SimiFeat by hand, on blobs, and where there is nothing to count."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tasks.methods.consensus import count_consensus, error_chances, fit_noise
from tasks.methods.simifeat import label_counts, long_tail_scores, rank_flags, rounds, vote_flags
from tests.tasks.methods.blobs import Blobs, make_blobs

SETTINGS = {"n_concepts": 5, "n_neighbors": 10, "n_rounds": 11, "share": 0.9, "seed": 0}


def judge(rows: Blobs, rule: str, **changes: object):
    arguments = {**SETTINGS, "rule": rule, **changes}
    if rule == "rank" and "noise" not in changes:
        counting = {"n_concepts": arguments["n_concepts"], "n_rounds": 5, "share": 0.9, "n_slices": 100, "seed": 0}
        counted = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **counting)
        arguments["noise"] = 1 - np.diag(error_chances(*fit_noise(counted, n_steps=1000)))
    return rounds(rows.neighbors, rows.similarities, rows.given, rows.groups, rows.weights, **arguments)


def test_counts_by_hand():
    neighbors = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [-1, -1, -1]])
    similarities = np.array([[0.9, 0.6, 0.3], [0.9, 0.5, 0.1], [0.6, 0.5, 0.2], [0, 0, 0]])
    given = np.array([0, 0, 1, 1])
    counts = label_counts(neighbors, similarities, given, np.arange(4), np.ones(4, bool), n_concepts=2, n_neighbors=3)
    # Row 0: a neighbour of its own concept (.9), one of the other (.6), and itself at 2 * .9 - .6, which ends at 1.
    assert counts[0] == pytest.approx(np.array([1.9, 0.6]) / np.hypot(1.9, 0.6))
    # Row 2: two neighbours of the other concept (.6, .5), itself at .7; the third neighbour is one too many.
    assert counts[2] == pytest.approx(np.array([1.1, 0.7]) / np.hypot(1.1, 0.7))
    assert counts[3].tolist() == [0, 0]
    assert vote_flags(counts, given).tolist() == [False, False, True, False]
    alone = label_counts(neighbors, similarities, given, np.zeros(4, int), np.ones(4, bool), n_concepts=2, n_neighbors=3)
    assert not alone.any()


def test_rank_flags_the_least_supported_share_of_each_concept():
    counts = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8], [0.8, 0.2], [0.2, 0.8]])
    given = np.array([0, 0, 0, 1, 1, -1])
    flags = rank_flags(counts, given, np.array([0.34, 0.2]), np.ones(6, bool))
    assert flags.tolist() == [False, False, True, False, False, False]  # a third of three, and two fifths of one
    assert rank_flags(counts, given, np.array([0.67, 1.2]), np.ones(6, bool)).tolist() == [False, True, True, True, True, False]
    assert not rank_flags(np.full((4, 1), 0.5), np.zeros(4, int), np.array([0.25]), np.ones(4, bool)).any()


def test_rows_that_have_no_vote_are_held_to_the_voters_limit():
    counts = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8], [0.0, 1.0], [0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
    given, voters, noise = np.array([0, 0, 0, 0, 0, 0, 0, 1]), np.arange(8) < 4, np.array([0.5, 0.5])
    # Of four voters the two of least support are flagged, up to 0.2; below and at it others are, above it none, nor without voters.
    assert rank_flags(counts, given, noise, voters).tolist() == [False, False, True, True, True, True, False, False]
    # Two voters at 0.1 and room for one: the tie goes free, and so do those who share it.
    counts[3] = counts[2]
    assert rank_flags(counts, given, np.array([0.25, 0.5]), voters).tolist() == [False, False, False, False, True, False, False, False]


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("rule", ["vote", "rank"])
def test_copies_of_no_weight_change_no_other_rows_flag_vote_and_rank(rule, share):
    rows, settings = make_blobs(n_each=40), {**SETTINGS, "rule": rule, "noise": np.linspace(0.1, 0.5, 5)}
    rng = np.random.default_rng(3)
    twins = rng.permutation(200)[: int(200 * share)]
    whose = np.concatenate([np.arange(200), twins, twins])
    # Half of the copies came under the same concept, half under another one.
    given = np.concatenate([rows.given, rows.given[twins], (rows.given[twins] + rng.integers(1, 5, len(twins))) % 5])
    similarity = rows.embeddings[whose] @ rows.embeddings[whose].T - 3 * np.eye(len(whose))
    neighbors = np.argsort(-similarity, axis=1, kind="stable")[:, :120]
    near = np.take_along_axis(similarity, neighbors, 1)
    alone = rounds(rows.neighbors, rows.similarities, rows.given, rows.groups, rows.weights, **settings)
    found = rounds(neighbors, near, given, rows.groups[whose], np.where(np.arange(len(whose)) < 200, 1.0, 0.0), **settings)
    assert found.noisy_chance[:200].tolist() == alone.noisy_chance.tolist()
    assert found.suggested[:200].tolist() == alone.suggested.tolist()
    assert found.confidence[:200].tolist() == alone.confidence.tolist()
    same, other = found.noisy_chance[200 : 200 + len(twins)], found.noisy_chance[200 + len(twins) :]
    assert (other > 0.5).mean() > 0.6 > 0.5 > (same > 0.5).mean() > 0  # the copies are judged, by what they came under


@pytest.mark.parametrize(("separation", "least"), [(1.0, 0.93), (0.5, 0.85)])
@pytest.mark.parametrize("rule", ["vote", "rank"])
def test_planted_errors_are_found(separation, least, rule):
    rows = make_blobs(n_each=200, separation=separation, noise=0.25)
    found = judge(rows, rule)
    wrong = rows.given != rows.truth
    assert f1_score(wrong, found.noisy_chance > 0.5) > least
    assert (found.suggested[wrong] == rows.truth[wrong]).mean() > least
    assert (found.suggested != rows.given).all()
    assert found.confidence[wrong].mean() > 2 * found.confidence[~wrong].mean()


def test_a_wrong_sense_that_fills_most_of_a_concept_is_not_seen():
    rows = make_blobs(n_each=100, n_concepts=6, noise=0.0)
    given = np.where(rows.truth == 5, 0, rows.truth)  # concept 0 holds a second blob; nobody names it otherwise
    found = rounds(rows.neighbors, rows.similarities, given, rows.groups, rows.weights, rule="vote", **SETTINGS)
    assert (found.noisy_chance[rows.truth == 5] > 0.5).mean() < 0.05


def test_the_order_of_the_rows_does_not_matter():
    rows = make_blobs(n_each=40)
    order = np.random.default_rng(1).permutation(len(rows.given))
    first = judge(rows, "rank", noise=np.full(5, 0.2))
    arguments = (np.argsort(order)[rows.neighbors[order]], rows.similarities[order], rows.given[order], rows.groups[order], rows.weights)
    second = rounds(*arguments, rule="rank", noise=np.full(5, 0.2), **SETTINGS)
    assert second.noisy_chance == pytest.approx(first.noisy_chance[order], abs=1e-9)


@pytest.mark.parametrize("n_concepts", [1, 2])
def test_little_gives_answers(n_concepts):
    given = np.array([0, n_concepts - 1, -1])
    arguments = (np.zeros((3, 0), np.int64), np.zeros((3, 0)), given, np.arange(3), np.ones(3))
    found = rounds(*arguments, rule="rank", noise=np.zeros(n_concepts), **{**SETTINGS, "n_concepts": n_concepts})
    assert np.isfinite(found.noisy_chance).all()
    assert found.suggested.max() < n_concepts


def test_rank_without_noise_is_refused():
    rows = make_blobs(n_each=5)
    with pytest.raises(ValueError, match="rule 'rank' needs the noise of every concept: give `noise`, or use rule 'vote'"):
        judge(rows, "rank", noise=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "max"}, "rule 'max' is unknown: use vote or rank"),
        ({"n_rounds": 0}, "n_rounds 0, share 0.9: judge in 1 round or more, by a share above 0 and up to 1"),
        ({"share": 1.5}, "n_rounds 11, share 1.5: judge in 1 round or more"),
        ({"rule": "rank", "noise": np.full(2, 0.2)}, r"noise of shape \(2,\) for 5 concepts: give one share for each"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        judge(make_blobs(n_each=5), **{"rule": "vote", **changes})


def test_rare_patterns_come_last():
    near = np.array([[1.0, 1.0, -1.0], [0.9, 0.7, 0.0], [-1.0, -1.0, 1.0], [0.4, 0.0, 0.0], [0.0, 0.0, 0.0]])
    neighbors = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, -1, -1], [-1, -1, -1]])
    # Mean distances to two neighbours: 0, 0.2, 2; to a single one: 0.6.
    assert long_tail_scores(near, neighbors, n_neighbors=2) == pytest.approx([1, 0.9003, 0.2384, 0.7087, 0], abs=5e-5)
