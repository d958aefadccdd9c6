"""Write exports: one function per kind puts the chosen samples into an empty folder in the consumer's own layout."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tasks.core.errors import SluiceError
from tasks.core.tables import to_json
from tasks.methods import croissant, datacomp, fiftyone, huggingface, issue_table
from tasks.methods.alignment import matrix, places
from tasks.methods.croissant import Facts, File
from tasks.methods.index_files import write_index
from tasks.methods.search import build_index
from tasks.methods.tars import Entry, write_images

Picture = tuple[dict[str, Any], bytes, str]
SAMPLES_PER_TAR = 5000  # held in memory while a tar is written: a few hundred MB
SENTENCES = {
    "image": "The image",
    "text": "Text that came with it",
    "concept": "Concept after curation",
    "given_concept": "Concept that the image was searched for",
    "sample_id": "128-bit hash of url, text and given concept",
    "url": "Address of the image",
    "sha256": "SHA-256 of the bytes as downloaded",
    "width": "Width in pixels",
    "height": "Height in pixels",
    "confidence": "Calibrated probability that the concept is right",
    "weight": "Weight for training",
}


@dataclass(frozen=True)
class Chosen:
    """The samples of an export in order, and ways to their pictures, their embeddings and their origin."""

    rows: pa.Table
    pictures: Callable[[pa.Table], Iterator[Picture]]
    embeddings: Callable[[str], Iterator[pa.Table]]
    uids: Callable[[], dict[str, str]]
    facts: Facts


@dataclass(frozen=True)
class Kind:
    """How an export is written; `takes_dropped` for kinds that are about what is wrong."""

    write: Callable[[Chosen, Path], None]
    takes_dropped: bool = False


def write_datacomp(chosen: Chosen, folder: Path) -> None:
    """subset.npy, and metadata.parquet for those who bring their own data. A sample of a DataComp pool keeps its uid there."""
    rows, known = chosen.rows, chosen.uids()
    uids = [known.get(sample, sample) for sample in rows["sample_id"].to_pylist()]
    np.save(folder / "subset.npy", datacomp.subset(uids))
    sizes = {name: rows[name].cast(pa.int64()) for name in ("original_width", "original_height")}
    table = pa.table({"uid": uids, "url": rows["url"], "text": rows["alt_text"], "sha256": rows["sha256"], **sizes}).sort_by("uid")
    pq.write_table(table, folder / "metadata.parquet", compression="zstd")


def write_webdataset(chosen: Chosen, folder: Path) -> None:
    """Tars of KEY.jpg, KEY.txt, KEY.json, and sizes.json, in which open_clip looks for their number of samples."""
    pictures = chosen.pictures(chosen.rows)
    sizes: dict[str, int] = {}
    while group := list(islice(pictures, SAMPLES_PER_TAR)):
        name = f"{len(sizes):05d}"
        entries = [
            Entry(f"{name}{place:04d}", extension, data, sample["alt_text"], fields_of(sample))
            for place, (sample, data, extension) in enumerate(group)
        ]
        write_images(folder / f"{name}.tar", entries)
        sizes[f"{name}.tar"] = len(group)
    (folder / "sizes.json").write_text(to_json(sizes))


def fields_of(sample: dict[str, Any]) -> dict[str, Any]:
    """KEY.json of a sample, in img2dataset's words where it has some."""
    names = ("sample_id", "url", "concept", "curated_concept", "confidence", "weight", "split", "width", "height", "sha256")
    completed = {"text_source": sample["text_source"]} if "text_source" in sample else {}
    return {"caption": sample["alt_text"], **{name: sample[name] for name in names}, **completed}


def write_huggingface(chosen: Chosen, folder: Path) -> None:
    """Files such as data/SPLIT-00000-of-00001.parquet with an Image feature, and a card by which load_dataset finds them."""
    counts = write_splits(chosen, folder)
    (folder / "README.md").write_text(huggingface.card(counts, [chosen.facts.description + ".", *map(str, chosen.facts.rai.values())]))


