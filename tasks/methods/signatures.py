"""Recognise pictures: format, and size where the decoder would ask for memory before it tells, out of a file's first bytes."""


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


def announced_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Width and height that a WebP or GIF announces; None for other formats, whose decoders read them first, and for broken headers.

    libwebp asks for two canvases when it opens a file, and a GIF's first frame may be larger than its screen.
    """
    if name == "webp":
        return _webp_size(data)
    if name == "gif":
        return _gif_size(data)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _gif_size(data: bytes) -> tuple[int, int] | None:
    """The screen, stretched to the first frame."""
    if len(data) < 13:
        return None
    width, height = (int.from_bytes(data[place : place + 2], "little") for place in (6, 8))
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while place < len(data) and data[place] == 0x21:  # extensions: a label, then blocks up to an empty one
        place += 2
        while place < len(data) and data[place]:
            place += data[place] + 1
        place += 1
    if place + 9 <= len(data) and data[place] == 0x2C:
        left, top, wide, high = (int.from_bytes(data[place + at : place + at + 2], "little") for at in (1, 3, 5, 7))
        return max(width, left + wide), max(height, top + high)
    return width, height
