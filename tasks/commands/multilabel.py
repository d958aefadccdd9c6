"""Multilabel: which concepts of which images are wrong or missing, out of a table of labels and predictions; needs no workspace."""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.commands.output import write_line, write_rows
from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically
from tasks.methods.label_filters import Rule
from tasks.methods.multilabel_issues import entry_issues, entry_scores, error_counts, image_scores

SUMMARY = ("concept", "given", "unknown", "wrong", "missing", "wrong_estimated", "missing_estimated")


class Given(NamedTuple):
    """labels (n, K) int8, 1, 0 or -1; concepts: their K names; carried: the other columns."""

    labels: np.ndarray
    concepts: list[str]
    carried: pa.Table


def run(arguments: argparse.Namespace) -> None:
    """`sluice multilabel LABELS.parquet PREDICTIONS.npy OUT.parquet`."""
    if arguments.out.exists():
        raise SluiceError(f"{arguments.out} is there already: name another file")
    given = read_labels(arguments.labels, arguments.id)
    pred_probs = read_predictions(arguments.predictions, given)
    try:
        found, summary = judged(given, pred_probs, arguments.rule)
    except ValueError as error:
        raise SluiceError(f"{arguments.predictions}: {error}") from None
    with write_atomically(arguments.out) as temporary:
        pq.write_table(found, temporary, compression="zstd")
    write_rows(arguments.format, SUMMARY, summary)
    if arguments.format == "table":
        n_issues = int(np.sum(found["is_label_issue"].to_numpy()))
        write_line(f"\n{n_issues:,} of {len(found):,} images have a wrong or a missing concept; {arguments.out} says which.")


def judged(given: Given, pred_probs: np.ndarray, rule: Rule) -> tuple[pa.Table, list[tuple[str | int, ...]]]:
    """A row per image (what was carried, label_score, is_label_issue, wrong, missing, entry_scores) and a row of SUMMARY per concept."""
    labels, names = given.labels, np.array(given.concepts, object)
    issues = entry_issues(pred_probs, labels, rule=rule)
    scores = entry_scores(pred_probs, labels, quality="self_confidence")
    wrong, missing = issues & (labels == 1), issues & (labels == 0)
    flat = pa.array(scores.astype(np.float32).ravel(), from_pandas=True)  # NaN becomes null
    columns = {
        "label_score": pa.array(image_scores(scores).astype(np.float32), from_pandas=True),
        "is_label_issue": pa.array(issues.any(1)),
        "wrong": pa.array([names[row].tolist() for row in wrong], pa.list_(pa.string())),
        "missing": pa.array([names[row].tolist() for row in missing], pa.list_(pa.string())),
        "entry_scores": pa.FixedSizeListArray.from_arrays(flat, len(names)).cast(pa.list_(pa.float32())),
    }
    taken = sorted(set(columns) & set(given.carried.column_names))
    if taken:
        raise SluiceError(f"the labels have columns that the answer needs ({', '.join(taken)}): rename them")
    found = pa.table({**dict(zip(given.carried.column_names, given.carried.columns, strict=True)), **columns})
    counts = error_counts(pred_probs, labels)
    each = ((labels == 1).sum(0), (labels < 0).sum(0), wrong.sum(0), missing.sum(0), counts[:, 1].round(), counts[:, 0].round())
    return found, [(name, *map(int, row)) for name, *row in zip(given.concepts, *each, strict=True)]


def read_labels(path: Path, ids: list[str]) -> Given:
    """The labels of a Parquet file: columns of booleans and whole numbers are concepts, unless `ids` names them, in their order.

    Raises SluiceError for a file that can't be read, has no concept, or holds something else than 1, 0, -1 and null in one.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise SluiceError(f"{path} can't be read as Parquet ({error}): give a table with a column per concept") from None
    unknown = [name for name in ids if name not in table.column_names]
    if unknown:
        raise SluiceError(f"--id {unknown[0]}: {path} has no such column; it has {', '.join(table.column_names)}")
    kinds = {field.name: field.type for field in table.schema}
    concepts = [name for name, kind in kinds.items() if name not in ids and (pa.types.is_boolean(kind) or pa.types.is_integer(kind))]
    if not concepts or not len(table):
        raise SluiceError(f"{path} has {len(table)} rows and {len(concepts)} concepts: give a column of 1, 0 and -1 or null per concept")
    return Given(np.stack([states(table, name, path) for name in concepts], axis=1), concepts, table.drop_columns(concepts))


def states(table: pa.Table, name: str, path: Path) -> np.ndarray:
    """(n,) int8: a concept's column, null as -1."""
    values = table[name].cast(pa.int64()).fill_null(-1).to_numpy()
    other = values[~np.isin(values, (-1, 0, 1))]
    if len(other):
        raise SluiceError(
            f"column {name} of {path} holds {other[0]}, a concept's holds 1, 0 and -1 or null: is it an id? Then add --id {name}"
        )
    return np.asarray(values, np.int8)


def read_predictions(path: Path, given: Given) -> np.ndarray:
    """The (n, K) probabilities of an .npy file. Raises SluiceError for another file or shape."""
    try:
        pred_probs = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SluiceError(f"{path} can't be read as .npy ({error}): write it with numpy.save, rows and columns as in the labels") from None
    n, k = given.labels.shape
    if not isinstance(pred_probs, np.ndarray) or pred_probs.shape != (n, k) or pred_probs.dtype.kind != "f":
        had = f"{pred_probs.dtype} {pred_probs.shape}" if isinstance(pred_probs, np.ndarray) else "several arrays"
        shown = ", ".join(given.concepts[:5]) + (", ..." if k > 5 else "")
        raise SluiceError(f"{path} holds {had}, the labels have {n} rows and {k} concepts ({shown}): give floats of shape ({n}, {k})")
    return pred_probs
