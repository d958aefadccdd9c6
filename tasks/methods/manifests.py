"""Read manifests: one table of url, alt_text, concept, page_url and extra, from the files that web crawls come in.

Parquet, csv, tsv, jsonl and txt (one URL per line), each also .gz, and folders of them. TSV is read without quoting, as CC3M and CC12M
are written.
"""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

# The names that each column goes by (LAION, DataComp, CC12M, COYO, img2dataset, ...), in any case; the first that is there is taken.
NAMES = {
    "url": ("url", "image_url", "imageurl", "img_url", "image_link"),
    "alt_text": ("alt_text", "alttext", "text", "caption", "alt", "title", "description"),
    "concept": ("concept", "label", "class", "class_name", "query", "search_query"),
    "page_url": ("page_url", "page", "source_url", "context_url", "page_link", "referrer"),
}
SCHEMA = pa.schema([(name, pa.string()) for name in (*NAMES, "extra")])
SUFFIXES = ("parquet", "csv", "tsv", "jsonl", "txt")
WEB = ("http://", "https://")
MAX_LINE = 1 << 20  # bytes looked at to find a file's column names


def read_manifest(path: Path, *, columns: Mapping[str, str] | None = None, limit: int | None = None) -> pa.Table:
    """All rows, or the first `limit`, as (url, alt_text, concept or null, page_url or null, extra: the other columns as JSON or null).

    `columns` maps our names to the file's where they aren't recognised. Raises ValueError in one line: no file, nothing in it, no url
    column, an unknown format.
    """
    unknown = set(columns or {}) - set(NAMES)
    if unknown:
        raise ValueError(f"can't map '{min(unknown)}': a manifest has {', '.join(NAMES)}")
    tables, rows = [], 0
    for file in _files(path):
        table = _normalise(_read(file), file, columns or {})
        tables.append(table)
        rows += table.num_rows
        if limit is not None and rows >= limit:
            break
    if not rows:
        raise ValueError(f"manifest {path} is empty: it holds no row")
    return pa.concat_tables(tables).slice(0, limit).combine_chunks()


def distinct(table: pa.Table) -> tuple[pa.Table, int]:
    """The table without repeated (url, alt_text, concept), the first one kept, and the number of rows left out."""
    key = ["url", "alt_text", "concept"]
    places = table.select(key).append_column("place", pa.array(range(table.num_rows), pa.int64()))
    first = pc.sort_indices(kept := places.group_by(key).aggregate([("place", "min")])["place_min"])
    return table.take(kept.take(first)), table.num_rows - len(kept)


def sample_id(url: str, alt_text: str, concept: str | None) -> str:
    """32 hex digits: BLAKE2b-128 of the three, each with its length in front; no concept differs from an empty one."""
    return _digest((url, alt_text) if concept is None else (url, alt_text, concept))


def image_id(url: str) -> str:
    """32 hex digits: BLAKE2b-128 of the url."""
    return _digest((url,))


def sample_ids(urls: Sequence[str], alt_texts: Sequence[str], concepts: Sequence[str | None]) -> list[str]:
    """`sample_id` of each row."""
    return [sample_id(*row) for row in zip(urls, alt_texts, concepts, strict=True)]


def image_ids(urls: Sequence[str]) -> list[str]:
    """`image_id` of each row."""
    return [image_id(url) for url in urls]


def _digest(parts: tuple[str, ...]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        state.update(len(text).to_bytes(8, "little") + text)
    return state.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and _kind(file) and not file.name.startswith("."))
        files = [file for file in files if _kind(file) != "txt"] or files  # a text beside tables is a note about them
        if not files:
            raise ValueError(f"manifest folder {path} is empty: it holds no {', '.join(SUFFIXES)} file")
        return files
    if not path.is_file():
        raise ValueError(f"no manifest at {path}: no such file or folder")
    if _kind(path) is None:
        raise ValueError(f"manifest {path} has an unknown format: use {', '.join(SUFFIXES)}, each also as .gz, or a folder of them")
    return [path]


def is_manifest(path: Path) -> bool:
    """Whether a file's name ends as a manifest's does."""
    return _kind(path) is not None


