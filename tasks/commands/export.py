"""Export: a chosen part of the dataset in another tool's format, written as a whole or not at all.

The same dataset, kind and filter give the same bytes. An export is noted in `.sluice/exports`, so that `sluice forget` reaches it.
"""

import argparse
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.commands.export_baseline import take_baseline
from tasks.commands.export_kinds import KINDS, Chosen, Picture
from tasks.commands.export_subset import Subset, take_subset
from tasks.commands.export_texts import complete_texts
from tasks.commands.output import write_line
from tasks.commands.query import first_line, open_here
from tasks.commands.tables import find_table
from tasks.core.errors import SluiceError
from tasks.core.files import digest_of, write_atomically, write_folder_atomically
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params
from tasks.core.tables import to_json
from tasks.methods.croissant import Activity, Facts
from tasks.methods.datacomp import UID
from tasks.methods.signatures import sniff
from tasks.methods.sql import Catalog
from tasks.methods.tars import read_images

NOTES = Path(".sluice/exports")
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
RUNS = """
SELECT stage, item, max(started) AS began, arg_max(seconds, started) FROM runs WHERE status = 'completed'
GROUP BY stage, item ORDER BY began, stage, item
"""
LOST = "SELECT reason, sum(n_rows)::BIGINT FROM funnel WHERE reason <> 'kept' GROUP BY reason ORDER BY min(step)"
ORDER = "ORDER BY crawl, shard, key, sample_id"


@dataclass(frozen=True)
class Export:
    """One export: what, where to, of which samples; `size` of them, drawn by `balance` and `seed`, or all; with which texts.

    `baseline` names a filter whose samples take the place of the kept ones.
    """

    kind: str
    folder: str
    where: str | None
    everything: bool
    size: int | None = None
    balance: str = "uniform"
    seed: int = 0
    complete_texts: bool = False
    baseline: str | None = None


def run(arguments: argparse.Namespace) -> None:
    """Write the export and note it. Raises SluiceError if the folder is there, the filter is wrong or no sample fits."""
    balance, seed = arguments.balance or Export.balance, Export.seed if arguments.seed is None else arguments.seed
    export = Export(
        *(arguments.kind, str(arguments.folder.absolute()), arguments.where, arguments.all, arguments.size, balance, seed),
        complete_texts=arguments.complete_texts,
        baseline=arguments.baseline,
    )
    if export.baseline is not None and export.everything:
        raise SluiceError("--baseline starts from every decodable sample by itself: leave --all out")
    if export.size is None and (arguments.balance is not None or arguments.seed is not None):
        raise SluiceError("--balance and --seed say how a subset is drawn: give its --size too")
    folder = Path(export.folder)
    if folder.exists() or folder.is_symlink():
        raise SluiceError(f"{folder} is there already: name a folder that isn't")
    n_rows = write_export(export)
    write_line(f"exported {n_rows:,} samples as {export.kind} to {folder}")


def write_export(export: Export, *, or_fewer: bool = False) -> int:
    """Write the folder, replacing one that is there, and its note; the number of samples, `or_fewer` where its size isn't to be had."""
    with open_here() as catalog:
        chosen = choose(catalog, export, or_fewer=or_fewer)
        try:
            with write_folder_atomically(Path(export.folder)) as temporary:
                KINDS[export.kind].write(chosen, temporary)
        except ValueError as error:
            raise SluiceError(str(error)) from None
    name = digest_of(export.folder)
    with write_atomically(NOTES / f"{name}.parquet") as path:
        pq.write_table(chosen.rows.select(["sample_id"]), path, compression="zstd")
    with write_atomically(NOTES / f"{name}.json") as path:
        path.write_text(to_json({**asdict(export), "n_rows": chosen.rows.num_rows}))
    return int(chosen.rows.num_rows)


def noted_exports(samples: Collection[str] | None = None) -> list[Export]:
    """The exports of this workspace whose folders are still there, or those of them that hold one of the samples."""
    found = []
    for path in sorted(NOTES.glob("*.json")):
        note = json.loads(path.read_text())
        export = Export(**{field.name: note[field.name] for field in fields(Export) if field.name in note})
        ids = path.with_suffix(".parquet")
        if samples is not None and ids.is_file():  # without its ids an export may hold any sample
            held = pq.ParquetFile(ids).read()["sample_id"]
            if not pc.any(pc.is_in(held, value_set=pa.array(sorted(samples), pa.string()))).as_py():
                continue
        if Path(export.folder).is_dir():
            found.append(export)
    return found


def choose(catalog: Catalog, export: Export, *, or_fewer: bool) -> Chosen:
    """The samples in order, with their pictures. Raises SluiceError for a filter that DuckDB refuses or nothing fits, and a wrong size."""
    widely = export.everything or export.baseline is not None or KINDS[export.kind].takes_dropped
    base = "status = 'ok'" if widely else "keep"
    condition = f"AND (\n{export.where}\n)" if export.where else ""
    try:
        rows = catalog.table(f"SELECT * FROM (FROM samples WHERE {base}) WHERE true {condition} {ORDER}")
    except (ValueError, duckdb.Error) as error:
        raise SluiceError(f"--where {export.where!r} can't be used: {first_line(error)}") from None
    if not rows.num_rows:
        kept = "kept" if base == "keep" else "decodable"
        raise SluiceError(f"no {kept} sample fits{f' --where {export.where!r}' if export.where else ''}: nothing to export")
    if export.baseline is not None:
        rows = take_baseline(rows, export.baseline)
    if export.size is not None:
        rows = take_subset(rows, Subset(export.size, export.balance, export.seed), embedding_rows, or_fewer=or_fewer)
    if export.complete_texts:
        rows = complete_texts(rows, embedding_rows)
    return Chosen(rows, pictures_of, embedding_rows, pool_uids, facts_of(catalog, rows))


