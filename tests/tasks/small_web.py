"""A small web for the curation stages: tables of blobs with known truth, written through the real contracts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from tasks.core.stage import contract_of
from tasks.core.tables import Artifact, Sink, Source
from tasks.methods.tars import Entry, write_images

COLOURS = {"moss": (40, 160, 60), "rust": (190, 70, 30), "slate": (70, 90, 160)}
OFF_TOPIC = (220, 220, 220)
WORDS = {"moss": ["moss", "peat"], "rust": ["rust", "iron"], "slate": ["slate", "roof"], None: ["lemon", "tram"]}


@dataclass
class SmallWeb:
    """Where the tables lie, and the truth (concept, or None for off-topic) of each sample."""

    root: Path
    crawls: list[str]
    truth: dict[str, str | None]

    def source(self, name: str) -> Source:
        return Source(contract_of(name), self.root / name, self.crawls, per_crawl=name in ("records", "validity", "embeddings"))

    def sink(self, name: str) -> Sink:
        return Sink(contract_of(name), self.root / name, self.crawls, per_crawl=name in ("records", "validity", "embeddings"))

    def artifact(self, name: str) -> Artifact:
        return Artifact(self.root / name)

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        sink = self.sink(name)
        table = pa.Table.from_pylist(rows, schema=sink.contract.schema)
        sink.write_whole(table)


def make_web(
    root: Path,
    *,
    n_rows: int = 240,
    names: tuple[str, ...] = ("moss", "rust", "slate"),
    with_concept: bool = True,
    with_text: bool = True,
    noise: float = 0.15,
    off_topic: float = 0.15,
    other_sense: float = 0.0,
    equal_embeddings: bool = False,
    seed: int = 0,
) -> SmallWeb:
    """n_rows images of plain colours with grain; a share of wrong concepts, a share of grey off-topic images, two exact copies.

    Of the first concept's images a share `other_sense` is grey too, and comes under that concept's name always.
    """
    rng, of_texts = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    web = SmallWeb(root, ["alpha"], {})
    records, validity, embedded, copies, entries = [], [], [], [], []
    centres = dict(zip(COLOURS, np.eye(8)[:3], strict=True)) | {None: np.eye(8)[3]}
    for number in range(n_rows):
        truth = None if rng.random() < off_topic else names[number % len(names)]
        concept = names[rng.integers(len(names))] if truth is None or rng.random() < noise else truth
        if other_sense and truth == names[0] and rng.random() < other_sense:
            truth, concept = None, names[0]
        colour = np.array(OFF_TOPIC if truth is None else COLOURS[truth])
        pixels = np.clip(colour + rng.normal(0, 25, (16, 16, 3)), 0, 255).astype(np.uint8)
        sample_id = hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()
        web.truth[sample_id] = truth
        vector, sentence = centres[truth] + rng.normal(0, 0.15, 8), centres[truth] + of_texts.normal(0, 0.15, 8)
        vector, sentence = (np.ones(8) if equal_embeddings else found for found in (vector, sentence))
        vector, sentence = vector / np.linalg.norm(vector), sentence / np.linalg.norm(sentence)
        text = f"a {WORDS[truth][number % 2]}" if with_text and rng.random() < 0.6 else ""
        key = f"{number:09d}"
        entries.append(Entry(key, "png", _png(pixels), text, {}))
        records.append(_record(number, sample_id, key, text, concept if with_concept else None))
        validity.append({"sample_id": sample_id, "crawl": "alpha", "valid": True, "reasons": []})
        embedded.append(
            {
                "sample_id": sample_id,
                "crawl": "alpha",
                "image_embedding": vector.tolist(),
                "text_embedding": sentence.tolist() if text else None,
            }
        )
        copies.append(
            {"sample_id": sample_id, "crawl": "alpha", "duplicate_group": sample_id, "near_duplicate_score": 1.0, "is_leak": number == 5,
             "split": "test" if number % 20 == 19 else "train", "fold": number // len(names) % 3}
        )  # fmt: skip
    copies[1] |= {"duplicate_group": copies[0]["sample_id"], "near_duplicate_score": 0.0, "fold": copies[0]["fold"]}
    web.write("records", records)
    web.write("validity", validity)
    web.write("embeddings", embedded)
    web.write("duplicates", copies)
    write_neighbors(web)
    (root / "images" / "alpha").mkdir(parents=True, exist_ok=True)
    write_images(root / "images" / "alpha" / "00000.tar", entries)
    (root / "concepts").mkdir()
    known = [{"name": name, "definition": f"the stuff called {name}", "synonyms": [WORDS[name][1]]} for name in names]
    known[0]["distractors"] = ["lemon"]
    (root / "concepts" / "concepts.yaml").write_text(yaml.safe_dump({"concepts": known}))
    return web


def append_copies(web: SmallWeb, of: Sequence[int]) -> None:
    """Add rows at the end of the index: the pictures of rows there are, under other concepts and with other texts; lists are made anew."""
    ids = [row["sample_id"] for row in web.source("neighbors").table().to_pylist()]
    tables = {table: web.source(table).table().to_pylist() for table in ("records", "embeddings", "duplicates")}
    for number, place in enumerate(of):
        name = f"{number:02d}".rjust(32, "f")
        web.truth[name] = web.truth[ids[place]]
        for rows in tables.values():
            rows.append(next(row for row in rows if row["sample_id"] == ids[place]) | {"sample_id": name})
        given = tables["records"][-1]["concept"]
        other = None if given is None else "rust" if given != "rust" else "moss"
        tables["records"][-1] |= {"concept": other, "alt_text": "a tram of peat"}
        tables["duplicates"][-1] |= {"near_duplicate_score": 0.0}
    for table, rows in tables.items():
        web.write(table, rows)
    write_neighbors(web)


class FakeEncoder:
    """Encodes a sentence by the colours that it names."""

    def encode_texts(self, sentences: list[str]) -> np.ndarray:
        found = np.full((len(sentences), 8), 0.01, np.float32)
        for row, sentence in enumerate(sentences):
            for place, words in enumerate([*(WORDS[name] for name in COLOURS), WORDS[None]]):
                found[row, place] += any(word in sentence for word in words)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _record(number: int, sample_id: str, key: str, text: str, concept: str | None) -> dict[str, Any]:
    return {
        "sample_id": sample_id, "image_id": sample_id, "crawl": "alpha", "shard": "00000", "key": key,
        "url": f"http://demo.test/{number}.png", "alt_text": text, "concept": concept, "status": "ok", "sha256": f"{number:064x}",
        "bytes": 100, "format": "png", "width": 16, "height": 16, "original_width": 16, "original_height": 16, "phash": 0,
        "phash_mirrored": 0, "thumbnail": bytes(1024), "page_url": None, "extra": None, "detail": None,
    }  # fmt: skip


def write_neighbors(web: SmallWeb) -> None:
    """The ten nearest of every row, out of the table of embeddings."""
    ordered = sorted(web.source("embeddings").table().to_pylist(), key=lambda row: row["sample_id"])
    vectors = np.array([row["image_embedding"] for row in ordered])
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -2)
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, :10]
    web.write(
        "neighbors",
        [
            {"position": place, "sample_id": row["sample_id"], "crawl": "alpha", "neighbors": nearest[place].tolist(),
             "similarities": similarities[place, nearest[place]].tolist()}
            for place, row in enumerate(ordered)
        ],
    )  # fmt: skip


def _png(pixels: np.ndarray) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