def _kind(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    suffix = name.rpartition(".")[2]
    return {"json": "jsonl", "ndjson": "jsonl"}.get(suffix, suffix if suffix in SUFFIXES else None)


def _read(path: Path) -> pa.Table:
    kind = _kind(path)
    try:
        if path.stat().st_size == 0:
            raise ValueError(f"manifest {path} is empty: it holds no row")
        with pa.input_stream(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None) as stream:
            if kind == "parquet":
                return pq.read_table(pa.BufferReader(stream.read()) if path.suffix.lower() == ".gz" else path)
            if kind == "jsonl":
                return pa.json.read_json(stream)
            if kind == "txt":
                lines = stream.read().decode("utf-8-sig").splitlines()
                return pa.table({"url": pa.array([line.strip() for line in lines if line.strip()], pa.string())})
            return _read_text(path, stream, "\t" if kind == "tsv" else ",")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"manifest {path} can't be read as {kind}: {' '.join(str(error).split())}") from None


def _read_text(path: Path, stream: pa.NativeFile, delimiter: str) -> pa.Table:
    """A csv or tsv file; one without a header (its first row has a URL in it) is url and caption, whichever comes first."""
    quoted = delimiter == ","
    first = _first_row(path, delimiter)
    bare = not any(name.lower() in NAMES["url"] for name in first) and any(value.startswith(WEB) for value in first)
    names = _invented(first) if bare else first
    if len(set(names)) < len(names):
        raise ValueError(f"manifest {path} has two columns of one name among: {', '.join(names)}")
    return pa.csv.read_csv(
        stream,
        read_options=pa.csv.ReadOptions(column_names=names if bare else None),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted),
        # Everything stays text: "007" is no number here.
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _first_row(path: Path, delimiter: str) -> list[str]:
    with pa.input_stream(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None) as stream:
        lines = stream.read(MAX_LINE).decode("utf-8-sig", "replace").splitlines()
    if delimiter == "\t":
        return lines[0].split(delimiter) if lines else []
    return next(csv.reader(lines[:1]), [])


def _invented(first: Sequence[str]) -> list[str]:
    """Names for a file without a header: the first URL is the url, the first other value the text."""
    url = next(place for place, value in enumerate(first) if value.startswith(WEB))
    text = next((place for place in range(len(first)) if place != url), None)
    return ["url" if place == url else "alt_text" if place == text else f"column_{place + 1}" for place in range(len(first))]


def _normalise(table: pa.Table, path: Path, columns: Mapping[str, str]) -> pa.Table:
    chosen = {name: columns.get(name) or _recognise(table.schema.names, NAMES[name]) for name in NAMES}
    for name, found in chosen.items():
        if found is not None and found not in table.schema.names:
            raise ValueError(f"manifest {path} has no column '{found}' to take as {name} (columns: {', '.join(table.schema.names)})")
    if chosen["url"] is None:
        known = ", ".join(table.schema.names)
        raise ValueError(f"manifest {path} has no url column (columns: {known}): name it, as in --column url=NAME")
    parts = {name: _text(table, found, path) for name, found in chosen.items()}
    for name, values in parts.items():
        filled = pc.fill_null(values, "")
        # Text formats can't tell "none" from "empty": no text is an empty one, no concept and no page are null.
        parts[name] = filled if name in ("url", "alt_text") else pc.if_else(pc.equal(filled, ""), None, values)
    taken = set(chosen.values())
    others = [field.name for field in table.schema if field.name not in taken and not pa.types.is_large_binary(field.type)]
    parts["extra"] = pa.array(_extra(table.select(others)), pa.string())
    return pa.table(parts, schema=SCHEMA)


def _recognise(names: Sequence[str], known: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(names)}
    return next((lowered[name] for name in known if name in lowered), None)


def _text(table: pa.Table, name: str | None, path: Path) -> pa.ChunkedArray | pa.Array:
    if name is None:
        return pa.nulls(table.num_rows, pa.string())
    try:
        return table[name].cast(pa.string())
    except pa.ArrowException:
        raise ValueError(f"manifest {path}: column '{name}' is {table[name].type}, not text") from None


def _extra(table: pa.Table) -> Iterator[str | None]:
    """The other columns of each row as JSON with sorted keys; values that are null, not a number, or bytes are left out."""
    for row in table.to_pylist() if table.num_columns else [{}] * table.num_rows:
        kept = {name: value for name, value in row.items() if _tells(value)}
        yield json.dumps(kept, sort_keys=True, ensure_ascii=False, default=str) if kept else None


def _tells(value: Any) -> bool:
    return value is not None and not isinstance(value, bytes) and not (isinstance(value, float) and not math.isfinite(value))
