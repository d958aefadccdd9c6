"""Pictures out of characters."""

from io import BytesIO

import pytest
from PIL import Image

from tasks.methods.terminal_pictures import half_blocks


def png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_a_cell_holds_an_upper_and_a_lower_pixel():
    image = Image.new("RGB", (2, 2), "red")
    image.putpixel((0, 1), (0, 0, 255))
    assert half_blocks(png(image), columns=2, lines=1) == [[((255, 0, 0), (0, 0, 255)), ((255, 0, 0), (255, 0, 0))]]


@pytest.mark.parametrize(("size", "expected"), [((100, 100), (24, 12)), ((400, 100), (24, 3)), ((10, 1000), (1, 12)), ((1000, 1), (24, 1))])
def test_proportions_are_kept_within_the_bounds(size, expected):
    found = half_blocks(png(Image.new("RGB", size)), columns=24, lines=12)
    assert (len(found[0]), len(found)) == expected


def test_what_is_no_picture_is_nothing():
    assert half_blocks(b"no picture", columns=10, lines=10) == []
