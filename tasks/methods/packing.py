"""Collect what came of the images of a shard, in any order, and give it back as the entries of its tar, in order.

Picture data waits in an unnamed file, so that memory holds the columns alone, and a killed process leaves nothing.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.methods.tars import Entry

SIZES = ("width", "height", "original_width", "original_height", "sha256")


@dataclass(frozen=True)
class Outcome:
    """What came of one image: columns of its record and, if it is ok, what to store."""

    columns: Mapping[str, Any]
    extension: str = ""
    data: bytes = b""


@dataclass(frozen=True)
class Stored:
    """An outcome whose data lies in the file."""

    columns: Mapping[str, Any]
    extension: str
    offset: int
    size: int


class Packing:
    """The outcomes of one shard. `folder`: on the disk that is to hold the tar."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed with this object
        self._outcomes: dict[str, Stored] = {}
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._outcomes)

    def put(self, image_id: str, outcome: Outcome) -> None:
        """Take in what came of an image."""
        self.restore(image_id, self.store(outcome))

    def store(self, outcome: Outcome) -> Stored:
        """Put data aside that may be wanted later."""
        self._file.seek(self._end)
        self._file.write(outcome.data)
        stored = Stored(outcome.columns, outcome.extension, self._end, len(outcome.data))
        self._end += stored.size
        return stored

    def restore(self, image_id: str, stored: Stored) -> None:
        """Take in what was put aside as what came of an image."""
        self._outcomes[image_id] = stored

    def columns(self, image_id: str) -> Mapping[str, Any]:
        """The image's columns."""
        return self._outcomes[image_id].columns

    def entries(self, rows: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> Iterator[Entry]:
        """Images that are ok, in the order of the rows, each with the text of its first row."""
        packed: set[str] = set()
        for row in rows:
            image = row["image_id"]
            stored = self._outcomes[image]
            if stored.columns["status"] != "ok" or image in packed:
                continue
            packed.add(image)
            fields = {"key": keys[image], "url": row["url"], "caption": row["alt_text"], "image_id": image}
            fields |= {name: stored.columns[name] for name in SIZES}
            fields |= {"status": "success", "error_message": None}  # img2dataset's names
            self._file.seek(stored.offset)
            yield Entry(keys[image], stored.extension, self._file.read(stored.size), row["alt_text"], fields)
