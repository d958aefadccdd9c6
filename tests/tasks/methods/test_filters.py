"""Other people's filters: who stays, by hand."""

import numpy as np

from tasks.methods.filters import basic, captioned, clip_score, image_based, spherical_clusters, text_based


def test_basic_asks_for_words_characters_and_size() -> None:
    texts = ["a red barn owl", "a red barn owl", "a red barn owl", "owl", "a b c", ""]
    widths, heights = np.array([300, 300, 300, 300, 300, 300]), np.array([300, 90, 199, 300, 300, 300])
    how = {"min_words": 3, "min_characters": 6, "min_side": 200, "max_aspect_ratio": 3.0}
    assert basic(texts, widths, heights, **how).tolist() == [True, False, False, False, False, False]
    assert basic(texts, widths, heights, **how | {"min_side": 50}).tolist() == [True, False, True, False, False, False]
    assert captioned(["  ab  cd ", "ab"], min_words=2, min_characters=5).tolist() == [True, False]


def test_text_based_asks_for_a_whole_word() -> None:
    texts = ["A Barn Owl at night", "owls", "barn-owl", "the sea gull", "seagull", ""]
    assert text_based(texts, ["owl", "sea gull"]).tolist() == [True, False, True, True, False, False]
    assert text_based(texts, []).tolist() == [False] * 6
    assert text_based(["a (b) c"], ["(b)"]).tolist() == [True]


def test_clip_score_keeps_a_share_of_all_with_its_ties() -> None:
    similarities = np.array([0.1, 0.4, np.nan, 0.3, 0.3, 0.2, np.nan, 0.0, 0.05, 0.15])
    assert np.flatnonzero(clip_score(similarities, share=0.2)).tolist() == [1, 3, 4]
    assert clip_score(similarities, share=1.0).sum() == 8
    assert clip_score(similarities, share=0.0).sum() == 0
    assert clip_score(np.full(3, np.nan), share=0.5).sum() == 0


def blobs() -> np.ndarray:
    """Three directions, 40 rows each."""
    noise = np.random.default_rng(0).normal(0, 0.05, (120, 3))
    rows = np.repeat(np.eye(3), 40, axis=0) + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_image_based_keeps_the_clusters_of_the_references() -> None:
    rows, references = blobs(), np.eye(3, dtype=np.float32)[:2]
    stays = image_based(rows, references[:1], n_clusters=12, seed=0)
    assert stays[:40].any()
    assert not stays[40:].any()
    both = image_based(rows, np.concatenate([rows[:40], rows[80:]]), n_clusters=12, seed=0)
    assert both[:40].all()
    assert not both[40:80].any()
    assert both[80:].all()
    assert image_based(rows, references[:0], n_clusters=3, seed=0).sum() == 0
    assert len(image_based(rows[:0], references, n_clusters=3, seed=0)) == 0


def test_clusters_have_unit_length_and_come_from_the_seed() -> None:
    first, again = (spherical_clusters(blobs(), n_clusters=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0, rtol=1e-5)
    assert spherical_clusters(blobs()[:2], n_clusters=5, seed=0).shape == (2, 3)
