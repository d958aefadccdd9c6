"""Pack images: WebDataset tars as img2dataset writes them (KEY.jpg, KEY.txt, KEY.json), the same bytes for the same images."""

import json
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

EXTENSIONS = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Entry:
    """One image of a tar: its bytes, its text (KEY.txt) and what else is known of it (KEY.json)."""

    key: str
    extension: str
    data: bytes
    text: str
    fields: Mapping[str, Any]


def write_images(path: Path, entries: Iterable[Entry]) -> None:
    """Write a tar of the entries in order of their keys, without clocks and owners. Raises ValueError for an unfit key or extension."""
    write_in_order(path, sorted(entries, key=lambda entry: entry.key))


def write_in_order(path: Path, entries: Iterable[Entry]) -> None:
    """The same for entries that come in order of their keys: one at a time is held."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            if not entry.key.isalnum() or entry.extension not in EXTENSIONS:
                raise ValueError(f"'{entry.key}.{entry.extension}' is no name for a tar: letters and digits, then one of {EXTENSIONS}")
            _add(tar, f"{entry.key}.{entry.extension}", entry.data)
            _add(tar, f"{entry.key}.txt", entry.text.encode())
            _add(tar, f"{entry.key}.json", json.dumps(entry.fields, sort_keys=True, ensure_ascii=False).encode())


def read_images(path: Path, keys: Collection[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of every image of a tar in its order, or of those asked for. Raises ValueError for keys that it doesn't hold."""
    left = set(keys) if keys is not None else None
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            if extension not in EXTENSIONS or not member.isfile() or (left is not None and key not in left):
                continue
            stream = tar.extractfile(member)
            if stream is None:
                raise ValueError(f"{path}: '{member.name}' holds no bytes")
            yield key, stream.read()
            if left is not None:
                left.remove(key)
                if not left:
                    return
    if left:
        raise ValueError(f"{path} lacks {len(left)} of the keys asked for, such as '{min(left)}'")


def locate_images(path: Path, keys: Collection[str]) -> list[tuple[str, int, int]]:
    """Key, first byte and number of bytes of the images asked for, in the tar's order. Raises ValueError for keys that it doesn't hold."""
    left, found = set(keys), []
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            if extension in EXTENSIONS and member.isfile() and key in left:
                found.append((key, member.offset_data, member.size))
                left.remove(key)
                if not left:
                    break
    if left:
        raise ValueError(f"{path} lacks {len(left)} of the keys asked for, such as '{min(left)}'")
    return found


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, BytesIO(data))
