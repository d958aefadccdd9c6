"""Read sources that bring their images along: WebDataset tars, Hugging Face parquet, folders of images; a stream of images out of each.

What comes from outside is hostile until checked: no file is unpacked, none outside the source is read, links and pickles are refused.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.methods.manifests import NAMES, is_manifest
from tasks.methods.source_parquet import holds_images, read_parquet
from tasks.methods.source_tars import MAX_TEXT, fields_of, read_tar

IMAGES = frozenset({"jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"})
HOST = "carried.test"  # a reserved name: addresses of images that came with a source


@dataclass(frozen=True)
class Carried:
    """One image of a source, with its texts; `extra` holds what else is known, its place in the source and its web address among it."""

    data: bytes
    alt_text: str
    concept: str | None
    page_url: str | None
    extra: str


def recognise(path: Path) -> str:
    """What lies there: a `manifest` of addresses, or images in `tars`, in `parquet` or as `images` of a folder.

    Raises ValueError where nothing is there.
    """
    if not path.exists():
        raise ValueError(f"no manifest at {path}: no such file or folder")
    if path.is_file():
        if path.name.endswith(".tar"):
            return "tars"
        return "parquet" if path.suffix == ".parquet" and holds_images(path) else "manifest"
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    if any(file.suffix == ".tar" for file in files):
        return "tars"
    tables = [file for file in files if file.suffix == ".parquet"]
    if tables and holds_images(tables[0]):
        return "parquet"
    shards = any((path / table.stem).is_dir() for table in tables)  # img2dataset's `files`: a folder of images beside each table
    if (shards or not any(_lists(file) for file in files)) and next(_images(path), None) is not None:
        return "images"
    if not files and (nested := next(iter(sorted(path.rglob("*.parquet"))), None)) is not None and holds_images(nested):
        return "parquet"
    return "manifest"


def read_source(path: Path, kind: str, *, max_bytes: int) -> Iterator[Carried]:
    """The images of a source in order of its files. An image over `max_bytes` comes cut off one byte beyond them.

    Raises ValueError for what no honest source holds: links, paths that leave it, pickles, files by reference, a broken archive.
    """
    if kind == "tars":
        for file in _files(path, "tar"):
            yield from (_carried(*sample) for sample in read_tar(file, IMAGES, max_bytes))
    elif kind == "parquet":
        for file in _files(path, "parquet"):
            yield from (_carried(*sample) for sample in read_parquet(file, max_bytes))
    else:
        for file in _images(path):
            yield _carried(*_read_image(file, path, max_bytes))


def _lists(file: Path) -> bool:
    """Whether a file may be a manifest, rather than a note, or what is known of the image of the same name."""
    beside = any(file.with_suffix(f".{suffix}").exists() for suffix in IMAGES)
    return is_manifest(file) and file.suffix != ".txt" and not beside


def _files(path: Path, suffix: str) -> list[Path]:
    if path.is_file():
        return [path]
    return [_inside(file, path) for file in sorted(path.rglob(f"*.{suffix}"))]


def _images(path: Path) -> Iterator[Path]:
    """The image files below a folder, in order. Raises ValueError for a link."""
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if not hidden and file.suffix.lower().removeprefix(".") in IMAGES and (file.is_symlink() or file.is_file()):
            yield _inside(file, path)


def _inside(file: Path, folder: Path) -> Path:
    """The file itself. Raises ValueError where a link stands between it and the folder."""
    if file.resolve() != folder.resolve() / file.relative_to(folder):
        raise ValueError(f"{file} is a link, or lies behind one: a source must hold its files itself")
    return file


def _read_image(file: Path, folder: Path, max_bytes: int) -> tuple[bytes, dict[str, Any]]:
    """The bytes of an image and what its neighbours (STEM.txt, STEM.json) say, as img2dataset writes them."""
    with file.open("rb") as stream:
        data = stream.read(max_bytes + 1)
    fields: dict[str, Any] = {"file": file.relative_to(folder).as_posix()}
    for suffix in (".json", ".txt"):
        neighbour = file.with_suffix(suffix)
        if neighbour.is_file():
            with _inside(neighbour, folder).open("rb") as stream:
                text = stream.read(MAX_TEXT).decode("utf-8", "replace")
            fields |= fields_of(suffix.removeprefix("."), text)
    return data, fields


def _carried(data: bytes, fields: dict[str, Any]) -> Carried:
    """Take texts out of the fields by the names that manifests have for them."""
    lowered = {name.lower(): name for name in reversed(fields)}
    found: dict[str, str | None] = {}
    for column in ("alt_text", "concept", "page_url"):
        name = next((lowered[known] for known in NAMES[column] if known in lowered), None)
        value = fields.pop(name, None) if name is not None else None
        found[column] = None if value is None or value == "" else str(value)
    told = {name: value for name, value in fields.items() if value is not None}
    extra = json.dumps(told, sort_keys=True, ensure_ascii=False, default=str)
    return Carried(data, found["alt_text"] or "", found["concept"], found["page_url"], extra)
