import multiprocessing
import resource
import struct
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tasks.methods.decoding import Bounds, Picture, PictureError, decode
from tasks.methods.pictures import square
from tasks.methods.signatures import sniff
from tests.tasks.methods.broken_images import FORMATS, corpus, mutations


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


def picture(data: bytes, encoding: str = "jpg", **options: Any) -> Picture:
    bounds = {"decoders": FORMATS, "max_pixels": 1_000_000, "max_side": 256, "shortest": False, "memory_mb": 500} | options
    return decode(data, Bounds(**bounds), encoding=encoding, quality=90)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=int)


def detail(data: bytes, **options: Any) -> str:
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
    assert abs(pixels(found.data) - pixels(expected)).mean() < 5
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


def test_the_shorter_side_may_be_the_bounded_one() -> None:
    found = picture(encoded(photo(900, 600), "jpeg"), max_side=96, shortest=True)
    assert (found.width, found.height) == (144, 96)
    assert picture(encoded(photo(900, 96), "jpeg"), max_side=96, shortest=True).width == 900


def test_what_is_encoded_may_be_webp() -> None:
    found = picture(encoded(photo(), "bmp"), encoding="webp")
    assert (found.extension, sniff(found.data), found.width) == ("webp", "webp", 96)
    data = encoded(photo(), "jpeg")
    assert picture(data, encoding="webp").data == data  # what needs no change stays


def test_only_allowed_decoders_run() -> None:
    for name in FORMATS:
        assert detail(encoded(photo(), name), decoders=[other for other in FORMATS if other != name]) == "not_an_image"


def test_names_and_places_are_dropped_without_encoding_again() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    for name in ("jpeg", "png", "webp"):
        plain = encoded(photo(), name)
        found = picture(encoded(photo(), name, exif=exif) + b"PK and a zip file")
        assert b"secret" not in found.data
        assert b"zip" not in found.data
        assert (pixels(found.data) == pixels(plain)).all()


def test_a_scaled_decoding_is_near_the_full_one() -> None:
    image = photo(1600, 1200)
    found = picture(encoded(image, "jpeg", quality=95), max_side=200, max_pixels=2_000_000)
    expected = image.resize((200, 150), Image.Resampling.LANCZOS)
    encoding = abs(pixels(encoded(expected, "jpeg", quality=90)) - np.asarray(expected, dtype=int)).mean()
    assert abs(pixels(found.data) - np.asarray(expected, dtype=int)).mean() < encoding + 0.5


def test_a_decoder_gets_no_more_memory_than_it_is_granted() -> None:
    data = encoded(Image.new("RGB", (9000, 9000)), "png")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:  # this one may hold memory that it can use again
        assert fresh.submit(detail, data, max_pixels=100_000_000, memory_mb=64).result() == "out_of_memory"
    assert picture(data, max_pixels=100_000_000, memory_mb=3000).original_width == 9000


DETAILS = {"not_an_image", "too_many_pixels", "out_of_memory", "truncated", "broken"}
MEMORY_CAP_MB = 400  # resident memory that 20,000 broken images may add to a process that decodes within 1 megapixel and 300 MB


def outcome_of(data: bytes) -> str:
    """ "ok" or the detail; what is ok is within its bounds and can be read by anyone."""
    try:
        found = picture(data, max_side=24, memory_mb=300)
    except PictureError as error:
        return error.detail
    with Image.open(BytesIO(found.data), formats=["JPEG", "PNG", "WEBP"]) as image:
        assert image.size == (found.width, found.height)
        image.load()
    assert max(found.width, found.height) <= 24
    assert found.original_width * found.original_height <= 1_000_000
    return "ok"


def survive(n: int, seed: int) -> Counter[str]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter(outcome_of(data) for _, data in mutations(n, seed))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_CAP_MB * 1024
    return outcomes


def test_each_odd_file_has_its_outcome() -> None:
    outcomes = {name: outcome_of(data) for name, data in corpus().items()}
    failed = {name: found for name, found in outcomes.items() if found != "ok"}
    assert failed == {
        "png_bomb": "too_many_pixels", "gif_bomb": "too_many_pixels", "webp_bomb": "too_many_pixels", "wide_png": "too_many_pixels",
        "flat_png": "broken", "flat_bmp": "broken", "jpeg_head_png": "broken", "png_head_jpeg": "broken",
    }  # fmt: skip


def test_500_mutations_end_in_a_picture_or_a_detail() -> None:
    outcomes = survive(500, seed=1)
    assert outcomes.keys() <= DETAILS | {"ok"}
    assert min(outcomes["ok"], outcomes["broken"]) > 50


@pytest.mark.slow
def test_20_000_mutations_end_in_a_picture_or_a_detail() -> None:
    outcomes = survive(20_000, seed=2)
    assert outcomes.keys() <= DETAILS | {"ok"}
    assert outcomes.total() == 20_000


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.booleans())
def test_sizes_stay_in_bounds_and_in_proportion(name: str, width: int, height: int, max_side: int, shortest: bool) -> None:
    found = picture(encoded(photo(width, height), name), max_side=max_side, shortest=shortest)
    assert (found.original_width, found.original_height) == (width, height)
    bounded = (min if shortest else max)(found.width, found.height)
    assert bounded == min(max_side, (min if shortest else max)(width, height))
    assert abs(found.width / width - found.height / height) * max(width, height) < 1 + max(width, height) / min(width, height)
    again = picture(encoded(photo(width, height), name), max_side=max_side, shortest=shortest)
    assert again == found
