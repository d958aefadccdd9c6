"""Each drawing marks its sheet, leaves a background, and follows its generator."""

import numpy as np
import pytest

from tasks.methods.demo_drawings import CONCEPT_DRAWINGS
from tasks.methods.demo_others import NEAR_DRAWINGS, SENSE_DRAWINGS, WEB_DRAWINGS
from tasks.methods.demo_pen import SIDE, Pen, shade

SPRITES = {**CONCEPT_DRAWINGS, **SENSE_DRAWINGS, **NEAR_DRAWINGS}


def sheet(drawing, seed):
    pen = Pen(np.random.default_rng(seed))
    drawing(pen)
    return np.asarray(pen.image)


@pytest.mark.parametrize("name", SPRITES)
def test_a_sprite_fills_some_of_its_sheet(name):
    shares = [(sheet(SPRITES[name], seed)[..., 3] > 0).mean() for seed in range(12)]
    assert min(shares) > 0.02
    assert max(shares) < 0.9


@pytest.mark.parametrize("name", {**SPRITES, **WEB_DRAWINGS})
def test_a_drawing_follows_its_generator(name):
    drawing = {**SPRITES, **WEB_DRAWINGS}[name]
    assert np.array_equal(sheet(drawing, 1), sheet(drawing, 1))
    assert not np.array_equal(sheet(drawing, 1), sheet(drawing, 2))


@pytest.mark.parametrize("name", WEB_DRAWINGS)
def test_a_page_leaves_no_hole(name):
    assert (sheet(WEB_DRAWINGS[name], 3)[..., 3] > 0).mean() > 0.9


def test_a_disc_has_its_area_and_a_cut_takes_it_away():
    pen = Pen(np.random.default_rng(0))
    pen.disc(50, 50, 30, 30, (255, 0, 0))
    assert (np.asarray(pen.image)[..., 3] > 0).sum() / SIDE**2 == pytest.approx(np.pi * 0.3**2, rel=0.03)
    pen.cut(50, 50, 31)
    assert not np.asarray(pen.image)[..., 3].any()


def test_shade_stops_at_white():
    assert shade((100, 200, 0), 1.5) == (150, 255, 0)
