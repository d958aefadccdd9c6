"""Schema, rows and card."""

import json

import yaml

from tasks.methods.huggingface import ROWS_PER_GROUP, batches, card, file_name, schema

SAMPLE = {
    "sample_id": "ab",
    "alt_text": "a cat",
    "concept": "dog",
    "curated_concept": "cat",
    "url": "http://demo.test/1.jpg",
    "sha256": "00",
    "width": 2,
    "height": 3,
    "confidence": 0.5,
    "weight": 0.5,
}


def test_rows_come_in_groups_with_the_features() -> None:
    tables = list(batches([(SAMPLE, b"jpeg", "jpg")] * (ROWS_PER_GROUP + 1)))
    assert [table.num_rows for table in tables] == [ROWS_PER_GROUP, 1]
    row = tables[0].to_pylist()[0]
    assert row["image"] == {"bytes": b"jpeg", "path": "ab.jpg"}
    assert (row["text"], row["concept"], row["given_concept"]) == ("a cat", "cat", "dog")
    features = json.loads(schema().metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["confidence"] == {"dtype": "float32", "_type": "Value"}
    assert list(features) == tables[0].schema.names


def test_the_card_names_the_splits_that_are_there() -> None:
    _, head, text = card({"train": 3, "test": 1}, ["What it is."]).split("---\n")
    info = yaml.safe_load(head)
    assert [split["name"] for split in info["dataset_info"]["splits"]] == ["train", "test"]
    assert info["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    assert text.endswith("What it is.\n")
    assert file_name("val", 1, 2) == "validation-00001-of-00002.parquet"
