"""Variations: what they do to known pictures, and that they depend on key and epoch alone."""

import numpy as np

from tasks.methods.augmentation import Augmentation, _cropped, augment, uniform

NONE = Augmentation(max_shift=0, mirror=False, colour=0.0, cutout=0)
KEYS = np.arange(400, dtype=np.uint64) * np.uint64(2**50 + 7)


def pictures(n: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)


def vary(how: Augmentation, images: np.ndarray, keys: np.ndarray = KEYS, epoch: int = 0) -> np.ndarray:
    return augment(images, keys[: len(images)], np.full(len(images), epoch), seed=3, how=how)


def test_nothing_asked_for_changes_nothing() -> None:
    images = pictures(5)
    np.testing.assert_allclose(vary(NONE, images), images / np.float32(255), atol=1e-6)


def test_half_are_mirrored() -> None:
    images = pictures(400)
    varied = vary(Augmentation(0, True, 0.0, 0), images) * 255
    same = np.isclose(varied, images, atol=1e-3).all((1, 2, 3))
    mirrored = np.isclose(varied, images[:, :, ::-1], atol=1e-3).all((1, 2, 3))
    assert (same | mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_shifts_reach_every_place_and_reflect_at_the_edge() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None, None], (400, 8, 8, 3))
    first = (vary(Augmentation(2, False, 0.0, 0), ramp)[:, :, 0, 0] * 255).round().astype(int)
    expected = {0: [0, 1, 2, 3, 4, 5, 6, 7], -2: [2, 1, 0, 1, 2, 3, 4, 5], 2: [2, 3, 4, 5, 6, 7, 6, 5]}
    found = {tuple(row) for row in first.tolist()}
    assert len(found) == 5
    assert all(tuple(row) in found for row in expected.values())


def test_the_cut_out_square_is_grey_and_as_large_as_asked_inside_the_frame() -> None:
    varied = vary(Augmentation(0, False, 0.0, 3), np.zeros((400, 8, 8, 3), np.uint8))
    covered = (varied == 0.5).all(3).sum((1, 2))
    assert covered.max() == 9
    assert covered.min() >= 1


def test_colour_changes_stay_within_their_bounds() -> None:
    varied = vary(Augmentation(0, False, 0.2, 0), np.full((400, 4, 4, 3), 100, np.uint8)) * 255
    assert 100 * 0.64 - 1e-3 <= varied.min() < 80
    assert 120 < varied.max() <= 100 * 1.44 + 1e-3


def test_draws_depend_on_key_and_epoch_alone() -> None:
    images, order = pictures(50), np.random.default_rng(1).permutation(50)
    how = Augmentation(2, True, 0.1, 2)
    whole = vary(how, images)
    np.testing.assert_array_equal(vary(how, images[order], KEYS[:50][order]), whole[order])
    assert not np.array_equal(vary(how, images, epoch=1), whole)


def test_uniform_draws_are_uniform_and_differ_by_salt() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    draws, others = uniform(keys, 0), uniform(keys, 1)
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(draws.std() - 12**-0.5) < 0.01
    assert abs(np.corrcoef(draws, others)[0, 1]) < 0.02


def test_crops_show_a_part_of_the_picture_between_its_own_pixels() -> None:
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None, None] * 10, (400, 16, 16, 3))
    varied = vary(Augmentation(0, False, 0.0, 0, min_crop=0.5), ramp) * 255
    assert (np.diff(varied[:, :, 0, 0], axis=1) >= -1e-3).all()
    np.testing.assert_allclose(varied, np.broadcast_to(varied[:, :, :1], varied.shape), atol=1e-3)  # rows stay even
    spans = varied[:, -1, 0, 0] - varied[:, 0, 0, 0]
    assert 70 - 1e-3 <= spans.min() < 85  # half of 16 pixels: seven steps of ten between the first and the last
    assert 140 < spans.max() <= 150 + 1e-3
    assert varied[:, 0, 0, 0].min() < 10
    assert varied[:, -1, 0, 0].max() > 140


def test_a_crop_of_the_upper_left_half_by_hand() -> None:
    picture = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, 3)
    found = _cropped(picture, np.array([[0.5, 0.5]]), np.array([[0.0, 0.0]]))[0, :, :, 0]
    along = np.array([0.0, 0.25, 0.75, 1.25])  # centres at (i + 0.5) / 2 - 0.5, not before the first
    np.testing.assert_allclose(found, along[:, None] * 4 + along)


def test_a_share_of_the_pictures_loses_its_colours() -> None:
    images = pictures(400)
    varied = vary(Augmentation(0, False, 0.0, 0, grey=0.25), images)
    grey = np.isclose(varied, varied[..., :1]).all((1, 2, 3))
    assert 0.15 < grey.mean() < 0.35
    np.testing.assert_allclose(varied[grey][..., 0], images[grey].mean(3) / 255, atol=1e-5)
    np.testing.assert_allclose(varied[~grey], images[~grey] / np.float32(255), atol=1e-6)
