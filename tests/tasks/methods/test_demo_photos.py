"""Windows and cut-outs come from the installed packages' own files."""

import numpy as np
import pytest

from tasks.methods.demo_photos import CROPS, CUT_OUTS, Crop, crop, cut_out


@pytest.mark.parametrize("subject", CROPS)
def test_windows_are_filled_and_of_the_size_asked_for(subject):
    for window in CROPS[subject]:
        image = crop(np.random.default_rng(1), window, (120, 96))
        assert image.size == (120, 96)
        assert (np.asarray(image).max(axis=2) > 0).mean() > 0.3  # outside the photograph would be pure black


@pytest.mark.parametrize("subject", CUT_OUTS)
def test_cut_outs_are_opaque_inside_and_transparent_outside(subject):
    for outline in CUT_OUTS[subject]:
        alpha = np.asarray(cut_out(np.random.default_rng(2), outline))[..., 3]
        assert alpha[0].max() == 0
        assert 0.08 < (alpha > 200).mean() < 0.85


def test_a_missing_photograph_is_named():
    with pytest.raises(ValueError, match=r"unicorn.png is missing: reinstall skimage, whose sample photographs the demo uses"):
        crop(np.random.default_rng(0), Crop("unicorn.png", (0, 0), (0, 0), (10, 20)), (96, 96))
