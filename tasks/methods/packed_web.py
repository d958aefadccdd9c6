"""Pack a web: files by path in one Parquet table, read from the few row groups that are asked for, so that memory holds no more."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.binary())])
GROUP_BYTES = 16 << 20  # of files in a row group
GROUPS_HELD = 12


class PackedFiles:
    """Looks files up by path. Raises ValueError if the file is not a packed web."""

    def __init__(self, packed: Path) -> None:
        try:
            self._file = pq.ParquetFile(packed)
            self._places = dict[str, tuple[int, int]]()
            for group in range(self._file.num_row_groups):
                for row, path in enumerate(self._file.read_row_group(group, columns=["path"])["path"].to_pylist()):
                    self._places[path] = group, row
            if "bytes" not in self._file.schema_arrow.names:
                raise ValueError("no column 'bytes'")
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{packed} is not a packed web (a Parquet file with path and bytes): {error}") from None
        self._groups: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is no such path."""
        place = self._places.get(path)
        if place is None:
            return None
        group, row = place
        with self._lock:
            if group not in self._groups:
                self._groups[group] = self._file.read_row_group(group, columns=["bytes"])["bytes"]
                if len(self._groups) > GROUPS_HELD:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(group)
            data: bytes = self._groups[group][row].as_py()
        return data

    def close(self) -> None:
        self._file.close()


class Pile:
    """Files put down in any order, to be taken up in another one; they wait in an unnamed file on the disk of `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed with this object
        self._ends = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, data: bytes) -> int:
        """Put a file down and return its number."""
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        return len(self._ends) - 2

    def tables(self, paths: Sequence[str], numbers: Sequence[int]) -> Iterator[pa.Table]:
        """The files of these numbers under these paths as tables (path, bytes) of about GROUP_BYTES each."""
        sizes = [self._ends[number + 1] - self._ends[number] for number in numbers]
        edges, held = [0], 0
        for place, size in enumerate(sizes, start=1):
            held += size
            if held >= GROUP_BYTES or place == len(sizes):
                edges.append(place)
                held = 0
        for start, stop in pairwise(edges):
            files = [self._take(number) for number in numbers[start:stop]]
            yield pa.table({"path": paths[start:stop], "bytes": files}, schema=SCHEMA)

    def _take(self, number: int) -> bytes:
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number])
