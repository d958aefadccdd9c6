"""A web of wide embeddings for the tests of memory: many rows through the real contracts, shard by shard, without a picture."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from tasks.core.stage import contract_of
from tasks.core.tables import Shard
from tests.tasks.small_web import SmallWeb

NAMES = ("moss", "rust", "slate", "tin")
ROWS_PER_SHARD = 2_000


class RandomEncoder:
    """Encodes each sentence by a random vector of its own."""

    def __init__(self, width: int) -> None:
        self.width = width

    def encode_texts(self, sentences: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(len(words)).normal(size=self.width) for words in sentences]).astype(np.float32)


def make_wide_web(root: Path, n_rows: int, width: int, *, n_neighbors: int = 10, seed: int = 0) -> SmallWeb:
    """Records, embeddings, neighbors, duplicates and concepts; a tenth without a concept, a fifth without a text, some copies, and rows in
    another order in each table."""
    rng = np.random.default_rng(seed)
    web = SmallWeb(root, ["alpha"], {})
    ids = np.array([f"{number:032x}" for number in range(n_rows)])
    shown = rng.integers(0, len(NAMES), n_rows)
    shards = [np.arange(start, min(start + ROWS_PER_SHARD, n_rows)) for start in range(0, n_rows, ROWS_PER_SHARD)]
    centres = rng.normal(size=(len(NAMES), width))
    for number, rows in enumerate(shards):
        rows = rng.permutation(rows)
        image, text = (as_lists(centres[shown[rows]] + rng.normal(0, 2, (len(rows), width)), np.float16) for _ in range(2))
        text = pc.if_else(pa.array(rng.random(len(rows)) < 0.2), pa.scalar(None, text.type), text)
        columns = {"image_embedding": image, "text_embedding": text}
        write(web, "embeddings", number, {"sample_id": ids[rows], **columns})
        named = [None if rng.random() < 0.1 else NAMES[(shown[row] + (rng.random() < 0.2)) % len(NAMES)] for row in rows]
        write(web, "records", number, {"sample_id": ids[rows], "concept": named})
        near = rng.integers(0, n_rows, (len(rows), n_neighbors))
        similar = -np.sort(-rng.random((len(rows), n_neighbors)))
        found = {"position": np.sort(rows), "sample_id": ids[np.sort(rows)]}
        write(web, "neighbors", number, found | {"neighbors": as_lists(near, np.int64), "similarities": as_lists(similar, np.float32)})
        group = np.where(rows % 50 == 1, rows - 1, rows)
        split = np.where(rows % 20 == 7, "test", "train")
        copies = {"duplicate_group": ids[group], "near_duplicate_score": np.ones(len(rows)), "is_leak": rows % 97 == 5}
        write(web, "duplicates", number, {"sample_id": ids[rows], **copies, "split": split, "fold": rows % 3})
    known = [{"name": name, "definition": f"the stuff called {name}"} for name in NAMES]
    known[0]["distractors"] = ["moss green"]
    (root / "concepts").mkdir(parents=True)
    (root / "concepts" / "concepts.yaml").write_text(yaml.safe_dump({"concepts": known}))
    return web


def write(web: SmallWeb, name: str, number: int, columns: dict) -> None:
    """One shard; text columns that are not given are empty, others zero or null."""
    schema = contract_of(name).schema
    n = len(columns["sample_id"])
    made = {"crawl": ["alpha"] * n} | columns
    for field in schema:
        blank = "" if pa.types.is_string(field.type) else b"" if pa.types.is_binary(field.type) else 0
        made.setdefault(field.name, pa.nulls(n, field.type) if field.nullable else [blank] * n)
    table = pa.table([pa.array(made[field.name], field.type) for field in schema], schema=schema)
    web.sink(name).write(Shard("alpha", f"{number:05d}"), table)


def as_lists(rows: np.ndarray, kind: type) -> pa.Array:
    """(n, k) as a column of n lists."""
    flat = pa.array(rows.astype(kind).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]).cast(pa.list_(flat.type))
