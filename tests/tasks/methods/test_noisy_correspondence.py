"""Pairs of image and text: the formulas by hand, planted mismatches, when nobody is accused, and the edges."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.methods.noisy_correspondence import (
    JudgedPairs,
    PairSettings,
    caption_kinds,
    distinct_rows,
    donated_captions,
    judge_pairs,
    pair_losses,
    refined_correspondence,
    soft_margins,
)
from tasks.methods.open_set import auroc
from tasks.methods.prototypes import normalized

SETTINGS = PairSettings(
    batch_size=128, n_shuffles=4, scale=20.0, n_kinds=16, n_donors=5, min_separation=1.5, max_margin=0.2, l2=0.01, n_steps=40
)
N = 600


def pairs(noise: float = 0.25, seed: int = 0, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images, texts (n, 32), wrong (n,)): eight topics, each pair with something of its own; wrong texts are another pair's."""
    rng = np.random.default_rng(seed)
    topics = normalized(rng.normal(size=(8, 32)))
    meant = normalized(topics[rng.integers(0, 8, n)] + 0.5 * normalized(rng.normal(size=(n, 32))))
    images, texts = (normalized(meant + 0.3 * normalized(rng.normal(size=(n, 32)))) for _ in range(2))
    wrong = rng.random(n) < noise
    places = np.arange(n)
    places[wrong] = np.roll(places[wrong], 1)
    return images, texts[places], wrong & (places != np.arange(n))


def judge(images: np.ndarray, texts: np.ndarray, settings: PairSettings = SETTINGS, seed: int = 0, **changes: np.ndarray) -> JudgedPairs:
    n = len(images)
    similarity = images @ images.T - 3 * np.eye(n)
    neighbors = np.argsort(-similarity, axis=1, kind="stable")[:, : min(20, n - 1)]
    given = {
        "has_text": np.ones(n, bool), "groups": np.arange(n), "neighbors": neighbors, "folds": np.arange(n) % 3,
        "similarities": np.take_along_axis(similarity, neighbors, 1), "weights": np.ones(n), **changes,
    }  # fmt: skip
    return judge_pairs(images, texts, **given, settings=settings, seed=seed)


def test_the_formulas_by_hand():
    clean, stable = np.array([1.0, 0.8, 0.8, 0.3, 0.3]), np.array([0.0, 0.9, 0.4, 0.9, 0.1])
    assert refined_correspondence(clean, stable) == pytest.approx([1.0, 0.8 + 0.2 * 0.9, 0.8, 0.7 * 0.9, 0.0])
    assert soft_margins(np.array([0.0, 0.5, 1.0]), largest=0.2) == pytest.approx([0.0, 0.2 * (10**0.5 - 1) / 9, 0.2])


def test_the_loss_of_two_pairs_by_hand():
    images, texts = np.eye(2), np.array([[1.0, 0.0], [0.6, 0.8]])
    one = replace(SETTINGS, scale=1.0)
    told = np.array([[1.0, 0.6], [0.0, 0.8]])
    by_image = np.log(np.exp(told).sum(1)) - told.diagonal()
    by_text = np.log(np.exp(told).sum(0)) - told.diagonal()
    assert pair_losses(images, texts, np.arange(2), settings=one, seed=0) == pytest.approx((by_image + by_text) / 2)
    # Copies of an image are no negatives of each other, and equal texts neither: nothing is left to be confused with.
    assert pair_losses(images, texts, np.zeros(2, int), settings=one, seed=0) == pytest.approx([0, 0])
    assert pair_losses(images, texts[[0, 0]], np.arange(2), settings=one, seed=0) == pytest.approx([0, 0])


def test_planted_mismatches_are_found():
    images, texts, wrong = pairs()
    found = judge(images, texts)
    assert auroc(found.score, ~wrong) > 0.95
    assert ((found.clean <= 0.5) == wrong).mean() > 0.9
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert found.score[found.clean > 0.5].min() > 0.5 >= found.score[found.clean <= 0.5].max()
    assert (found.margins <= 0.2).all()


def test_noisy_images_get_captions_that_fit_them_better():
    images, texts, wrong = pairs()
    found = judge(images, texts)
    given = wrong & (found.clean <= 0.5) & (found.correspondence > 0)
    assert 0.3 < given.sum() / wrong.sum() < 0.8  # half of the clean ones are nearer to their donors, by construction
    assert (images * found.captions).sum(1)[given].mean() > (images * texts).sum(1)[given].mean() + 0.3
    assert np.linalg.norm(found.captions[given], axis=1) == pytest.approx(1, abs=1e-5)
    none = (found.clean <= 0.5) & (found.correspondence == 0)
    assert (found.captions[none] == 0).all()
    assert (found.margins[none] == 0).all()
    assert np.array_equal(found.captions[found.clean > 0.5], texts[found.clean > 0.5].astype(np.float32))


