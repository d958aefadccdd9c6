"""Find an image in a tar: where its bytes lie, so that one picture of a shard is read without the others."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from tasks.methods.tars import EXTENSIONS


@dataclass(frozen=True)
class Place:
    """Where an image lies in its tar, and its file name's extension."""

    offset: int
    size: int
    extension: str


def places(path: Path) -> dict[str, Place]:
    """Where every image of a tar lies, by key. Raises OSError or tarfile.TarError for a file that is no whole tar."""
    found = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            if member.isfile() and extension in EXTENSIONS:
                found[key] = Place(member.offset_data, member.size, extension)
    return found


def read_at(path: Path, place: Place) -> bytes:
    """The bytes of one image."""
    with path.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.size)
