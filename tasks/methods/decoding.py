"""Decode pictures from anywhere: a checked, bounded, upright RGB image, what is stored of it, and its perceptual hashes, out of bytes.

The first bytes choose the decoder, the header's size is checked before a pixel is made, and memory has a limit of its own.
"""

import importlib
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from tasks.methods.memory_limits import limited_memory
from tasks.methods.metadata import without_metadata
from tasks.methods.perceptual import hashes_of_thumbnail, thumbnail
from tasks.methods.pictures import DECODER_ERRORS, to_rgb
from tasks.methods.resizing import bicubic
from tasks.methods.signatures import announced_size, sniff

KEPT = {"jpeg": "jpg", "png": "png", "webp": "webp"}  # formats that may stay as they are, and their file extensions
KEPT_MODES = frozenset({"RGB", "L", "1", "P", "LA", "PA", "RGBA"})  # what every reader shows alike: no CMYK, no 16 bits
ENCODINGS = {"jpg": "JPEG", "webp": "WEBP"}
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """Bytes that give no picture: `detail` is not_an_image, too_many_pixels, out_of_memory, truncated or broken."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a picture may be, and how large its stored form: `max_side` bounds its longer side, or with `shortest` its shorter one."""

    decoders: Collection[str]
    max_pixels: int
    max_side: int
    shortest: bool
    memory_mb: int


@dataclass(frozen=True)
class Loaded:
    """All pixels of a picture as they were sent (a JPEG's at a fraction), what size they are to have, and which way is up."""

    format: str
    rgb: Image.Image
    width: int
    height: int
    size: tuple[int, int]
    orientation: int
    as_is: bool


@dataclass(frozen=True)
class Upright:
    """A decoded picture within its bounds. `width` and `height` are those of the download, upright; `as_is`: nothing had to change."""

    format: str
    rgb: Image.Image
    width: int
    height: int
    as_is: bool


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


def load_decoders() -> None:
    """Import now what Pillow would import at the first picture, and at the first with EXIF (which has TIFF's form)."""
    Image.preinit()
    importlib.import_module("PIL.TiffImagePlugin")


def decode(data: bytes, bounds: Bounds, *, encoding: str, quality: int) -> Picture:
    """The picture within its bounds, without metadata. JPEG, PNG and WebP that need no change keep their coded pixels; all else is
    encoded once, as `jpg` or `webp` of that quality. Raises PictureError.
    """
    upright = decode_upright(data, bounds)
    kept = without_metadata(data, upright.format) if upright.as_is else None
    stored = (encode(upright.rgb, encoding, quality), encoding) if kept is None else (kept, KEPT[upright.format])
    small = thumbnail(upright.rgb)
    return Picture(*stored, upright.format, *upright.rgb.size, upright.width, upright.height, *hashes_of_thumbnail(small), small)


def decode_upright(data: bytes, bounds: Bounds) -> Upright:
    """Decode within the bounds, turned as the camera says. Raises PictureError."""
    name = sniff(data)
    if name is None or name not in bounds.decoders:
        raise PictureError("not_an_image")
    size = announced_size(data, name)
    if size is not None and size[0] * size[1] > bounds.max_pixels:
        raise PictureError("too_many_pixels")
    try:
        with warnings.catch_warnings(), limited_memory(bounds.memory_mb):
            warnings.simplefilter("ignore")  # of oddities that are decided on here
            image = Image.open(BytesIO(data), formats=[name.upper()])  # reads the header only
            if image.width * image.height > bounds.max_pixels:
                raise PictureError("too_many_pixels")
            loaded = _loaded(image, name, bounds)
        return _upright(loaded)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError("too_many_pixels") from None
    except MemoryError:
        raise PictureError("out_of_memory") from None
    except DECODER_ERRORS as error:
        raise PictureError("truncated" if "truncated" in str(error).lower() else "broken") from None


def encode(rgb: Image.Image, encoding: str, quality: int) -> bytes:
    """The image as `jpg` or `webp`, without metadata."""
    stream = BytesIO()
    rgb.save(stream, ENCODINGS[encoding], quality=quality)
    return stream.getvalue()


def _loaded(image: Image.Image, name: str, bounds: Bounds) -> Loaded:
    if name != "jpeg":  # which can still be asked for a fraction
        image.load()  # before anything that loads in passing and hides that it failed
    width, height = image.size
    if min(width, height) < 1:
        raise PictureError("broken")
    orientation, mode = _orientation(image), image.mode
    still = name == "jpeg" or (name in KEPT and getattr(image, "n_frames", 1) == 1)
    shrink = min(1.0, bounds.max_side / (min if bounds.shortest else max)(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if name == "jpeg":
        image.draft(None, size)  # the smallest fraction that leaves the pixels needed
    as_is = name in KEPT and still and orientation == 1 and mode in KEPT_MODES and shrink == 1.0
    return Loaded(name, to_rgb(image), width, height, size, orientation, as_is)


def _upright(loaded: Loaded) -> Upright:
    """The picture in its size, the right way up. Not under the memory limit: what is needed here follows from the pixels."""
    rgb, width, height = bicubic(loaded.rgb, loaded.size), loaded.width, loaded.height
    if loaded.orientation in TURNS:
        rgb = rgb.transpose(TURNS[loaded.orientation])
    if loaded.orientation >= 5:
        width, height = height, width
    return Upright(loaded.format, rgb, width, height, loaded.as_is)


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "TIFF":
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