def test_where_all_pairs_fit_nobody_is_accused():
    images, texts, _ = pairs(noise=0.0)
    found = judge(images, texts, replace(SETTINGS, min_separation=2.5))
    assert (found.score == 1).all()
    assert np.array_equal(found.captions, texts.astype(np.float32))


def test_donors_by_hand():
    texts = np.eye(5, dtype=np.float32)
    clean, kinds = np.array([True, True, True, False, False]), np.zeros(5, int)
    neighbors = np.array([[1, 2], [0, 2], [0, 1], [0, 1], [3, -1]])
    similarities = np.array([[0.6, 0.6], [0.6, 0.6], [0.6, 0.6], [0.9, 0.3], [0.9, 0.9]])
    captions, correspondence = donated_captions(texts, clean, kinds, neighbors, similarities, n_donors=2)
    # Row 3 hears rows 0 and 1 as 3 to 1: its mean similarity (0.81 + 0.09) / 1.2 passes the clean ones' 0.6. Row 4 has no clean neighbour.
    assert captions[3] == pytest.approx(np.array([3, 1, 0, 0, 0]) / 10**0.5)
    assert correspondence == pytest.approx([0, 0, 0, 0.75, 0])
    assert (captions[4] == 0).all()
    nearest, _ = donated_captions(texts, clean, kinds, neighbors, similarities, n_donors=1)
    assert nearest[3] == pytest.approx(texts[0])
    refused, _ = donated_captions(texts, clean, kinds, neighbors, similarities * [[1], [1], [1], [0.5], [1]], n_donors=2)
    assert (refused[3] == 0).all()
    nobody, _ = donated_captions(texts, ~clean & clean, kinds, neighbors, similarities, n_donors=2)
    assert (nobody == 0).all()


def test_pairs_without_text_are_left_open_and_change_no_other():
    images, texts, _ = pairs()
    has_text = np.arange(N) % 4 != 0
    blank = np.where(has_text[:, None], texts, 0).astype(np.float32)
    found, other = judge(images, blank, has_text=has_text), judge(images, texts, has_text=has_text)
    assert (found.score[~has_text] == 0.5).all()
    assert found.score.tolist() == other.score.tolist()


def test_the_same_pairs_and_seed_give_the_same_scores_and_another_order_nearly():
    images, texts, wrong = pairs()
    first, again = judge(images, texts), judge(images, texts)
    assert first.score.tolist() == again.score.tolist()
    order = np.random.default_rng(3).permutation(N)
    turned = judge(images[order], texts[order])
    assert ((turned.clean > 0.5) == (first.clean > 0.5)[order]).mean() > 0.95
    assert auroc(turned.score, ~wrong[order]) == pytest.approx(auroc(first.score, ~wrong), abs=0.03)


def test_kinds_are_few_and_follow_the_captions():
    _, texts, _ = pairs(noise=0.0)
    kinds = caption_kinds(texts, n_kinds=16, seed=0)
    assert set(kinds) == set(range(kinds.max() + 1))
    assert len(set(kinds)) <= 16
    assert caption_kinds(np.repeat(texts[:1], 9, axis=0), n_kinds=16, seed=0).tolist() == [0] * 9
    repeated = caption_kinds(np.concatenate([texts, texts]), n_kinds=16, seed=0)
    assert np.array_equal(repeated[:N], repeated[N:])
    assert distinct_rows(np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]])).tolist() in ([0, 1, 0], [1, 0, 1])


@pytest.mark.parametrize("n", [1, 2, 7])
def test_few_pairs_equal_embeddings_and_no_text_at_all(n):
    same = np.full((n, 4), 0.5, np.float32)
    found = judge(same, same)
    assert (found.score == 1).all()
    assert (judge(same, same, has_text=np.zeros(n, bool)).score == 0.5).all()
    images, texts, _ = pairs(n=n)
    assert np.isfinite(judge(images, texts).score).all()


def test_rows_of_no_weight_teach_no_probe():
    images, texts, wrong = pairs()
    weights = np.where(np.arange(N) % 5 == 0, 0.0, 1.0)
    found = judge(images, texts, weights=weights, folds=np.where(weights > 0, np.arange(N) % 3, -1))
    assert auroc(found.score, ~wrong) > 0.95
    assert np.isfinite(judge(images, texts, weights=np.zeros(N)).score).all()


def test_what_is_no_pair_is_refused():
    images, texts, _ = pairs(n=8)
    with pytest.raises(ValueError, match=r"images \(8, 32\) and texts \(8, 31\) must be pairs of one width"):
        judge(images, texts[:, :31])
    with pytest.raises(ValueError, match="all arrays 8 rows long"):
        judge(images, texts, weights=np.ones(7))
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        judge(images, texts * np.nan)
