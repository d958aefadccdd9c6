"""labels.json by hand."""

from typing import Any

from tasks.methods.fiftyone import ATTRIBUTES, labels


def sample(name: str, **known: Any) -> dict[str, Any]:
    columns = ("curated_concept", "suggested_concept", "concept", "confidence", *ATTRIBUTES)
    return dict.fromkeys(columns) | {"sample_id": name} | known


def test_labels_are_numbers_of_sorted_classes() -> None:
    rows = [
        sample("a", curated_concept="dog", suggested_concept="cat", confidence=0.9, url="http://x.test/"),
        sample("b", suggested_concept="cat", concept="dog"),
        sample("c"),
    ]
    assert labels(rows) == {
        "classes": ["cat", "dog"],
        "labels": {
            "a": {"label": 1, "confidence": 0.9, "attributes": {"url": "http://x.test/"}},
            "b": {"label": 0, "confidence": None, "attributes": {"concept": "dog"}},
            "c": None,
        },
    }
