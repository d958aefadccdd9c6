"""Other people's filters: who stays, by hand."""

import re

import numpy as np
import pytest

from tasks.methods.filters import basic, captioned, clip_margin, clip_score, image_based, spherical_clusters, text_based, text_margins


def test_basic_asks_for_words_characters_and_size() -> None:
    texts = ["a red barn owl", "a red barn owl", "a red barn owl", "owl", "a b c", ""]
    widths, heights = np.array([300, 300, 300, 300, 300, 300]), np.array([300, 90, 199, 300, 300, 300])
    how = {"min_words": 3, "min_characters": 6, "min_side": 200, "max_aspect_ratio": 3.0}
    assert basic(texts, widths, heights, **how).tolist() == [True, False, False, False, False, False]
    assert basic(texts, widths, heights, **how | {"min_side": 50}).tolist() == [True, False, True, False, False, False]


# Captions that read otherwise by words of letters alone, or without the white space around them.
DISPUTED = [
    "www.shop-online.example/item", "t-shirt red", "it's blue", "IMG_2041.JPG (3)", "  a b c  ", "new   & old", "red - barn - owl",
    "a b c d", "a b c", "", "      ", "un chat noir",
]  # fmt: skip


def test_basic_reads_captions_as_datacomp_does() -> None:
    expected = [len(text.split()) > 2 and len(text) > 5 for text in DISPUTED]
    assert expected == [False, False, False, False, True, True, True, True, False, False, False, True]
    sizes, how = np.full(len(DISPUTED), 300), {"min_words": 3, "min_characters": 6, "min_side": 200, "max_aspect_ratio": 3.0}
    assert basic(DISPUTED, sizes, sizes, **how).tolist() == expected


def test_captions_of_the_filter_by_image_are_read_in_tokens_of_fasttext() -> None:
    """Its readWord: white space of ASCII and the null character part tokens, each end of a line is one."""
    texts = ["red barns", "barn-owl", "owls\n\n", "a red owl\n", "red\xa0barns", "red\u3000barns", "red\0barns", "  ab  ", "red\tb"]
    found = captioned(texts, min_words=2, min_characters=6)
    assert found.tolist() == [True, False, True, True, False, False, True, False, False]
    assert captioned(["red\xa0big barns"], min_words=3, min_characters=6).tolist() == [False]


def test_text_based_asks_for_a_whole_word() -> None:
    texts = ["A Barn Owl at night", "owls", "barn-owl", "the sea gull", "seagull", ""]
    assert text_based(texts, ["owl", "sea gull"]).tolist() == [True, False, True, True, False, False]
    assert text_based(texts, []).tolist() == [False] * 6
    assert text_based(["a (b) c"], ["(b)"]).tolist() == [True]


def by_datacomp(similarities: np.ndarray, share: float) -> np.ndarray:
    """Its threshold, of a pool in which every row has a score."""
    return np.asarray(similarities >= -np.sort(-similarities)[int(len(similarities) * share)])


def test_clip_score_keeps_as_many_rows_as_datacomp() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 10, 26, 1000):
        distinct, tied = rng.random(n), rng.integers(0, 5, n) / 4
        for share in (0.01, 0.29, 0.3, 0.5, 0.999):
            np.testing.assert_array_equal(clip_score(distinct, share=share), by_datacomp(distinct, share))
            np.testing.assert_array_equal(clip_score(tied, share=share), by_datacomp(tied, share))
    assert clip_score(np.arange(10) / 10, share=0.3).sum() == 4


def test_clip_score_counts_rows_without_a_text() -> None:
    similarities = np.array([0.1, 0.4, np.nan, 0.3, 0.3, 0.2, np.nan, 0.0, 0.05, 0.15])
    assert np.flatnonzero(clip_score(similarities, share=0.1)).tolist() == [1, 3, 4]
    assert np.flatnonzero(clip_score(similarities, share=0.3)).tolist() == [1, 3, 4, 5]
    assert clip_score(similarities, share=0.9).sum() == 8
    assert clip_score(similarities, share=1.0).sum() == 8
    assert clip_score(similarities, share=0.0).sum() == 0
    assert clip_score(np.full(3, np.nan), share=0.5).sum() == 0
    assert clip_score(np.zeros(0), share=0.5).shape == (0,)


