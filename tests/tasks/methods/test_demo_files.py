"""Files: encoded ones decode, copies look alike, damaged ones don't decode."""

import io

import numpy as np
import pytest
from PIL import Image

from tasks.methods.demo_files import alter, damage, encode
from tasks.methods.demo_pictures import make_picture


@pytest.fixture(scope="module")
def pixels():
    return make_picture(subject="pagoda", picture_id="files")


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_encoded_pictures_keep_size_and_nearly_their_pixels(pixels):
    names = set()
    for seed in range(20):
        data, name = encode(pixels, rng=np.random.default_rng(seed))
        names.add(name)
        again = decoded(data)
        assert again.shape == pixels.shape
        assert np.abs(again.astype(int) - pixels).mean() < 14
    assert names == {"jpg", "png", "webp"}


def test_copies_change_size_or_side_only_a_little(pixels):
    shapes, mirrored = set(), 0
    for seed in range(20):
        copy = alter(pixels, rng=np.random.default_rng(seed))
        shapes.add(copy.shape)
        assert min(copy.shape[:2]) >= 64
        assert copy.shape[0] / copy.shape[1] == pytest.approx(pixels.shape[0] / pixels.shape[1], rel=0.1)
        mirrored += copy.shape == pixels.shape and np.array_equal(copy[:, ::-1], pixels)
    assert len(shapes) > 5
    assert mirrored > 0


@pytest.mark.parametrize("kind", ["truncated", "html", "random", "empty"])
def test_damaged_files_don_t_decode(pixels, kind):
    for seed in range(5):
        data, _ = damage(pixels, kind=kind, rng=np.random.default_rng(seed))
        with pytest.raises((OSError, SyntaxError)):
            decoded(data)


def test_icons_decode_and_are_small(pixels):
    data, _ = damage(pixels, kind="small", rng=np.random.default_rng(0))
    assert max(decoded(data).shape[:2]) <= 24
