"""Make what benchmarks.embed embeds: an encoder of random weights, tars of photographs, and the tables that the stage reads."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.contracts import records, validity
from tasks.core.tables import Contract, Shard, Sink
from tasks.methods.clip import new_model, save_encoder
from tasks.methods.manifests import image_ids, sample_ids
from tasks.methods.tars import Entry, write_images

CRAWL = "photos"
SHARDS = 6


def make(folder: Path, files: Sequence[Path], n_images: int, model: str) -> None:
    """An encoder of random weights, tars of the photographs as they are, and the tables that say so."""
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        sys.exit(f"open_clip knows no model '{model}'")
    save_encoder(new_model(config, seed=0)[0], config, folder / "encoder", source="crawl", name=model)
    texts = [f"{files[place % len(files)].stem.partition('_')[2].replace('_', ' ')}, picture {place}" for place in range(n_images)]
    urls = [f"http://photos.test/{place}.jpg" for place in range(n_images)]
    ids, nothing = image_ids(urls), [None] * n_images
    samples = sample_ids(urls, texts, nothing)
    for number, places in enumerate(np.array_split(np.arange(n_images), SHARDS)):
        shard = Shard(CRAWL, f"{number:05d}")
        entries = [Entry(f"{place:09d}", "jpg", files[place % len(files)].read_bytes(), texts[place], {}) for place in places]
        (folder / "images").mkdir(exist_ok=True)
        write_images(folder / "images" / f"{shard.name}.tar", entries)
        rows = [
            {"sample_id": samples[place], "image_id": ids[place], "crawl": CRAWL, "shard": shard.name, "key": f"{place:09d}",
             "url": urls[place], "alt_text": texts[place], "status": "ok"}
            for place in places
        ]  # fmt: skip
        write(folder, records.CONTRACT, shard, rows)
        checked = [{"sample_id": samples[place], "crawl": CRAWL, "valid": True, "reasons": []} for place in places]
        write(folder, validity.CONTRACT, shard, checked)


def write(folder: Path, contract: Contract, shard: Shard, rows: Sequence[dict[str, Any]]) -> None:
    """One shard of a table; columns that the rows don't say are null."""
    rows = sorted(rows, key=lambda row: str(row["sample_id"]))
    Sink(contract, folder / contract.name, [CRAWL], bound_crawl=CRAWL).write(shard, pa.Table.from_pylist(rows, schema=contract.schema))
