"""Share out shards among workers that each keep several open: a claim is a file, and whoever makes it first has the shard."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.errors import ShardError
from tasks.core.files import remove_temporaries

SECONDS_BETWEEN_TALLIES = 0.5
STOP = "stop"


@dataclass(frozen=True)
class Board:
    """A folder in which the workers of one run leave word to each other, and count for whoever watches."""

    folder: Path

    def begin(self, worker: int) -> None:
        """Take one's place. Raises ShardError where another process had it: what that one has claimed, nobody else would make."""
        try:
            os.close(os.open(self.folder / f"worker-{worker}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise ShardError("a worker was lost: run `dvc repro` again to resume") from None

    def claim(self, numbers: Iterator[int]) -> int | None:
        """The next number that nobody has claimed yet; None if there is none, or if the run is to stop."""
        for number in numbers:
            if (self.folder / STOP).exists():
                return None
            try:
                os.close(os.open(self.folder / f"claim-{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return number
        return None

    def stop(self) -> None:
        """Let no worker begin another shard."""
        (self.folder / STOP).touch()

    def tallies(self) -> list[dict[str, Any]]:
        """What each worker has counted so far."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("tally-*.json"))]


@contextmanager
def board(folder: Path) -> Iterator[Board]:
    """A board in a folder that no other process writes to; it is gone afterwards, and one of a killed run is removed."""
    remove_temporaries(folder)
    place = folder / f".board.{os.getpid()}.tmp"
    place.mkdir(parents=True)
    try:
        yield Board(place)
    finally:
        remove_temporaries(folder)


@dataclass
class Tally:
    """What one worker has counted: images done, taken over from an earlier run, and stored; bytes; failures by class."""

    board: Board
    worker: int
    done: int = 0
    kept: int = 0
    ok: int = 0
    bytes: int = 0
    details: Counter[str] = field(default_factory=Counter)
    _written: float = 0.0

    def count(self, detail: str | None, size: int) -> None:
        """Take in one image."""
        self.done += 1
        self.bytes += size
        if detail is None:
            self.ok += 1
        else:
            self.details[detail] += 1
        if time.monotonic() - self._written > SECONDS_BETWEEN_TALLIES:
            self.write()

    def write(self) -> None:
        """Leave word on the board."""
        self._written = time.monotonic()
        content = {"done": self.done, "kept": self.kept, "ok": self.ok, "bytes": self.bytes, "details": self.details}
        path = self.board.folder / f"tally-{self.worker}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(content))
        temporary.replace(path)
