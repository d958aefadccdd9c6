"""Shrink pictures: small WebP images as data URIs, so that the page needs no file beside it."""

import base64
from io import BytesIO

from PIL import Image

from tasks.methods.pictures import to_rgb


def thumbnail(data: bytes, *, side: int, quality: int) -> str:
    """The picture as a `data:` URI, its longer side at most `side` pixels; smaller ones keep their size."""
    image = to_rgb(Image.open(BytesIO(data)))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
