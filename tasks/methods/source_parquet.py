"""Read parquet from outside that holds images: Hugging Face's struct of bytes and path, or a plain column of bytes as img2dataset's."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 64  # rows held at once
NAMED = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo")  # columns of bytes with these names are images


def holds_images(path: Path) -> bool:
    """Whether a parquet file has a column of images. Raises ValueError for a file that is no parquet."""
    return image_column(read_schema(path)) is not None


def read_schema(path: Path) -> pa.Schema:
    """Names and types of a parquet file. Raises ValueError."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} can't be read as parquet: {' '.join(str(error).split())}") from None


def image_column(schema: pa.Schema) -> str | None:
    """The column of images: a struct of bytes and path, or bytes under a name that says so."""
    for field in schema:
        if pa.types.is_struct(field.type) and {"bytes", "path"} <= {child.name for child in field.type}:
            return str(field.name)
    named = {field.name.lower(): field.name for field in schema if _is_bytes(field.type)}
    return next((named[name] for name in NAMED if name in named), None)


def read_parquet(path: Path, max_bytes: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Bytes and other fields of every row that has an image. Class labels become their names.

    Raises ValueError for a row that names a file instead of holding it, and for a broken file.
    """
    schema = read_schema(path)
    column = image_column(schema)
    if column is None:
        raise ValueError(f"{path} has no column of images (columns: {', '.join(schema.names)})")
    names = label_names(schema)
    others = [field.name for field in schema if field.name != column and not _is_bytes(field.type) and not pa.types.is_struct(field.type)]
    row_number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=[column, *others]):
                for row in batch.to_pylist():
                    image = row.pop(column)
                    data = image if isinstance(image, bytes) else (image or {}).get("bytes")
                    if data is None and isinstance(image, dict) and image.get("path"):
                        raise ValueError(f"{path}: row {row_number} names the file '{image['path']}' instead of holding its bytes")
                    if data:
                        place = {"file": f"{path.name}/{row_number}"}
                        yield data[: max_bytes + 1], place | {name: _named(names.get(name), value) for name, value in row.items()}
                    row_number += 1
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} can't be read as parquet: {' '.join(str(error).split())}") from None


def label_names(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """Names of the class labels of each column, as Hugging Face notes them in the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _named(names: Sequence[str] | None, value: Any) -> Any:
    if names is None or not isinstance(value, int) or not 0 <= value < len(names):
        return value
    return names[value]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
