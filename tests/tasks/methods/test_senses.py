"""Other senses of a word: who has a say, and what is said of the rows."""

import numpy as np
import pytest

from tasks.methods import blocks
from tasks.methods.senses import Rivals, Senses, least_correlation, other_senses, split_targets

DEFINITION, RIVAL, ELSEWHERE = np.eye(4, dtype=np.float32)[[0, 1, 2]]
RULE = {"min_agreement": 0.3, "confidence": 0.9}


def made(n: int = 200, other: float = 0.7, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(shows the other sense, embeddings, texts, has_text) of n rows of one word."""
    rng = np.random.default_rng(seed)
    shows = rng.random(n) < other
    centre = np.where(shows[:, None], RIVAL, DEFINITION)
    embeddings, texts = (centre + rng.normal(0, 0.4, (n, 4)) for _ in range(2))
    embeddings, texts = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (embeddings, texts))
    return shows, embeddings, texts, rng.random(n) < 0.6


def judged(rows: tuple[np.ndarray, ...], vectors: np.ndarray, **changes: np.ndarray) -> Senses:
    _, embeddings, texts, has_text = rows
    n = len(embeddings)
    rivals = Rivals(
        np.where(has_text[:, None], texts, 0), has_text, np.stack([DEFINITION, ELSEWHERE]), vectors, np.zeros(len(vectors), int)
    )
    told = {"given": np.zeros(n, int), "believed": np.zeros(n, int), "weights": np.ones(n)} | changes
    return other_senses(embeddings, told["given"], told["believed"], told["weights"], rivals, **RULE)


def test_pictures_and_texts_that_agree_tell_the_senses_apart():
    rows = made()
    found = judged(rows, RIVAL[None])
    assert found.agreement[0] > 0.5
    assert ((found.chances > 0.5) == rows[0]).mean() > 0.9
    assert np.maximum(found.chances, 1 - found.chances).mean() == pytest.approx(0.9, abs=0.01)


def test_an_encoder_that_has_never_met_the_distractor_gives_it_no_say():
    """The rival lies where no text and no picture of it does: within one sense pictures and texts scatter apart."""
    found = judged(made(other=0.0), RIVAL[None])
    assert found.agreement[0] < 0.2
    assert np.isnan(found.chances).all()


def test_rows_that_show_another_concept_make_no_sense_of_a_distractor():
    """Half of the rows show the other concept, in image and text. Both are unlike the definition; that is no word for a distractor."""
    rng = np.random.default_rng(0)
    elsewhere = rng.random(400) < 0.5
    centre = np.where(elsewhere[:, None], ELSEWHERE, DEFINITION)
    embeddings, texts = (centre + rng.normal(0, 0.3, (400, 4)) for _ in range(2))
    embeddings, texts = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (embeddings, texts))
    rows = (elsewhere, embeddings, texts, np.ones(400, bool))
    assert judged(rows, RIVAL[None]).agreement[0] > 0.3
    told = judged(rows, RIVAL[None], believed=elsewhere.astype(int))
    assert told.agreement[0] < 0.3
    assert len(told.concepts) == 0


def test_of_two_rivals_only_the_one_that_shows_is_heard():
    nowhere = np.eye(4, dtype=np.float32)[3]
    found, alone = judged(made(), np.stack([RIVAL, nowhere])), judged(made(), RIVAL[None])
    assert found.concepts.tolist() == alone.concepts.tolist() == [0]
    assert found.agreement[0] == alone.agreement[0] > found.agreement[1]


def test_rows_of_another_concept_of_none_and_of_no_weight():
    rows = made()
    given = np.where(np.arange(200) % 4 == 3, -1, 0)
    found = judged(rows, RIVAL[None], given=given)
    assert np.isnan(found.chances[given < 0]).all()
    assert np.isfinite(found.chances[given == 0]).all()
    idle = np.where(np.arange(200) % 2 == 0, 1.0, 0.0)
    shaped = judged(rows, RIVAL[None], weights=idle)
    turned = tuple(np.where((idle > 0)[:, None], part, part[::-1]) if part.ndim == 2 else part for part in rows)
    assert judged(turned, RIVAL[None], weights=idle).agreement == pytest.approx(shaped.agreement)


def test_few_texts_and_no_rivals_say_nothing():
    shows, embeddings, texts, _ = made(30)
    silent = judged((shows, embeddings, texts, np.arange(30) < 9), RIVAL[None])
    assert np.isnan(silent.agreement).all()
    assert np.isnan(silent.chances).all()
    nobody = judged(made(30), np.zeros((0, 4), np.float32))
    assert len(nobody.agreement) == 0
    assert np.isnan(nobody.chances).all()


def test_least_correlation():
    rng = np.random.default_rng(0)
    first = rng.normal(size=500)
    second = 0.5 * first + np.sqrt(0.75) * rng.normal(size=500)
    lower = [least_correlation(first[:n], second[:n]) for n in (20, 100, 500)]
    assert lower[2] == pytest.approx(np.tanh(np.arctanh(np.corrcoef(first, second)[0, 1]) - 1.645 / np.sqrt(497)))
    assert lower[0] < lower[2] < 0.5
    assert least_correlation(np.ones(20), first[:20]) == 0.0
    assert least_correlation(first[:20], first[:20]) > 0.99
    assert np.isnan(least_correlation(first[:9], second[:9]))


def test_targets_are_divided_between_the_senses():
    targets = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    given, agreement = np.array([0, 1, 0]), np.zeros(0)
    split = split_targets(targets, given, Senses(np.array([0]), np.array([0.7, np.nan, 0.0]), agreement))
    assert split == pytest.approx(np.array([[0.3, 0, 0.7], [0, 1, 0], [1, 0, 0]], np.float32))
    assert split.dtype == np.float32
    assert split_targets(targets, given, Senses(np.zeros(0, int), np.full(3, np.nan), agreement)).tolist() == targets.tolist()


def test_blocks_change_nothing(monkeypatch):
    whole = judged(made(), RIVAL[None])
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    parts = judged(made(), RIVAL[None])
    assert parts.agreement == pytest.approx(whole.agreement)
    assert parts.chances == pytest.approx(whole.chances)
