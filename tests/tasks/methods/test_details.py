"""Details: what changes them and what doesn't, and hashes without margins."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tasks.methods.details import MARGINS, detail_similarity, marginless_hashes
from tasks.methods.perceptual import hashes_of_thumbnail
from tests.tasks.methods.test_perceptual import thumbnails


def busy(seed: int = 0) -> Image.Image:
    """Light above and dark below, with grain of a few pixels."""
    grain = np.random.default_rng(seed).normal(0, 25, (64, 64)) + np.linspace(200, 50, 64)[:, None]
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).resize((256, 256), Image.Resampling.BICUBIC).convert("RGB")


def similarity(first: Image.Image, second: Image.Image, max_zoom: float = 0.2) -> tuple[float, float]:
    layout, details = detail_similarity(thumbnails(first), thumbnails(second), max_zoom=max_zoom)
    return float(layout[0]), float(details[0])


def test_strangers_share_a_layout_and_no_details():
    layout, details = similarity(busy(0), busy(1))
    assert layout > 0.8
    assert details < 0.2


def test_words_and_frames_leave_details():
    written = busy()
    ImageDraw.Draw(written).text((128, 225), "when you see it", "white", ImageFont.load_default(size=26), anchor="mm")
    assert similarity(busy(), written)[1] > 0.6
    framed = ImageOps.expand(busy(), 20, "black")
    assert similarity(busy(), framed)[1] > 0.6
    assert similarity(framed, busy())[1] == pytest.approx(similarity(busy(), framed)[1], abs=1e-4)
    assert similarity(busy(), framed, max_zoom=0.0)[1] < 0.3


def test_what_is_drawn_around_or_over_two_pictures_does_not_tell_for_them():
    strangers = [busy(seed).resize((128, 128)) for seed in (0, 1)]
    for change in (
        lambda image: ImageOps.expand(image, 12, "black"),
        lambda image: image.rotate(5, Image.Resampling.BICUBIC),
        lambda image: written_below(image),
    ):
        assert similarity(*map(change, strangers))[1] < 0.3


def written_below(image: Image.Image) -> Image.Image:
    changed = image.copy()
    ImageDraw.Draw(changed).text(
        (64, 112), "when you see", "white", ImageFont.load_default(size=14), anchor="mm", stroke_width=1, stroke_fill="black"
    )
    return changed


def test_equal_and_mirrored_pictures_are_alike():
    assert similarity(busy(), busy()) == pytest.approx((1, 1), abs=1e-5)
    assert similarity(busy(), ImageOps.mirror(busy())) == pytest.approx((1, 1), abs=1e-5)


def test_pictures_without_contrast_have_neither():
    blank = Image.new("RGB", (64, 64), "grey")
    assert similarity(blank, busy()) == (0, 0)
    assert detail_similarity(np.zeros((0, 32, 32), np.uint8), np.zeros((0, 32, 32), np.uint8), max_zoom=0.1)[0].shape == (0,)


def test_a_picture_in_a_frame_has_the_picture_s_hash_without_it():
    picture = busy()
    (own, _), widths = hashes_of_thumbnail(thumbnails(picture)[0].tobytes()), [margin / (32 - 2 * margin) * 256 for margin in MARGINS]
    for place, width in enumerate(widths):
        framed = ImageOps.expand(picture, round(width), "white")
        found = marginless_hashes(thumbnails(framed))[0]
        distances = np.bitwise_count(found ^ np.uint64(own))
        assert distances.argmin() == place
        assert distances[place] <= 10
