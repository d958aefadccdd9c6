"""Take images out of files: tars, tables, the index and the kNN graph, each rewritten only if it holds one, each atomically.

Every step can be done again after a kill: what is done already is left alone.
"""

import tarfile
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.crawls import KNOWN, WEB_DIGEST, read_blocked, read_settings, web_digest
from tasks.core.files import write_atomically, write_folder_atomically
from tasks.core.forgotten import Forgotten
from tasks.core.graph import PLACEHOLDER, Entry, read_graph
from tasks.core.params import read_params
from tasks.core.portions import RETRIES, read_portions, read_rows
from tasks.core.tables import RECIPE, TABLE, layout
from tasks.index import INDEX, ROWS, VECTORS
from tasks.ingest_plan import origin_of, recipe_of, web_of
from tasks.methods.forgetting import Wanted, emptied, graph_without, hits, shifted, telling_columns, without
from tasks.methods.index_files import read_index, write_index
from tasks.methods.known import KnownImages
from tasks.methods.search import remove_rows
from tasks.methods.vectors import QUERIES

DONE = b"sluice.forgotten"
MANIFEST, WEB = "manifest.parquet", "web.parquet"
STAYING = ("records", "validity", "samples")  # tables whose rows are marked, never deleted
Before = Callable[[Path], None]  # is told of every file that is about to be replaced


def data_folders() -> list[Path]:
    """Every folder of the graph that holds data, as far as it lies in the workspace; placeholders of crawls and arms cut off."""
    top = Path.cwd().resolve()
    entries = {entry for stage in read_graph().values() for entry in (*stage.data, *stage.outs)}
    found = {path for entry in entries if (path := steady(entry)).is_dir() and path.resolve().is_relative_to(top) and path.parts}
    return sorted(folder for folder in found if not any(other in folder.parents for other in found))


def steady(entry: Entry) -> Path:
    """The path of an entry up to the first part that a crawl or an arm fills in."""
    values = {name: value for name, value in read_params().items() if isinstance(value, str)}
    parts = (PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), part) for part in Path(entry.template).parts)
    return Path(*takewhile(lambda part: not PLACEHOLDER.search(part), parts))


def parquet_files(folders: list[Path]) -> Iterator[Path]:
    """Every Parquet file below the folders."""
    return (path for folder in folders for path in sorted(folder.rglob("*.parquet")) if not path.name.startswith("."))


def table_name(schema: pa.Schema) -> str:
    """The contract that a file was written by, if it was written by one."""
    return str((schema.metadata or {}).get(TABLE, b"").decode())


def edit_table(path: Path, wanted: Wanted, forgotten: Forgotten, crawls: Path, before: Before) -> int:
    """Take the rows of what is wanted out of one file, or empty them where rows have to stay; how many there were."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = telling_columns(schema, wanted)
        mask = hits(file.read(columns=names), wanted) if names and table_name(schema) != "neighbors" else np.zeros(0, bool)
        if not mask.any():
            return 0
        table = file.read()
    stays = table_name(schema) in STAYING or path.name == MANIFEST or path.parent.name == RETRIES
    changed = emptied(table, mask) if stays else without(table, mask)
    metadata = dict(schema.metadata or {})
    metadata.pop(RECIPE, None)  # what has been taken out of a shard was made by no recipe
    if table_name(schema) == "records":
        recipe = ingest_recipe(crawls / path.parent.name, path.stem, forgotten)
        metadata |= {RECIPE: recipe.encode()} if recipe else {}
    if path.name == WEB:
        metadata[WEB_DIGEST] = web_digest(path.parent).encode()
    if changed.equals(table) and metadata == (schema.metadata or {}):
        return 0  # emptied before
    before(path)
    options = {"compression": "none", "row_group_size": 1000} if path.name == WEB else layout(changed)
    with write_atomically(path) as temporary:
        pq.write_table(changed.replace_schema_metadata(metadata), temporary, **options)
    return int(mask.sum())


def ingest_recipe(folder: Path, shard: str, forgotten: Forgotten) -> str | None:
    """The recipe that `ingest` would give the shard now, so that it takes the shard as done; None where the crawl's folder isn't here."""
    if not (folder / MANIFEST).is_file():
        return None
    settings = read_settings(folder)
    portions = read_portions(folder, folder.name, settings.rows_per_shard)
    portion = next((found for found in portions if found.shard.name == shard), None)
    if portion is None:
        return None
    rows, hidden = forgotten.masked(read_rows(portion))
    known, blocked = KnownImages(folder / KNOWN), frozenset(read_blocked(folder))
    try:
        web = web_of(folder, settings)
        origin = origin_of(folder, portion, rows.to_pylist(), hidden, known, settings=settings, web=web, blocked=blocked)
    finally:
        known.close()
    return recipe_of(origin, portion)


def edit_tar(path: Path, keys: set[str], before: Before) -> int:
    """Take the members of the keys out of a tar; how many images there were."""
    with tarfile.open(path, "r:") as source:
        held = {member.name.partition(".")[0] for member in source} & keys
        if not held:
            return 0
        before(path)
        with write_atomically(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as target:
            for member in source:
                if member.name.partition(".")[0] not in held:
                    target.addfile(member, source.extractfile(member))
    return len(held)


def edit_index(folder: Path, gone: np.ndarray, before: Before) -> None:
    """Take the positions out of vectors, FAISS index and rows; the folder is replaced as a whole."""
    rows = pq.ParquetFile(folder / ROWS).read()
    vectors = np.load(folder / VECTORS, mmap_mode="r")
    stays = np.setdiff1d(np.arange(len(vectors)), gone)
    for path in sorted(folder.iterdir()):
        before(path)
    left = rows.take(pa.array(stays)).set_column(0, "position", pa.array(shifted(stays, gone)))
    with write_folder_atomically(folder) as temporary:
        pq.write_table(left, temporary / ROWS, compression="zstd")
        kept = np.lib.format.open_memmap(temporary / VECTORS, mode="w+", dtype=vectors.dtype, shape=(len(stays), vectors.shape[1]))
        for start in range(0, len(stays), QUERIES):
            kept[start : start + QUERIES] = vectors[stays[start : start + QUERIES]]
        kept.flush()
        write_index(remove_rows(read_index(folder / INDEX), gone, kept), temporary / INDEX)


def positions(folder: Path, wanted: Wanted) -> np.ndarray:
    """Where the samples stand in the index, ascending; none if there is no index."""
    if not (folder / ROWS).is_file():
        return np.zeros(0, np.int64)
    ids = pq.ParquetFile(folder / ROWS).read(columns=["sample_id"])["sample_id"]
    here = pc.is_in(ids, value_set=pa.array(sorted(wanted.samples), pa.string()))
    return np.flatnonzero(here.to_numpy()).astype(np.int64)


def edit_graph(folders: list[Path], gone: np.ndarray, token: str, before: Before) -> int:
    """Take the positions out of every shard of the kNN graph; how many shards. The token in a shard says that it is done."""
    n_edited = 0
    for path in parquet_files(folders) if len(gone) else ():
        with pq.ParquetFile(path) as file:
            metadata = dict(file.schema_arrow.metadata or {})
            if table_name(file.schema_arrow) != "neighbors" or metadata.get(DONE) == token.encode():
                continue
            made = graph_without(file.read(), gone).replace_schema_metadata(metadata | {DONE: token.encode()})
        before(path)
        with write_atomically(path) as temporary:
            pq.write_table(made, temporary, **layout(made))
        n_edited += 1
    return n_edited
