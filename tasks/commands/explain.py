"""Explain: one sample's story in the terminal, with its picture where the terminal can show one."""

import argparse
from typing import Any

from tasks.commands.output import shows_colours, write_picture, write_sections
from tasks.commands.pictures import StoredPictures
from tasks.commands.story import find_records, lookup, story
from tasks.core.errors import ShardError
from tasks.core.params import crawl_names, read_params


def run(arguments: argparse.Namespace) -> None:
    """Write the story of the sample that a url or an id names."""
    look = lookup()
    records = find_records(arguments.sample, look)
    crawls = crawl_names(read_params())
    records.sort(key=lambda record: crawls.index(record["crawl"]))
    stored = next((record for record in records if record["status"] == "ok"), None)
    if stored is not None and shows_colours() and not forgotten(look, stored["sample_id"]):
        show(stored["crawl"], stored["shard"], stored["key"])
    write_sections(story(records, look))


def forgotten(look: Any, sample_id: str) -> bool:
    """Whether the picture may no longer be shown."""
    rows = look("curated", "sample_id = $id", {"id": sample_id})
    return bool(rows) and "forgotten" in rows[0]["reasons"]


def show(crawl: str, shard: str, key: str) -> None:
    """The picture in half blocks; a story without its picture is still a story."""
    try:
        data, _ = StoredPictures().read(crawl, shard, key)
    except ShardError:
        return
    write_picture(data)
