"""Read clean test sets: pictures, texts and true concepts out of NAME.parquet (image, alt_text, concept) or of NAME/CONCEPT/PICTURE."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tasks.methods.pictures import square

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class CleanSet:
    """`images`: the files' bytes; `texts`: "" where there is none; `concepts`: the truth. All of one length, in the set's order."""

    name: str
    images: list[bytes]
    texts: list[str]
    concepts: list[str]

    def picture_ids(self) -> list[str]:
        """Place in the set and the start of the SHA-256."""
        return [f"{place:06d}-{hashlib.sha256(data).hexdigest()[:16]}" for place, data in enumerate(self.images)]

    def pictures(self, size: int) -> np.ndarray:
        """(n, size, size, 3) uint8."""
        whole = np.empty((len(self.images), size, size, 3), np.uint8)
        for place, data in enumerate(self.images):
            whole[place] = square(data, size)
        return whole

    def classes(self, concepts: Sequence[str]) -> np.ndarray:
        """(n,) int64 places of the truth among `concepts`, -1 for those that are not there."""
        places = {name: place for place, name in enumerate(concepts)}
        return np.array([places.get(name, -1) for name in self.concepts], np.int64)


def read_clean_set(folder: Path, name: str) -> CleanSet | None:
    """The set of that name, or None if the folder has none or an empty one. Raises ValueError for a Parquet file without the columns."""
    if (folder / f"{name}.parquet").is_file():
        return _from_parquet(folder / f"{name}.parquet")
    files = sorted(file for file in (folder / name).glob("*/*") if file.suffix.lower() in ENDINGS)
    if not files:
        return None
    return CleanSet(name, [file.read_bytes() for file in files], [""] * len(files), [file.parent.name for file in files])


def _from_parquet(path: Path) -> CleanSet | None:
    columns = pq.read_schema(path).names
    if not {"image", "concept"} <= set(columns):
        raise ValueError(f"{path} has columns {', '.join(columns)}: a clean set needs image (bytes) and concept, alt_text if there is one")
    table = pq.read_table(path)
    if not table.num_rows:
        return None
    texts = table["alt_text"].to_pylist() if "alt_text" in columns else [""] * table.num_rows
    return CleanSet(path.stem, table["image"].to_pylist(), [text or "" for text in texts], table["concept"].to_pylist())
