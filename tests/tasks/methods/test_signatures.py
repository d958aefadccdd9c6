from io import BytesIO

import pytest
from PIL import Image

from tasks.methods.signatures import announced_size, sniff


def encoded(name: str, width: int = 30, height: int = 20, **options: object) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (width, height), "teal").save(stream, name, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"])
def test_formats_are_known_by_their_first_bytes(name: str) -> None:
    assert sniff(encoded(name)) == name
    assert sniff(encoded(name)[:12]) == name
    assert sniff(b"x" + encoded(name)) is None


def test_other_bytes_are_no_picture() -> None:
    for data in (b"", b"<svg/>", b"%PDF-1.7", b"RIFF0000WAVEfmt ", b"\x00\x00\x00\x20ftypisom", b"GIF90a"):
        assert sniff(data) is None


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_a_webp_announces_its_size(options: dict[str, object]) -> None:
    assert announced_size(encoded("webp", 30, 20, **options), "webp") == (30, 20)


def test_a_gif_is_as_large_as_screen_and_first_frame() -> None:
    data = encoded("gif")
    assert announced_size(data, "gif") == (30, 20)
    place = data.index(b",", 13)
    stretched = data[:place] + b"," + bytes(4) + (500).to_bytes(2, "little") + (400).to_bytes(2, "little") + data[place + 9 :]
    assert announced_size(stretched, "gif") == (500, 400)


def test_what_ends_too_early_announces_nothing() -> None:
    for name in ("webp", "gif"):
        data = encoded(name)
        assert announced_size(data[:8], name) is None
        for end in range(len(data)):
            announced_size(data[:end], name)
    assert announced_size(b"RIFF\0\0\0\0WEBPABCD" + bytes(20), "webp") is None
    assert announced_size(encoded("png"), "png") is None
