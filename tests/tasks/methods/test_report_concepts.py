"""Concept cards put words, figures, anchors and prototypes together."""

import pytest

from tasks.methods.report_concepts import concept_cards

WORDS = [{"name": name, "definition": f"a {name}", "distractors": ()} for name in ("ant", "bee", "cow")]
FIGURES = [
    {"concept": "ant", "n_rows": 5, "n_kept": 4, "n_judged": 5, "n_right": 4},
    {"concept": "cow", "n_rows": 9, "n_kept": 1, "n_judged": 9, "n_right": 1},
]
PROTOTYPES = [
    {"concept": "ant", "kind": "visual", "embedding": [1.0, 0.0], "n_images": 7},
    {"concept": "ant", "kind": "text", "embedding": [0.6, 0.8], "n_images": 0},
    {"concept": "cow", "kind": "visual", "embedding": [0.8, 0.6], "n_images": 3},
]


def cards(limit: int):
    return concept_cards(words=WORDS, figures=FIGURES, anchors={"ant": [{"key": "1"}]}, prototypes=PROTOTYPES, limit=limit)


def test_a_card_has_all_that_is_known():
    ant, bee, cow = cards(3)
    assert (ant["name"], ant["n_rows"], ant["n_anchors"], len(ant["anchors"])) == ("ant", 5, 7, 1)
    assert ant["agreement"] == pytest.approx(0.6)
    assert (ant["nearest"], ant["nearness"]) == ("cow", pytest.approx(0.8))
    assert (bee["n_rows"], bee["n_anchors"], bee["anchors"], bee["nearest"]) == (0, None, [], None)
    assert cow["agreement"] is None


def test_the_largest_concepts_are_shown_by_name():
    assert [card["name"] for card in cards(2)] == ["ant", "cow"]


def test_no_prototypes_yet():
    assert concept_cards(words=WORDS, figures=[], anchors={}, prototypes=[], limit=1)[0]["nearest"] is None
