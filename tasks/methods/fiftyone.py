"""Shape samples for FiftyOne: the labels.json of a FiftyOneImageClassificationDataset, beside a folder `data` of pictures."""

from collections.abc import Iterable, Mapping
from typing import Any

ATTRIBUTES = ("alt_text", "concept", "url", "crawl", "split", "reason", "verdict", "label_score", "ood_score", "text_score", "weight")


def labels(samples: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`classes`, and by sample_id (the picture's file name) the label with its confidence and what else is known, as attributes."""
    rows = list(samples)
    classes = sorted({name for row in rows if (name := label_of(row)) is not None})
    numbers = {name: number for number, name in enumerate(classes)}
    return {"classes": classes, "labels": {row["sample_id"]: target(row, numbers) for row in rows}}


def target(row: Mapping[str, Any], numbers: Mapping[str, int]) -> dict[str, Any] | None:
    """One sample's label; None where nothing is known of its concept."""
    name = label_of(row)
    if name is None:
        return None
    attributes = {key: row[key] for key in ATTRIBUTES if row[key] is not None}
    return {"label": numbers[name], "confidence": row["confidence"], "attributes": attributes}


def label_of(row: Mapping[str, Any]) -> str | None:
    """The curated concept, else the best guess, else the given one."""
    found: str | None = row["curated_concept"] or row["suggested_concept"] or row["concept"]
    return found
