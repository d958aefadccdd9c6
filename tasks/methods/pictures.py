"""Decode pictures: a checked, bounded, upright RGB image, what is stored of it, and its perceptual hashes, out of bytes from anywhere."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from tasks.methods.perceptual import SIDE, thumbnail

KEPT = {"jpeg": "jpg", "png": "png", "webp": "webp"}  # formats that stay as they are, and their file extensions
KEPT_MODES = frozenset({"RGB", "L", "1", "P", "LA", "PA", "RGBA"})  # what every reader shows alike: no CMYK, no 16 bits
ORIENTATION = 0x0112
# What Pillow and its decoders raise on hostile bytes.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError, RuntimeError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class PictureError(ValueError):
    """Bytes that give no picture: `detail` is not_an_image, too_many_pixels, truncated or broken."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True)
class Picture:
    """`data` is what to store, `extension` its file name's end; `format` and the original sizes (upright) are those of the download.

    `thumbnail` holds 32 x 32 grey pixels (`perceptual.thumbnail`).
    """

    data: bytes
    extension: str
    format: str
    width: int
    height: int
    original_width: int
    original_height: int
    phash: int
    phash_mirrored: int
    thumbnail: bytes


def sniff(data: bytes) -> str | None:
    """The format that the first bytes announce: jpeg, png, webp, gif, bmp, tiff or avif; None if none of these."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if data[:2] == b"BM":
        return "bmp"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1"):
        return "avif"
    return None


def decode(data: bytes, *, max_pixels: int, max_side: int, quality: int) -> Picture:
    """A picture whose longer side is at most `max_side`. JPEG, PNG and WebP that need no change are kept byte for byte; all else is
    encoded once, as JPEG of that quality without metadata. Raises PictureError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of oddities that are decided on here
        name, image = _open(data, max_pixels)
        try:
            return _picture(data, name, image, max_side, quality)
        except DECODER_ERRORS as error:
            raise PictureError("truncated" if "truncated" in str(error).lower() else "broken") from None


def _picture(data: bytes, name: str, image: Image.Image, max_side: int, quality: int) -> Picture:
    if name != "jpeg":  # which can still be asked for a fraction
        image.load()  # before anything that loads in passing and hides that it failed
    orientation, mode = _orientation(image), image.mode
    width, height = image.size
    still = getattr(image, "n_frames", 1) == 1 or name == "jpeg"
    upright = orientation == 1
    keep = name in KEPT and still and upright and mode in KEPT_MODES and max(width, height) <= max_side
    shrink = min(1.0, max_side / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    rgb = _shrunk(image, size)
    if not upright:
        rgb = ImageOps.exif_transpose(_with_orientation(rgb, orientation))
    if orientation >= 5:
        width, height = height, width
    stored = (data, KEPT[name]) if keep else (_encode(rgb, quality), "jpg")
    return Picture(*stored, name, *rgb.size, width, height, *perceptual_hashes(rgb), thumbnail(rgb))


def _open(data: bytes, max_pixels: int) -> tuple[str, Image.Image]:
    """Read the header only, with the decoder that the first bytes call for."""
    name = sniff(data)
    if name is None:
        raise PictureError("not_an_image")
    try:
        image = Image.open(BytesIO(data), formats=[name.upper()])
    except Image.DecompressionBombError:
        raise PictureError("too_many_pixels") from None
    except DECODER_ERRORS as error:
        raise PictureError("truncated" if "truncated" in str(error).lower() else "broken") from None
    if image.width * image.height > max_pixels:
        raise PictureError("too_many_pixels")
    if min(image.size) < 1:
        raise PictureError("broken")
    return name, image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    image.getexif()[ORIENTATION] = orientation
    return image


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An RGB image of that size. JPEG decodes at a fraction where that leaves twice the pixels needed or more."""
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (2 * size[0], 2 * size[1]))
    rgb = to_rgb(image)
    return rgb if rgb.size == size else rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


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


def _encode(rgb: Image.Image, quality: int) -> bytes:
    stream = BytesIO()
    rgb.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def perceptual_hashes(rgb: Image.Image) -> tuple[int, int]:
    """64-bit pHash of an image and of its mirror image, as `imagehash.phash` gives them (most significant bit first)."""
    import imagehash

    small = Image.frombytes("L", (SIDE, SIDE), thumbnail(rgb))  # what imagehash.phash would shrink to
    mirrored = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    first, second = (int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes(), "big") for image in (small, mirrored))
    return first, second


def square(picture: bytes | np.ndarray | Image.Image, size: int) -> np.ndarray:
    """`(size, size, 3) uint8`: the shorter side resized to `size` (bicubic, antialiased), the centre cut out. Bytes are decoded first."""
    if isinstance(picture, bytes):
        image: Image.Image = Image.open(BytesIO(picture))
        if image.format == "JPEG":
            image.draft(None, _drafted(image.size, 2 * size))
    else:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    rgb = to_rgb(image)
    side = min(rgb.size)
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side), reducing_gap=2.0)
    return np.asarray(rgb)


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
