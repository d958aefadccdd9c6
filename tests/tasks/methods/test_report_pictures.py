"""Thumbnails are small, whole, and the same every time."""

import base64
from io import BytesIO

from PIL import Image

from tasks.methods.report_pictures import thumbnail


def picture(mode: str, size: tuple[int, int], kind: str = "PNG") -> bytes:
    stream = BytesIO()
    Image.new(mode, size, 200).save(stream, kind)
    return stream.getvalue()


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


def test_the_longer_side_is_bounded_and_small_ones_stay():
    assert opened(thumbnail(picture("RGB", (400, 100)), side=96, quality=70)).size == (96, 24)
    assert opened(thumbnail(picture("RGB", (32, 32)), side=96, quality=70)).size == (32, 32)


def test_grey_and_palette_pictures_become_rgb():
    for mode in ("L", "P", "RGB"):
        assert opened(thumbnail(picture(mode, (50, 50)), side=40, quality=70)).mode == "RGB"


def test_equal_input_gives_equal_bytes():
    data = picture("RGB", (200, 150), "JPEG")
    assert thumbnail(data, side=96, quality=70) == thumbnail(data, side=96, quality=70)
