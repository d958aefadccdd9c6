"""Read and write tables: folders of Parquet shards that are checked against a contract at both doors.

A table lies in `root/CRAWL/SHARD.parquet`, or in `root/crawl=CRAWL/SHARD.parquet` where a stage works on all crawls at once.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.errors import ContractError, ShardError
from tasks.core.files import digest_of_file, remove_temporaries, write_atomically
from tasks.core.sorting import sorted_rows

ROW_GROUP = 122_880  # rows; DuckDB's own unit of parallel work
PAGE_BYTES = 1 << 17  # a look-up decompresses one page of a column
SOUGHT = "sample_id"  # what rows are looked up by
RECIPE = b"sluice.recipe"
TABLE = b"sluice.table"
MADE_BY = b"sluice.made_by"  # in a column's metadata


@dataclass(frozen=True, order=True)
class Shard:
    """One file of a table: the unit of parallelism, resume and storage."""

    crawl: str
    name: str

    def __str__(self) -> str:
        return f"{self.crawl}/{self.name}"


@dataclass(frozen=True)
class Contract:
    """What a table is: one row is what (`doc`), its columns with a sentence each, its key.

    `folder` lies under the bound path; a table with `partitioned=False` knows no crawls and lies in one shard.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    schema: pa.Schema
    folder: str = ""
    partitioned: bool = True

    def check(self, table: pa.Table, where: str, *, is_sorted: bool = False) -> None:
        """What holds on write: schema, nullability, key; less work for a table sorted by its key. Raises ContractError."""
        self.check_schema(table.schema, where)
        self.check_nulls(table, where)
        if self.key:
            self._check_key(table, where, is_sorted=is_sorted)

    def check_schema(self, schema: pa.Schema, where: str) -> None:
        """Raise ContractError unless names and types are the contract's."""
        if schema.names != self.schema.names:
            missing = [name for name in self.schema.names if name not in schema.names]
            extra = [name for name in schema.names if name not in self.schema.names]
            order = "" if missing or extra else ", same names in another order"
            raise ContractError(f"table '{self.name}' at {where}: columns missing {missing}, not in the contract {extra}{order}")
        for expected, actual in zip(self.schema, schema, strict=True):
            kind = actual.type.value_type if pa.types.is_dictionary(actual.type) else actual.type
            if not kind.equals(expected.type):
                raise ContractError(f"table '{self.name}' at {where}: column '{expected.name}' is {actual.type}, not {expected.type}")

    def check_nulls(self, table: pa.Table, where: str) -> None:
        """Raise ContractError for nulls where the contract allows none; looks at the columns that `table` has."""
        for name in table.schema.names:
            if not self.schema.field(name).nullable and table[name].null_count:
                raise ContractError(f"table '{self.name}' at {where}: {table[name].null_count} nulls in '{name}'")

    def _check_key(self, table: pa.Table, where: str, *, is_sorted: bool) -> None:
        keys = table.select(list(self.key))
        if is_sorted:  # spares a hash table of all keys: only those that stand twice in a row are grouped
            equal = (pc.equal(keys[name][1:], keys[name][:-1]) for name in self.key)
            keys = pa.concat_tables([keys[1:].filter(functools.reduce(pc.and_, equal))] * 2)
        counts = keys.group_by(list(self.key)).aggregate([([], "count_all")])
        repeated = counts.filter(pc.greater(counts["count_all"], 1))
        if repeated.num_rows:
            first = {name: repeated[name][0].as_py() for name in self.key}
            raise ContractError(f"table '{self.name}' at {where}: {repeated.num_rows} keys repeat, such as {first}")


def column(name: str, kind: pa.DataType, sentence: str, *, nullable: bool = False) -> pa.Field:
    """A column of a contract, with the sentence that the catalog shows."""
    return pa.field(name, kind, nullable=nullable, metadata={"comment": sentence})


@dataclass(frozen=True)
class Table:
    """A table on disk; `crawls` are the ones of params.yaml, so that a removed crawl's folder is not read."""

    contract: Contract
    root: Path
    crawls: Sequence[str] = field(default_factory=list)
    per_crawl: bool = True  # folders named CRAWL; else crawl=CRAWL
    bound_crawl: str | None = None  # the root is this one crawl's folder

    def path(self, shard: Shard) -> Path:
        return self.folder(shard.crawl) / f"{shard.name}.parquet"

    def folder(self, crawl: str) -> Path:
        if self.bound_crawl is not None or not self.contract.partitioned:
            return self.root / self.contract.folder
        return self.root / self.contract.folder / (crawl if self.per_crawl else f"crawl={crawl}")

    def shards(self) -> list[Shard]:
        """The shards there are, in order of the crawls, then of their names."""
        crawls = [self.bound_crawl] if self.bound_crawl is not None else self.crawls if self.contract.partitioned else [""]
        return [Shard(crawl, file.stem) for crawl in crawls for file in sorted(self.folder(crawl).glob("[!.]*.parquet"))]

    def stored_schema(self) -> pa.Schema:
        """The contract's schema; in folders named crawl=CRAWL the column `crawl` is a dictionary, as readers take it from the path."""
        schema = self.contract.schema
        if self.per_crawl or self.bound_crawl is not None or "crawl" not in schema.names:
            return schema
        place = schema.get_field_index("crawl")
        return schema.set(place, schema.field(place).with_type(pa.dictionary(pa.int32(), pa.string())))

    def n_rows(self) -> int:
        """Rows of all shards, by what their footers say."""
        return sum(pq.read_metadata(self.path(shard)).num_rows for shard in self.shards())

    def recipe(self, shard: Shard) -> str | None:
        """The recipe digest that a shard was made by, if it was written with one."""
        value = pq.read_schema(self.path(shard)).metadata.get(RECIPE)
        return value.decode() if value else None

    def made_by(self, shard: Shard, column: str) -> str | None:
        """What made a column of a shard, if it was written with that."""
        value = (pq.read_schema(self.path(shard)).field(column).metadata or {}).get(MADE_BY)
        return value.decode() if value else None