@pytest.mark.parametrize("share", [-0.5, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=f"a share of {share} can't be kept: it must lie between 0 and 1"):
        clip_score(np.arange(3.0), share=share)
    with pytest.raises(ValueError, match=f"a share of {share} can't be kept: it must lie between 0 and 1"):
        clip_margin(np.eye(3), np.eye(3), np.arange(3), share=share)


AXES = np.eye(3, dtype=np.float32)


def between(share: float, own: int, other: int) -> np.ndarray:
    """A unit vector on the way from one axis to another."""
    vector = (1 - share) * AXES[own] + share * AXES[other]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_margins_are_own_cosine_less_the_best_other() -> None:
    rows = np.stack([AXES[0], AXES[1], between(0.5, 0, 2), between(0.25, 1, 2), AXES[0]])
    found = text_margins(rows, AXES, np.array([0, 0, 0, 2, -1]))
    np.testing.assert_allclose(found[:4], [1, -1, 0, (0.25 - 0.75) / np.hypot(0.25, 0.75)], atol=1e-6)
    assert np.isnan(found[4])
    np.testing.assert_allclose(text_margins(rows, AXES[:1], np.zeros(5, np.int64)), rows[:, 0], atol=1e-6)
    assert text_margins(rows[:0], AXES, np.zeros(0, np.int64)).shape == (0,)
    assert np.isnan(text_margins(rows, AXES[:0], np.full(5, -1))).all()


def test_margins_of_many_rows_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    rows, given = rng.normal(size=(20_000, 3)).astype(np.float32), rng.integers(-1, 3, 20_000)
    some = rng.choice(20_000, 50)
    np.testing.assert_allclose(text_margins(rows, AXES, given)[some], text_margins(rows[some], AXES, given[some]), atol=1e-5)


def test_margin_keeps_a_share_of_each_concept() -> None:
    """The worst row of concept 0 is better than the best of concept 1, and no concept is emptied for it."""
    rows = np.stack([between(part, own, 2) for own, start in ((0, 0.0), (1, 0.3)) for part in start + np.arange(10) / 100] + [AXES[0]] * 2)
    given = np.repeat([0, 1, -1], [10, 10, 2])
    assert np.flatnonzero(clip_margin(rows, AXES, given, share=0.3)).tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    order = np.random.default_rng(0).permutation(22)
    np.testing.assert_array_equal(clip_margin(rows[order], AXES, given[order], share=0.3), clip_margin(rows, AXES, given, share=0.3)[order])
    assert np.flatnonzero(clip_margin(rows, AXES, given, share=1.0)).tolist() == list(range(20))
    assert not clip_margin(rows, AXES, given, share=0.0).any()
    assert not clip_margin(rows, AXES, np.full(22, -1), share=0.5).any()


def test_margins_that_tie_stay_and_a_concept_of_one_row_keeps_it() -> None:
    rows = np.stack([AXES[0]] * 4 + [between(0.4, 0, 1), AXES[1]])
    found = clip_margin(rows, AXES, np.array([0, 0, 0, 0, 0, 2]), share=0.1)
    assert found.tolist() == [True, True, True, True, False, True]
    alone = clip_margin(np.stack([AXES[0], between(0.2, 0, 1), between(0.4, 0, 1)]), AXES[:1], np.zeros(3, np.int64), share=0.4)
    assert alone.tolist() == [True, True, False]


def test_margins_of_what_does_not_fit_are_refused() -> None:
    shapes = re.escape("embeddings (3, 3), texts (3, 2) and given (3,) don't belong together: (n, d), (K, d) and (n,) do")
    with pytest.raises(ValueError, match=shapes):
        text_margins(AXES, AXES[:, :2], np.arange(3))
    with pytest.raises(ValueError, match=re.escape("given (2,) don't belong together")):
        text_margins(AXES, AXES, np.arange(2))
    with pytest.raises(ValueError, match="given reaches from 0 to 7: 3 texts are numbered from 0, and -1 is none"):
        text_margins(AXES, AXES, np.array([0, 7, 1]))
    with pytest.raises(ValueError, match="given reaches from -2 to 1"):
        text_margins(AXES, AXES, np.array([0, -2, 1]))


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
    with pytest.raises(ValueError, match="n_clusters=0 leaves no cluster to look in: it must be 1 or more"):
        image_based(rows, references, n_clusters=0, seed=0)


def test_clusters_have_unit_length_and_come_from_the_seed() -> None:
    first, again = (spherical_clusters(blobs(), n_clusters=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0, rtol=1e-5)
    assert spherical_clusters(blobs()[:2], n_clusters=5, seed=0).shape == (2, 3)