def pictures_of(rows: pa.Table) -> Iterator[Picture]:
    """(sample, bytes, extension) of every row, in order of crawl, shard and key: each tar is read once, from front to back."""
    for part in by_tar(rows):
        waiting: dict[str, list[dict[str, Any]]] = {}
        for sample in part.to_pylist():
            waiting.setdefault(sample["key"], []).append(sample)
        tar = images_folder(part["crawl"][0].as_py()) / f"{part['shard'][0].as_py()}.tar"
        try:
            for key, data in read_images(tar, waiting):
                for sample in waiting[key]:
                    yield sample, data, EXTENSIONS[sniff(data) or "jpeg"]
        except (OSError, ValueError) as error:
            raise SluiceError(f"the images of {tar} can't be read ({error}): run `dvc checkout`, or `dvc repro`") from None


def by_tar(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of one tar after the other; they are in this order already."""
    place = pc.binary_join_element_wise(rows["crawl"], rows["shard"], "/").combine_chunks()
    starts = [0, *(row.as_py() + 1 for row in pc.indices_nonzero(pc.not_equal(place[1:], place[:-1]))), len(place)]
    return (rows.slice(start, stop - start) for start, stop in pairwise(starts))


def images_folder(crawl: str) -> Path:
    """Where dvc.yaml has the tars of a crawl."""
    found = next(out for stage in read_graph().values() for out in stage.outs if out.name == "images")
    return found.path({"item": crawl})


def embedding_rows(name: str) -> Iterator[pa.Table]:
    """The embeddings table, shard after shard: sample_id and one embedding."""
    table = find_table("embeddings", read_graph(), crawl_names(read_params()))
    return iter(()) if table is None else table.tables(["sample_id", name])


def pool_uids() -> dict[str, str]:
    """The uid that a DataComp pool gave a sample, by sample_id: a column of the manifest that passed through."""
    table = find_table("records", read_graph(), crawl_names(read_params()))
    found = {}
    for rows in table.tables(["sample_id", "extra"]) if table is not None else ():
        rows = rows.filter(pc.fill_null(pc.match_substring(rows["extra"], '"uid"'), False))
        for sample, extra in zip(rows["sample_id"].to_pylist(), rows["extra"].to_pylist(), strict=True):
            uid = json.loads(extra).get("uid")
            if isinstance(uid, str) and UID.fullmatch(uid):
                found[sample] = uid
    return found


def facts_of(catalog: Catalog, rows: pa.Table) -> Facts:
    """What the catalog knows of where the rows come from: crawls, the last run of each stage, what was dropped and why."""
    crawls = dict(catalog.execute("SELECT crawl, n_rows FROM crawls ORDER BY arrival").fetchall())
    runs = catalog.execute(RUNS).fetchall()
    activities = [
        Activity(f"{stage} {item}".strip(), began.isoformat(), (began + timedelta(seconds=seconds)).isoformat())
        for stage, item, began, seconds in runs
    ]
    lost = ", ".join(f"{reason} {n_rows}" for reason, n_rows in catalog.execute(LOST).fetchall())
    published = max((run.ended[:10] for run in activities), default="1970-01-01")
    return Facts(
        name="curated-by-sluice",
        description=f"{rows.num_rows} samples (image, text, concept) out of {sum(crawls.values())} addresses of a noisy web crawl",
        version="1.0.0",
        published=published,
        crawls=crawls,
        activities=activities,
        rai={
            "dataCollection": "Images were fetched from the addresses of web crawls; robots.txt and noai are honoured by default.",
            "dataCollectionType": ["Web Scraping"],
            "dataCollectionMissingData": f"Samples that are not kept, by first reason: {lost or 'none'}.",
            "dataCollectionRawData": "One row per address, alternative text and concept, failures included: the view samples.",
            "dataManipulationProtocol": "Larger images are shrunk; copies, off-topic images and wrong concepts are dropped or corrected.",
            "dataPreprocessingProtocol": ["Decoded, hashed, embedded with CLIP, grouped with their copies, split by group."],
            "dataAnnotationProtocol": [
                "Concepts come from the search that found the image, corrected by out-of-fold predictions, neighbours and texts."
            ],
            "dataAnnotationAnalysis": ["Each sample carries a calibrated confidence that its concept is right."],
            "dataReleaseMaintenancePlan": "An image is removed on request with `sluice forget`; exports are then made anew.",
            "personalSensitiveInformation": ["Images of the open web may show people; none were removed for that reason unless asked for."],
            "dataBiases": ["The crawl's own: its languages, its search engines, the concepts that were asked for."],
            "dataLimitations": ["A kept sample's concept may still be wrong: see its confidence."],
            "dataUseCases": ["Training and study of image-text models under label noise."],
        },
    )
