"""Shape samples for Hugging Face datasets: a schema with an Image feature, batches of rows, and the card of the folder."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import yaml

SPLITS = {"train": "train", "val": "validation", "test": "test"}  # ours -> theirs
FOLDER = "data"  # in which they look for files
ROWS_PER_FILE = 5000
ROWS_PER_GROUP = 100  # theirs for images: a viewer reads one group at a time
IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
COLUMNS = {
    "image": IMAGE,
    "text": pa.string(),
    "concept": pa.string(),
    "given_concept": pa.string(),
    "sample_id": pa.string(),
    "url": pa.string(),
    "sha256": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "confidence": pa.float32(),
    "weight": pa.float32(),
}


def features() -> dict[str, dict[str, str]]:
    """The columns in the words of `datasets.Features`."""
    names = {pa.string(): "string", pa.int32(): "int32", pa.float32(): "float32"}
    return {name: {"_type": "Image"} if kind == IMAGE else {"dtype": names[kind], "_type": "Value"} for name, kind in COLUMNS.items()}


def schema() -> pa.Schema:
    """The Parquet schema, with the features in its metadata: without them an image is shown as a struct."""
    return pa.schema(list(COLUMNS.items()), metadata={"huggingface": json.dumps({"info": {"features": features()}})})


def batches(pictures: Iterable[tuple[Mapping[str, Any], bytes, str]]) -> Iterator[pa.Table]:
    """Tables of ROWS_PER_GROUP rows out of (sample, bytes, extension)."""
    rows = (row_of(*picture) for picture in pictures)
    while group := list(islice(rows, ROWS_PER_GROUP)):
        yield pa.Table.from_pylist(group, schema=schema())


def row_of(sample: Mapping[str, Any], data: bytes, extension: str) -> dict[str, Any]:
    """One row: `concept` is the curated one where there is one."""
    known = {name: sample[name] for name in COLUMNS if name in sample}
    concept = sample["curated_concept"] or sample["concept"]
    image = {"bytes": data, "path": f"{sample['sample_id']}.{extension}"}
    return {**known, "image": image, "text": sample["alt_text"], "concept": concept, "given_concept": sample["concept"]}


def file_name(split: str, number: int, total: int) -> str:
    """Their name of the file `number` of `total` of one of our splits."""
    return f"{SPLITS[split]}-{number:05d}-of-{total:05d}.parquet"


def card(counts: Mapping[str, int], description: Sequence[str]) -> str:
    """README.md: how the folder is to be loaded, in YAML, then the description. `counts` has the rows per split of ours."""
    splits = [split for split in SPLITS if counts.get(split)]
    files = [{"split": SPLITS[split], "path": f"{FOLDER}/{SPLITS[split]}-*.parquet"} for split in splits]
    columns = [{"name": name, "dtype": feature.get("dtype", "image")} for name, feature in features().items()]
    info = {"features": columns, "splits": [{"name": SPLITS[split], "num_examples": counts[split]} for split in splits]}
    head = {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": info,
        "pretty_name": "A set curated by Sluice",
        "task_categories": ["image-classification", "zero-shot-image-classification"],
    }
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n# A set curated by Sluice\n\n" + "\n\n".join(description) + "\n"
