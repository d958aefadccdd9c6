"""Pictures of none of the demo's concepts: each has the parts that make it what it is, whatever the dice say."""

import numpy as np
import pytest

from tasks.methods.demo_drawings import CONCEPT_DRAWINGS
from tasks.methods.demo_others import NEAR_DRAWINGS, SENSE_DRAWINGS, WEB_DRAWINGS
from tasks.methods.demo_pen import SIDE, Pen

SEEDS = range(15)
# Points that are always inside, and points that are always outside; x, y in units of the sheet.
PARTS = {
    "fish": ([(56, 50), (25, 50)], [(2, 2), (98, 50)]),
    "house": ([(50, 60), (50, 90)], [(1, 1), (50, 98)]),
    "sailboat": ([(50, 80), (60, 65)], [(2, 50), (98, 98)]),
    "tree": ([(49, 90)], [(10, 90), (90, 90)]),
    "umbrella": ([(50, 30), (50, 80)], [(70, 80), (2, 2)]),
}


def sheet(drawing: object, seed: int) -> np.ndarray:
    pen = Pen(np.random.default_rng(seed))
    drawing(pen)  # type: ignore[operator]
    return np.asarray(pen.image)


def pixel(pixels: np.ndarray, x: float, y: float) -> np.ndarray:
    return pixels[round(y * SIDE / 100), round(x * SIDE / 100)]


def test_none_of_them_is_a_concept() -> None:
    kinds = [CONCEPT_DRAWINGS.keys(), SENSE_DRAWINGS.keys(), NEAR_DRAWINGS.keys(), WEB_DRAWINGS.keys()]
    assert len(set().union(*kinds)) == sum(map(len, kinds))
    assert PARTS.keys() == NEAR_DRAWINGS.keys()


@pytest.mark.parametrize("name", PARTS)
def test_a_subject_has_its_parts(name: str) -> None:
    inside, outside = PARTS[name]
    for seed in SEEDS:
        pixels = sheet(NEAR_DRAWINGS[name], seed)
        assert all(pixel(pixels, *point)[3] == 255 for point in inside), seed
        assert all(pixel(pixels, *point)[3] == 0 for point in outside), seed


def test_a_salad_is_green() -> None:
    for seed in SEEDS:
        red, green, blue, _ = sheet(SENSE_DRAWINGS["salad"], seed).astype(int).reshape(-1, 4).T
        assert ((green > red) & (green > blue)).mean() > 0.05, seed


@pytest.mark.parametrize("name", ["letter", "pattern"])
def test_letters_and_patterns_have_two_colours(name: str) -> None:
    for seed in SEEDS:
        pixels = sheet(WEB_DRAWINGS[name], seed).reshape(-1, 4)
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        assert len(colours) == 2, seed
        assert counts.min() > 0.03 * len(pixels), seed


def test_a_letter_is_made_of_lines() -> None:
    """Some rows of pixels are all paper; in a page of anything else few are."""
    for seed in SEEDS:
        pixels = sheet(WEB_DRAWINGS["letter"], seed)[..., :3].astype(int)
        blank = (pixels == pixels[:, :1]).all((1, 2))
        assert 0.2 < blank.mean() < 0.9, seed
        assert (np.diff(blank.astype(int)) == 1).sum() >= 6, seed


def test_a_chart_has_axes_on_white_paper() -> None:
    for seed in SEEDS:
        pixels = sheet(WEB_DRAWINGS["chart"], seed)
        assert pixel(pixels, 6, 50).tolist() == [250, 250, 250, 255]
        assert (pixels[..., :3] == 60).all(2)[:, round(12 * SIDE / 100)].mean() > 0.7, seed


def test_a_badge_is_a_polygon_on_plain_ground() -> None:
    for seed in SEEDS:
        pixels = sheet(WEB_DRAWINGS["badge"], seed)
        corners = [tuple(pixel(pixels, *point)) for point in ((1, 1), (98, 1), (98, 98))]
        assert len(set(corners)) == 1, seed
        assert (pixels[..., :3] != pixels[0, 0, :3]).any(2).mean() > 0.15, seed