class Source(Table):
    """A table that another stage wrote."""

    def read(self, shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
        """One shard, checked. Raises ShardError if it can't be read, ContractError if it isn't what the contract says."""
        path = self.path(shard)
        try:
            with pq.ParquetFile(path) as file:
                self.contract.check_schema(file.schema_arrow, str(path))
                table = file.read(columns=list(columns) if columns is not None else None)
        except (OSError, pa.ArrowInvalid) as error:
            raise ShardError(f"table '{self.contract.name}': shard {shard} can't be read ({error}): run `dvc repro` again") from None
        self.contract.check_nulls(table, str(path))
        names = list(columns) if columns is not None else self.contract.schema.names
        return table.select(names).cast(pa.schema([self.contract.schema.field(name) for name in names])).replace_schema_metadata(None)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Shard after shard."""
        return (self.read(shard, columns) for shard in self.shards())

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All shards as one table, in the order of `shards()`; empty if there is none."""
        parts = list(self.tables(columns))
        empty = self.contract.schema.empty_table().replace_schema_metadata(None)
        return pa.concat_tables(parts) if parts else (empty.select(list(columns)) if columns is not None else empty)

    def digest(self, shard: Shard) -> str:
        """A digest of the shard's bytes: part of the recipe of what is made from it."""
        return digest_of_file(self.path(shard))


class Sink(Table):
    """A table that this stage writes."""

    def write(self, shard: Shard, table: pa.Table, recipe: str | None = None, made_by: Mapping[str, str] | None = None) -> None:
        """Check and write one shard, atomically. The recipe digest, if any, travels in the file; so does what made a column."""
        self.contract.check(table, str(self.path(shard)))
        self._store(shard, table, recipe, made_by)

    def _store(self, shard: Shard, table: pa.Table, recipe: str | None = None, made_by: Mapping[str, str] | None = None) -> None:
        metadata = {TABLE: self.contract.name.encode()} | ({RECIPE: recipe.encode()} if recipe else {})
        table = table.cast(signed(self.stored_schema(), made_by or {})).replace_schema_metadata(metadata)
        with write_atomically(self.path(shard)) as temporary:
            pq.write_table(table, temporary, **layout(table))

    def write_whole(self, table: pa.Table) -> None:
        """Write a table over all crawls as one shard per crawl (by its column `crawl`), sorted by its key.

        Columns of more than 2^31 bytes must be of wide types (large_string, large_list); they are narrowed here, chunk by chunk.
        """
        for crawl in self.crawls if self.contract.partitioned else [""]:
            rows = table.filter(pc.equal(table["crawl"], crawl)) if self.contract.partitioned else table
            shard, rows = Shard(crawl, "00000"), sorted_rows(rows, self.contract.key, rows_per_chunk=ROW_GROUP)
            self.contract.check(rows, str(self.path(shard)), is_sorted=True)
            self._store(shard, rows)

    def done(self, shard: Shard, recipe: str) -> bool:
        """Whether the shard is there, whole, and made by this very recipe."""
        try:
            return self.recipe(shard) == recipe
        except (OSError, pa.ArrowInvalid):
            return False

    def keep_only(self, shards: Iterable[Shard]) -> None:
        """Delete what an earlier recipe, or a killed writer, left beside these shards."""
        keep = {self.path(shard) for shard in shards}
        for shard in self.shards():
            if self.path(shard) not in keep:
                self.path(shard).unlink()
        remove_temporaries(self.root)


@dataclass(frozen=True)
class Artifact:
    """Something on disk that is not a table: an index, tar shards, weights, a folder of concept files."""

    path: Path


def signed(schema: pa.Schema, made_by: Mapping[str, str]) -> pa.Schema:
    """The schema, with what made a column in that column's metadata."""
    for name, maker in made_by.items():
        place = schema.get_field_index(name)
        found = schema.field(place)
        schema = schema.set(place, found.with_metadata({**(found.metadata or {}), MADE_BY: maker.encode()}))
    return schema


def layout(table: pa.Table) -> dict[str, Any]:
    """How a table lies in Parquet, for SQL: pages that can be skipped, and a Bloom filter on sample_id, if it has one.

    Ids are hashes: every row group of every crawl spans them all, so that without the filter a look-up reads the ids of all of them.
    """
    options: dict[str, Any] = {"compression": "zstd", "row_group_size": ROW_GROUP, "data_page_size": PAGE_BYTES, "write_page_index": True}
    if SOUGHT in table.schema.names and table.num_rows:
        options["bloom_filter_options"] = {SOUGHT: {"ndv": min(table.num_rows, ROW_GROUP), "fpp": 0.01}}
    return options


def to_json(value: object) -> str:
    """JSON as Sluice writes it everywhere: sorted, indented, one newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
