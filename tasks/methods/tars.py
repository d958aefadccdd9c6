"""Pack images: WebDataset tars as img2dataset writes them (KEY.jpg, KEY.txt, KEY.json), the same bytes for the same images."""

import json
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

EXTENSIONS = ("jpg", "jpeg", "png", "webp")
HEADER = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)  # of an empty file without a name, clock and owner
NAME_BYTES = 100
MAX_BYTES = 8**11 - 1


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
    with path.open("wb") as file:
        for entry in entries:
            if not (entry.key.isalnum() and entry.key.isascii()) or entry.extension not in EXTENSIONS:
                raise ValueError(f"'{entry.key}.{entry.extension}' is no name for a tar: letters and digits, then one of {EXTENSIONS}")
            _add(file, f"{entry.key}.{entry.extension}", entry.data)
            _add(file, f"{entry.key}.txt", entry.text.encode())
            _add(file, f"{entry.key}.json", json.dumps(entry.fields, sort_keys=True, ensure_ascii=False).encode())
        end = file.tell() + 2 * tarfile.BLOCKSIZE  # two empty blocks, then up to a whole record
        file.write(bytes(-(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE - file.tell()))


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


def _add(file: BinaryIO, name: str, data: bytes) -> None:
    """What tarfile writes for a plain file in the USTAR format, without its work on the fields that never differ."""
    header = bytearray(HEADER)
    if len(name) > NAME_BYTES or len(data) > MAX_BYTES:
        raise ValueError(f"'{name}' with {len(data)} bytes doesn't fit into a tar: names have up to {NAME_BYTES} bytes, files up to 8 GiB")
    header[: len(name)] = name.encode("ascii")
    header[124:135] = b"%011o" % len(data)
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 0x20)  # the checksum counts itself as spaces
    file.write(header)
    file.write(data)
    file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
