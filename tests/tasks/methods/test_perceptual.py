"""Perceptual: how alike changed pictures are."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tasks.methods.perceptual import SIDE, copy_similarity, thumbnail


def picture(seed: int = 0) -> Image.Image:
    """Smooth shapes in many colours, 256 x 256."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC)


def thumbnails(*pictures: Image.Image) -> np.ndarray:
    return np.stack([np.frombuffer(thumbnail(one), np.uint8).reshape(SIDE, SIDE) for one in pictures])


def test_a_zoom_to_nothing_is_named():
    with pytest.raises(ValueError, match=r"max_zoom 1 must be in \[0, 1\)"):
        copy_similarity(thumbnails(picture()), thumbnails(picture()), max_zoom=1)


def test_copies_are_alike_and_strangers_are_not():
    original = picture()
    copies = {
        "same": original,
        "smaller": original.resize((96, 96)),
        "brighter": original.point(lambda value: 60 + value // 2),
        "trimmed": original.crop((10, 10, 246, 246)),
        "bordered": ImageOps.expand(original, 10, "black").crop((0, 0, 276, 276)),
    }
    many = thumbnails(*[original] * len(copies))
    alike = dict(zip(copies, copy_similarity(many, thumbnails(*copies.values()), max_zoom=0.15), strict=True))
    assert alike["same"] == 1.0
    assert min(alike["smaller"], alike["brighter"], alike["trimmed"]) > 0.985
    strangers = copy_similarity(many, thumbnails(*map(picture, range(1, 6))), max_zoom=0.15)
    assert strangers.max() < 0.7
    assert strangers.min() >= 0


def test_zoom_finds_the_trimmed_copy_from_either_side():
    original, trimmed = thumbnails(picture()), thumbnails(picture().crop((16, 16, 240, 240)))
    plain = copy_similarity(original, trimmed, max_zoom=0.0)
    zoomed = copy_similarity(original, trimmed, max_zoom=0.15)
    assert zoomed == copy_similarity(trimmed, original, max_zoom=0.15)
    assert plain < 0.97
    assert zoomed > 0.99


def test_blank_pictures_resemble_only_their_like():
    white, grey = np.full((1, SIDE, SIDE), 255, np.uint8), np.full((1, SIDE, SIDE), 90, np.uint8)
    assert copy_similarity(white, white, max_zoom=0.1).tolist() == [1.0]
    assert copy_similarity(white, grey, max_zoom=0.1).tolist() == [0.0]
    assert copy_similarity(white, thumbnails(picture()), max_zoom=0.1).tolist() == [0.0]
