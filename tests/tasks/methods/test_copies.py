"""Copies: contents, candidates, confirmation, and pictures of clean sets."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tasks.methods.copies import (
    Copies,
    Thumbnails,
    clean_copies,
    describe_pictures,
    distinct_pairs,
    exact_pairs,
    first_of_content,
    hash_candidates,
    marginless_candidates,
    nearest_copy,
    neighbor_candidates,
    together,
)


def drawn(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)


def test_contents_are_stood_for_by_their_first_row():
    first = first_of_content(["a", "b", "a", "c", "a", "b"])
    assert first.tolist() == [0, 1, 0, 3, 0, 1]
    assert exact_pairs(first).tolist() == [[0, 2], [0, 4], [1, 5]]


def test_hashes_propose_pairs_also_of_mirrored_pictures():
    rows, hashes = np.array([2, 5, 9]), np.array([0b1111, 0b1110, 1 << 40], np.uint64)
    mirrored = np.array([1 << 50, 1 << 40 | 1, 1 << 60], np.uint64)
    assert hash_candidates(rows, hashes, mirrored, radius=1, max_per_hash=4).tolist() == [[2, 5], [5, 9]]


def test_near_neighbours_propose_contents():
    edges = np.array([0, 1, 2, 3]), np.array([2, 3, 0, 1]), np.array([0.99, 0.5, 0.99, 0.5], np.float32)
    assert neighbor_candidates(*edges, np.array([0, 1, 1, 3]), min_similarity=0.9).tolist() == [[0, 1]]


def test_pairs_are_distinct_and_ordered():
    assert distinct_pairs(np.array([[3, 1], [1, 3], [2, 2], [0, 1]])).tolist() == [[0, 1], [1, 3]]
    assert distinct_pairs(np.zeros((0, 2), np.int64)).shape == (0, 2)


def test_thumbnails_confirm_what_looks_alike():
    known = describe_pictures([png(drawn(0)), png(drawn(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)), png(drawn(1))])
    thumbnails = Thumbnails(np.array([4, 7, 8]), known.thumbnails)
    found = thumbnails.confirm(np.array([[4, 7], [4, 8]]), min_similarity=0.98, max_zoom=0.1)
    assert found.pairs.tolist() == [[4, 7]]
    assert found.similarities[0] > 0.99
    assert nearest_copy(9, [found])[[4, 7, 8]].tolist() == [found.similarities[0]] * 2 + [0.0]
    first = np.array([0, 0, 2, 3, 4, 5, 6, 7, 8])
    for by_details in (False, True):
        resembles = thumbnails.resemblance(
            first, min_similarity=0.98, max_zoom=0.1, same_details=lambda pairs, told=by_details: np.full(len(pairs), told)
        )
        assert resembles(np.array([0, 4, 4]), np.array([1, 7, 8])).tolist() == [True, True, by_details]
    with pytest.raises(ValueError, match=r"row 5 has no thumbnail among the 3 that were read"):
        thumbnails.of(np.array([4, 5]))


def test_details_confirm_where_pictures_are_large_enough():
    written = drawn(0)
    written.paste((255, 255, 255), (8, 50, 40, 56))
    known = describe_pictures([png(drawn(0)), png(written), png(drawn(1))])
    thumbnails = Thumbnails(np.arange(3), known.thumbnails)
    pairs, limits = np.array([[0, 1], [0, 2]]), {"min_layout": 0.6, "max_zoom": 0.1}
    alike, layouts = thumbnails.same_details(pairs, np.full(2, 0.5), **limits)
    assert alike.tolist() == [True, False]
    assert 0.6 < layouts[0] < 0.98
    assert thumbnails.same_details(pairs, np.full(2, np.inf), **limits)[0].tolist() == [False, False]


def test_a_hash_without_its_margin_finds_the_picture_in_a_frame():
    rows, hashes = np.array([3, 5, 8]), np.array([0b1111, 1 << 50, 1 << 60], np.uint64)
    marginless = np.array([[1 << 30, 1 << 31], [1 << 32, 0b1110], [1 << 33, 1 << 34]], np.uint64)
    assert marginless_candidates(rows, hashes, marginless, radius=1, max_per_hash=4).tolist() == [[3, 5]]


def test_pairs_of_two_kinds_of_evidence_are_put_together():
    found = together(
        Copies(np.array([[0, 1], [2, 3]]), np.array([0.9, 0.5], np.float32)), Copies(np.array([[2, 3]]), np.array([0.75], np.float32))
    )
    assert found.pairs.tolist() == [[0, 1], [2, 3]]
    assert found.similarities.tolist() == pytest.approx([0.9, 0.75])


def test_no_copies_leave_every_row_alone():
    assert nearest_copy(2, [Copies(np.zeros((0, 2), np.int64), np.zeros(0, np.float32))]).tolist() == [0.0, 0.0]


def test_clean_pictures_are_found_mirrored_too():
    clean = describe_pictures([png(drawn(3)), png(drawn(4))])
    own = describe_pictures([png(drawn(4).transpose(Image.Transpose.FLIP_LEFT_RIGHT)), png(drawn(5))])
    mirrored = np.array([clean.hashes[1], 0], np.uint64)
    assert clean_copies(own.hashes, mirrored, clean.hashes, radius=4, max_per_hash=4).tolist() == [[0, 1]]


def test_a_broken_clean_picture_is_named():
    with pytest.raises(ValueError, match=r"picture 1 of the clean sets can't be decoded"):
        describe_pictures([png(drawn(0)), b"broken"])
    assert len(describe_pictures([]).hashes) == 0


def png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
