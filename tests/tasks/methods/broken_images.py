"""A corpus of pictures, odd ones among them, and mutations of each: what a crawler meets, and what an attacker sends."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif")


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def corpus() -> dict[str, bytes]:
    """Well-formed files by name: each format, each odd mode, animations, metadata, polyglots, bombs, wrong and zero sizes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 36, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((48, 32), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "somewhere"
    files = {name: encoded(picture, name) for name in FORMATS}
    files |= {"progressive": encoded(picture, "jpeg", progressive=True), "turned": encoded(picture, "jpeg", exif=exif)}
    files |= {"cmyk": encoded(picture.convert("CMYK"), "jpeg"), "grey": encoded(picture.convert("L"), "jpeg")}
    files |= {"palette": encoded(picture.convert("P"), "png", transparency=3), "bits": encoded(picture.convert("1"), "tiff")}
    files["deep"] = encoded(Image.fromarray(pixels[..., 0].astype(np.uint16) << 8), "png")
    files["deep_tiff"] = encoded(Image.fromarray(pixels[..., 0].astype(np.int32) * 70000), "tiff")
    files["float"] = encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "tiff")
    files |= {f"{kind}_tiff": encoded(picture, "tiff", compression=kind) for kind in ("tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate")}
    files["clear"] = encoded(picture.convert("RGBA"), "webp", lossless=True)
    frames = [picture, picture.transpose(Image.Transpose.ROTATE_180)]
    files |= {
        f"moving_{name}": encoded(frames[0], name, save_all=True, append_images=frames[1:]) for name in ("gif", "webp", "png", "avif")
    }
    files["polyglot"] = files["jpeg"] + b"PK\3\4" + bytes(200) + b"<?php exit; ?>"
    files["html_in_gif"] = files["gif"][:13] + b"<script>" + files["gif"][13:]
    files |= {"jpeg_head_png": b"\xff\xd8\xff" + files["png"], "png_head_jpeg": files["png"][:8] + files["jpeg"]}
    files |= {"png_bomb": png(30_000, 30_000), "flat_png": png(0, 5), "wide_png": png(2**31 - 1, 1), "gif_bomb": gif_bomb()}
    files["webp_bomb"] = files["webp"][:12] + b"VP8X\x0a\0\0\0" + bytes(4) + b"\xfe\x3f\0" * 2 + files["webp"][12:]
    files["flat_gif"] = files["gif"][:6] + bytes(4) + files["gif"][10:]
    files["flat_bmp"] = files["bmp"][:18] + bytes(8) + files["bmp"][26:]
    return files


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def gif_bomb() -> bytes:
    """A small screen with a frame of 65,535 x 65,535."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(6) + frame


def mutations(n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`n` files, each a corpus file that was cut, flipped, overwritten, stretched or joined with another one."""
    files = corpus()
    names = sorted(files)
    rng = np.random.default_rng(seed)
    for number in range(n):
        name = names[number % len(names)]
        yield name, mutated(files[name], files[names[rng.integers(len(names))]], rng)


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:
        return data[: rng.integers(len(data))]
    if kind == 1:  # bits, anywhere
        for place in rng.integers(0, len(data), rng.integers(1, 40)):
            changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # bytes of the header, where sizes and offsets stand
        for place in rng.integers(0, min(len(data), 64), rng.integers(1, 6)):
            changed[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
    elif kind == 3:
        place, size = rng.integers(len(data)), rng.integers(1, 200)
        changed[place : place + size] = b""
    elif kind == 4:
        place = rng.integers(len(data))
        changed[place:place] = rng.bytes(int(rng.integers(1, 200)))
    else:
        place = rng.integers(min(len(data), len(other)))
        changed[place:] = other[place:]
    return bytes(changed)
