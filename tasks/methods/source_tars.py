"""Read tars from outside: images with the fields beside them, out of WebDataset shards such as img2dataset's; nothing is unpacked."""

import json
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

MAX_TEXT = 1 << 20  # bytes of a text or JSON member; more is cut off
# Formats that run code when they are read, or hold what does.
PICKLES = frozenset({"pyd", "pkl", "pickle", "pth", "pt", "ckpt", "joblib", "dill", "npy", "npz"})
TEXTS = frozenset({"txt", "caption", "text", "json", "cls"})


def read_tar(path: Path, images: Collection[str], max_bytes: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Bytes and fields of every image, in order: neighbouring members of one name up to its first dot are one sample.

    Raises ValueError for a member that is a link or a device, whose path leaves the tar, or that is a pickle, and for a broken tar.
    """
    key, data, fields = None, b"", dict[str, Any]()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # or memory grows with the tar
                if member.isdir():
                    continue
                name = checked_name(path, member)
                stem, _, suffix = name.name.partition(".")
                suffix = suffix.lower()
                if suffix not in images and suffix not in TEXTS:
                    continue
                place = str(name.with_name(stem))
                if place != key:
                    if data:
                        yield data, fields
                    key, data, fields = place, b"", {"file": f"{path.name}/{place}"}
                if suffix in images:
                    data = data or _read(tar, member, max_bytes + 1)
                else:
                    fields |= fields_of(suffix, _read(tar, member, MAX_TEXT).decode("utf-8", "replace"))
    except tarfile.TarError as error:
        raise ValueError(f"{path} can't be read as a tar: {error}") from None
    if data:
        yield data, fields


def checked_name(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """The member's path. Raises ValueError for what no honest tar of images holds."""
    name = PurePosixPath(member.name)
    if not member.isreg():
        raise ValueError(f"{path}: '{member.name}' is a link or a device: a tar of images holds files alone")
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise ValueError(f"{path}: '{member.name}' leaves its folder")
    if PICKLES & set(name.name.lower().split(".")[1:]):
        raise ValueError(f"{path}: '{member.name}' is a pickle, which can run code: remove such members first")
    return name


def fields_of(suffix: str, text: str) -> dict[str, Any]:
    """What a text member says; img2dataset's caption stands in both the text and the JSON."""
    if suffix == "json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}
    return {"cls" if suffix == "cls" else "caption": text.strip()}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    stream = tar.extractfile(member)
    return stream.read(most) if stream is not None else b""