def write_splits(chosen: Chosen, folder: Path) -> dict[str, int]:
    """Write the Parquet files of every split; the number of rows of each that has any."""
    (folder / huggingface.FOLDER).mkdir()
    splits = pc.fill_null(chosen.rows["split"], "train")
    counts = {}
    for split in huggingface.SPLITS:
        rows = chosen.rows.filter(pc.equal(splits, split))
        if not rows.num_rows:
            continue
        counts[split] = rows.num_rows
        groups = huggingface.batches(chosen.pictures(rows))
        per_file = huggingface.ROWS_PER_FILE // huggingface.ROWS_PER_GROUP
        total = -(-rows.num_rows // huggingface.ROWS_PER_FILE)
        for number in range(total):
            path = folder / huggingface.FOLDER / huggingface.file_name(split, number, total)
            with pq.ParquetWriter(path, huggingface.schema(), compression="zstd", write_page_index=True) as writer:
                for group in islice(groups, per_file):
                    writer.write_table(group)
    return counts


def write_croissant(chosen: Chosen, folder: Path) -> None:
    """The files of the Hugging Face export, described by croissant.json."""
    write_huggingface(chosen, folder)
    files = [
        File(path.relative_to(folder).as_posix(), sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in sorted((folder / huggingface.FOLDER).glob("*.parquet"))
    ]
    names = {pa.string(): "string", pa.int32(): "int32", pa.float32(): "float"}
    columns = {name: (names.get(kind, "image"), SENTENCES[name]) for name, kind in huggingface.COLUMNS.items()}
    (folder / "croissant.json").write_text(to_json(croissant.describe(files, columns, chosen.facts)))


def write_clip_retrieval(chosen: Chosen, folder: Path) -> None:
    """img_emb, text_emb and metadata in one partition, row by row the same, and the two FAISS indexes."""
    rows = chosen.rows
    for kind, column in (("img_emb", "image_embedding"), ("text_emb", "text_embedding")):
        vectors = gathered(rows, chosen.embeddings(column), column)
        (folder / kind).mkdir()
        np.save(folder / kind / f"{kind}_0.npy", vectors)
        write_index(build_index(vectors), folder / f"{'image' if kind == 'img_emb' else 'text'}.index")
    (folder / "metadata").mkdir()
    names = ("sample_id", "url", "concept", "curated_concept", "confidence", "width", "height", "sha256")
    table = pa.table({"image_path": rows["key"], "caption": rows["alt_text"], **{name: rows[name] for name in names}})
    pq.write_table(table, folder / "metadata" / "metadata_0.parquet", compression="zstd")


def gathered(rows: pa.Table, tables: Iterator[pa.Table], column: str) -> np.ndarray:
    """(n, d) float16 embeddings of the rows, zeros for a text that isn't there. Raises SluiceError for a sample that has none."""
    vectors: np.ndarray | None = None
    found = np.zeros(rows.num_rows, bool)
    for table in tables:
        where = places(rows["sample_id"], table["sample_id"])
        if vectors is None:
            vectors = np.zeros((rows.num_rows, matrix(table[column]).shape[1]), np.float16)
        here = where >= 0
        vectors[here] = matrix(table[column].take(pa.array(where[here])), vectors.shape[1])
        found |= here
    if vectors is None or not found.all():
        missing = rows["sample_id"][int(np.argmin(found))].as_py()
        raise SluiceError(
            f"{int((~found).sum())} samples have no embedding, such as {missing}: leave them out with --where, or run `dvc repro`"
        )
    return vectors


def write_cleanlab(chosen: Chosen, folder: Path) -> None:
    """issues.parquet and issue_summary.csv, named as Datalab names them."""
    issues = issue_table.issue_table(chosen.rows)
    pq.write_table(issues, folder / "issues.parquet", compression="zstd")
    pacsv.write_csv(issue_table.issue_summary(issues), folder / "issue_summary.csv")


def write_fiftyone(chosen: Chosen, folder: Path) -> None:
    """Pictures named data/SAMPLE_ID.jpg, and labels.json: a FiftyOneImageClassificationDataset."""
    (folder / "data").mkdir()
    samples = []
    for sample, data, extension in chosen.pictures(chosen.rows):
        (folder / "data" / f"{sample['sample_id']}.{extension}").write_bytes(data)
        samples.append(sample)
    (folder / "labels.json").write_text(json.dumps(fiftyone.labels(samples), sort_keys=True) + "\n")


KINDS = {
    "datacomp": Kind(write_datacomp),
    "webdataset": Kind(write_webdataset),
    "huggingface": Kind(write_huggingface),
    "clip-retrieval": Kind(write_clip_retrieval),
    "croissant": Kind(write_croissant),
    "cleanlab": Kind(write_cleanlab, takes_dropped=True),
    "fiftyone": Kind(write_fiftyone),
}
