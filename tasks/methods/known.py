"""Look up images that are known already: what was stored of them, and which version it was, out of a crawl's known.parquet."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


class KnownImages:
    """A file sorted by image_id, of which the row groups that hold a shard's images are read. Without the file nothing is known."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path) if path.exists() else None
        self._ranges: list[tuple[str, str]] = []
        if self._file is not None:
            place = self._file.schema_arrow.names.index("image_id")
            for group in range(self._file.num_row_groups):
                found = self._file.metadata.row_group(group).column(place).statistics
                self._ranges.append((found.min, found.max))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def tables(self, image_ids: Collection[str], columns: Collection[str] | None = None) -> Iterator[pa.Table]:
        """The rows of these images, a table per row group that has any."""
        if self._file is None or not image_ids:
            return
        first, last, wanted = min(image_ids), max(image_ids), pa.array(list(image_ids), pa.string())
        for group, (least, most) in enumerate(self._ranges):
            if most < first or least > last:
                continue
            table = self._file.read_row_group(group, columns=list(columns) if columns is not None else None)
            table = table.filter(pc.is_in(table["image_id"], value_set=wanted))
            if table.num_rows:
                yield table
