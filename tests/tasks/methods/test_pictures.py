import struct
import zlib
from io import BytesIO
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tasks.methods.pictures import Picture, PictureError, decode, perceptual_hashes, sniff, square, squares


def photo(width: int = 96, height: int = 64, mode: str = "RGB") -> Image.Image:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 100 * np.sin(x / 17 + y / 31)
    pixels = np.stack([red, 200 * x / width + 20, 255 - 150 * (y / height) ** 2], axis=2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def picture(data: bytes, **options: int) -> Picture:
    return decode(data, **({"max_pixels": 1_000_000, "max_side": 256, "quality": 90} | options))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=int)


def detail(data: bytes, **options: int) -> str:
    with pytest.raises(PictureError) as caught:
        picture(data, **options)
    return caught.value.detail


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_what_fits_is_kept_byte_for_byte(name: str) -> None:
    data = encoded(photo(), name)
    found = picture(data)
    assert (found.data, found.format, found.width, found.height) == (data, name, 96, 64)
    assert (found.original_width, found.original_height, found.extension) == (96, 64, "jpg" if name == "jpeg" else name)


@pytest.mark.parametrize("name", ["gif", "bmp", "tiff", "avif"])
def test_other_formats_become_jpeg(name: str) -> None:
    found = picture(encoded(photo(), name))
    assert (found.format, found.extension, sniff(found.data), found.width, found.height) == (name, "jpg", "jpeg", 96, 64)
    assert abs(pixels(found.data) - np.asarray(photo(), dtype=int)).mean() < 12


def test_large_ones_are_shrunk_in_proportion() -> None:
    found = picture(encoded(photo(900, 600), "jpeg", quality=95), max_side=96)
    assert (found.width, found.height, found.original_width, found.original_height) == (96, 64, 900, 600)
    assert Image.open(BytesIO(found.data)).size == (96, 64)
    expected = encoded(photo(900, 600).resize((96, 64), Image.Resampling.BICUBIC), "jpeg", quality=90)
    assert abs(pixels(found.data) - pixels(expected)).mean() < 3
    assert picture(encoded(photo(2000, 3), "png"), max_side=100).height == 1


def test_orientation_is_applied_and_metadata_left_behind() -> None:
    upright = photo(96, 64)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010E] = "a secret place"
        found = picture(encoded(upright, "jpeg", quality=95, exif=exif))
        expected = ImageOps.exif_transpose(Image.open(BytesIO(encoded(upright, "jpeg", quality=95, exif=exif))))
        assert (found.width, found.height) == expected.size == (found.original_width, found.original_height)
        assert abs(pixels(found.data) - np.asarray(expected, dtype=int)).mean() < 3
        assert b"secret" not in found.data


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode in ("I;16", "I"):
        image = Image.fromarray((np.asarray(photo(mode="L"), dtype=np.uint16) * 257).astype(np.uint16 if mode == "I;16" else np.int32))
    elif mode == "F":
        image = Image.fromarray(np.asarray(photo(mode="L"), dtype=np.float32) / 255)
    else:
        image = photo(mode=mode)
    name = "png" if mode in ("L", "1", "P", "LA", "RGBA", "I;16") else "jpeg" if mode == "CMYK" else "tiff"
    data = encoded(image, name)
    found = picture(data)
    grey = np.asarray(photo(mode="L"), dtype=int)
    seen = np.asarray(Image.fromarray(square(found.data, 64)).convert("L"), dtype=int)
    assert abs((seen - grey[:, 16:80]).mean()) < 5
    assert mode == "1" or abs(seen - grey[:, 16:80]).mean() < 12  # black and white dots are grey from afar only
    assert (found.data == data) is (mode in ("L", "1", "P", "LA", "RGBA"))


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (square(encoded(clear, "png"), 8) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    assert (square(encoded(palette, "png", transparency=0), 8) == 255).all()


def test_animations_are_their_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for name in ("gif", "webp", "png"):
        found = picture(encoded(frames[0], name, save_all=True, append_images=frames[1:]))
        assert found.extension == "jpg"
        assert tuple(pixels(found.data)[8, 8]) == pytest.approx((254, 0, 0), abs=4)


def bomb(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_too_many_pixels_are_seen_in_the_header() -> None:
    assert detail(bomb(30_000)) == "too_many_pixels"
    assert detail(bomb(1_001)) == "too_many_pixels"
    assert detail(encoded(photo(), "jpeg"), max_pixels=96 * 64 - 1) == "too_many_pixels"
    picture(encoded(photo(), "jpeg"), max_pixels=96 * 64)


def test_bytes_that_are_no_picture() -> None:
    for data in (b"", b"<html><body>404</body></html>", b"%PDF-1.7", bytes(1000), b"\xff\xd8", b"RIFF0000WAVE", b"<svg xmlns='x'/>"):
        assert detail(data) == "not_an_image"
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"):
        assert detail(start + b"<html>" * 20) in ("broken", "truncated", "too_many_pixels")


@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_half_a_picture_is_truncated(name: str) -> None:
    data = encoded(photo(), name)
    assert detail(data[: len(data) // 2]) == "truncated"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"]), st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_mutations_never_crash(name: str, seed: int, n_flips: int, cut: bool) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(photo(48, 32), name))
    for place in rng.integers(0, len(data), n_flips):
        data[place] ^= 1 << int(rng.integers(8))
    outcome = "ok"
    try:
        found = picture(bytes(data[: rng.integers(len(data))] if cut else data))
        assert sniff(found.data) is not None
        assert square(found.data, 8).shape == (8, 8, 3)
    except PictureError as error:
        outcome = error.detail
    assert outcome in ("ok", "not_an_image", "too_many_pixels", "truncated", "broken")


def test_perceptual_hashes_are_imagehashs_own() -> None:
    image = photo(300, 200)
    plain, mirrored = perceptual_hashes(image)
    assert f"{plain:016x}" == str(imagehash.phash(image))
    other, back = perceptual_hashes(ImageOps.mirror(image))
    assert (mirrored ^ other).bit_count() <= 2
    assert (plain ^ back).bit_count() <= 2
    assert (plain ^ mirrored).bit_count() > 10
    shrunk, _ = perceptual_hashes(image.resize((150, 100)))
    assert (plain ^ shrunk).bit_count() <= 4


def test_square_is_the_centre_resized() -> None:
    image = photo(300, 200)
    expected = image.crop((50, 0, 250, 200)).resize((32, 32), Image.Resampling.BICUBIC)
    assert abs(square(np.asarray(image), 32).astype(int) - np.asarray(expected, dtype=int)).mean() < 1
    assert abs(square(encoded(image, "jpeg", quality=95), 32).astype(int) - np.asarray(expected, dtype=int)).mean() < 2
    small = photo(32, 32)
    assert (square(np.asarray(small), 32) == np.asarray(small)).all()
    assert square(encoded(photo(1, 5), "png"), 16).shape == (16, 16, 3)


def test_squares_are_the_squares_of_each() -> None:
    data = [encoded(photo(90, 60), "jpeg"), encoded(photo(40, 70), "png")]
    batch = squares(data, 24)
    assert (batch.shape, batch.dtype) == ((2, 24, 24, 3), np.uint8)
    assert all((batch[place] == square(one, 24)).all() for place, one in enumerate(data))
    assert squares([], 24).shape == (0, 24, 24, 3)
