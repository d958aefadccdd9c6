"""Look at pictures: RGB pixels of a stored image, squares for models, and perceptual hashes."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from tasks.methods.perceptual import hashes_of_thumbnail, thumbnail
from tasks.methods.resizing import centre_square

# What Pillow and its decoders raise on hostile bytes.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError, RuntimeError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB, 8 bits: transparency over white, 16 bits scaled down, all other modes as Pillow converts them."""
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        overlay = image.convert("RGBA")
        paper = Image.new("RGBA", overlay.size, "white")
        return Image.alpha_composite(paper, overlay).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Integers above 255 are read as 16 bits, floats up to 1 as shares of full light."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    highest = values.max(initial=0.0)
    scale = 255.0 if image.mode == "F" and highest <= 1.0 else 255.0 / 65535.0 if highest > 255.0 else 1.0
    return Image.fromarray(np.clip(values * scale, 0, 255).round().astype(np.uint8))


def perceptual_hashes(rgb: Image.Image) -> tuple[int, int]:
    """64-bit pHash of an image and of its mirror image, as `imagehash.phash` gives them but for a few bits in large ones."""
    return hashes_of_thumbnail(thumbnail(rgb))


def square(picture: bytes | np.ndarray | Image.Image, size: int) -> np.ndarray:
    """`(size, size, 3) uint8`: the shorter side resized to `size` (bicubic, antialiased), the centre cut out. Bytes are decoded first."""
    if isinstance(picture, bytes):
        image: Image.Image = Image.open(BytesIO(picture))
        if image.format == "JPEG":
            image.draft(None, _drafted(image.size, 2 * size))
    else:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.asarray(centre_square(to_rgb(image), size))


def squares(pictures: Sequence[bytes], size: int) -> np.ndarray:
    """`(n, size, size, 3) uint8`: `square` of each."""
    batch = np.empty((len(pictures), size, size, 3), np.uint8)
    for place, picture in enumerate(pictures):
        batch[place] = square(picture, size)
    return batch


def _drafted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size, in proportion, whose shorter side is `side`."""
    scale = side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
