"""Drop metadata: a JPEG, PNG or WebP without places, names, comments and what hangs behind its end; its coded pixels untouched."""

import re

KEPT_CHUNKS = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"pHYs"}
)  # those that change what is seen
KEPT_WEBP = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ICCP"})
WEBP_TOLD = 0b0000_1100  # VP8X's flags for EXIF and XMP
MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # inside coded pixels: anything but a stuffed byte and a restart
SOS, EOI = 0xDA, 0xD9
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a body


def without_metadata(data: bytes, name: str) -> bytes | None:
    """The same picture without metadata; None where the file isn't built as its format says, or its format isn't one of the three."""
    try:
        return {"jpeg": _jpeg, "png": _png, "webp": _webp}[name](data)
    except (LookupError, ValueError):
        return None


def _jpeg(data: bytes) -> bytes | None:
    """Without APPn and comments, but for those that say how to read the colours: JFIF, Adobe and ICC."""
    parts, place = [data[:2]], 2
    while True:
        if data[place] != 0xFF:
            return None
        while data[place] == 0xFF:
            place += 1
        kind = data[place]
        place += 1
        if kind == EOI:
            return b"".join((*parts, b"\xff\xd9"))
        if kind in ALONE:
            parts.append(bytes((0xFF, kind)))
            continue
        end = place + int.from_bytes(data[place : place + 2], "big")
        if end < place + 2 or end > len(data):
            return None
        if _tells_colours(kind, data[place + 2 : place + 16]):
            parts.append(bytes((0xFF, kind)) + data[place:end])
        place = end
        if kind == SOS:
            found = MARKER.search(data, place)
            if found is None:
                return None
            parts.append(data[place : found.start()])
            place = found.start()


def _tells_colours(kind: int, body: bytes) -> bool:
    if kind == 0xE0:
        return body.startswith(b"JFIF\0")
    if kind == 0xE2:
        return body.startswith(b"ICC_PROFILE\0")
    if kind == 0xEE:
        return body.startswith(b"Adobe")
    return not (0xE0 <= kind <= 0xEF or kind == 0xFE)


def _png(data: bytes) -> bytes | None:
    parts, place = [data[:8]], 8
    while True:
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 12 + size
        if len(kind) < 4 or end > len(data):
            return None
        if kind in KEPT_CHUNKS:
            parts.append(data[place:end])
        if kind == b"IEND":
            return b"".join(parts)
        place = end


def _webp(data: bytes) -> bytes | None:
    parts, place = [], 12
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        return None
    while place < stop:
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + size + size % 2
        if end > stop:
            return None
        if kind == b"VP8X":
            parts.append(data[place : place + 8] + bytes((data[place + 8] & ~WEBP_TOLD,)) + data[place + 9 : end])
        elif kind in KEPT_WEBP:
            parts.append(data[place:end])
        place = end
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
