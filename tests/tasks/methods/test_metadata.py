from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from tasks.methods.metadata import without_metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
NAMES = ("jpeg", "png", "webp")


def encoded(name: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(PIXELS).save(stream, name, **options)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)))


def stripped(data: bytes, name: str) -> bytes:
    found = without_metadata(data, name)
    assert found is not None
    return found


def secrets(name: str) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x010E] = "secret"
    options: dict[str, Any] = {"exif": exif, "xmp": b"<x>secret</x>"}
    if name == "jpeg":
        options["comment"] = b"secret"
    if name == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", "secret")
        text.add_itxt("Place", "secret", zip=False)
        options = {"exif": exif, "pnginfo": text}
    return options


@pytest.mark.parametrize("name", NAMES)
def test_metadata_goes_and_pixels_stay(name: str) -> None:
    data = encoded(name, **secrets(name))
    assert b"secret" in data
    found = stripped(data + b"secret behind the end", name)
    assert b"secret" not in found
    assert (pixels(found) == pixels(data)).all()
    assert Image.open(BytesIO(found)).getexif() == {}


@pytest.mark.parametrize("name", NAMES)
def test_what_has_none_stays_as_it_is(name: str) -> None:
    data = encoded(name)
    assert stripped(data, name) == data
    assert stripped(stripped(data, name), name) == data


@pytest.mark.parametrize("name", NAMES)
def test_the_colour_profile_stays(name: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = stripped(encoded(name, icc_profile=profile), name)
    assert Image.open(BytesIO(found)).info["icc_profile"] == profile


def test_a_progressive_jpeg_with_restarts_keeps_all_its_scans() -> None:
    data = encoded("jpeg", progressive=True, quality=90, restart_marker_blocks=2, comment=b"secret")
    found = stripped(data, "jpeg")
    assert (pixels(found) == pixels(data)).all()
    assert b"secret" not in found


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_built_as_it_should_be_is_refused(name: str) -> None:
    data = encoded(name)
    for end in range(2, len(data) - 1, 7):
        assert without_metadata(data[:end], name) is None
    assert without_metadata(b"", name) is None
    assert without_metadata(data, "gif") is None
