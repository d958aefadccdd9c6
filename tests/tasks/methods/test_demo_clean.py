"""Clean sets: balanced, decodable, apart from each other, the same every time."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tasks.methods.demo_clean import CONCEPTS, NEAR_CONCEPTS, make_clean_sets, make_leak

ROWS = {"in_domain_test": 30, "near_domain_train": 16, "near_domain_test": 8}


@pytest.fixture(scope="module")
def sets():
    return make_clean_sets(seed=0, rows=ROWS)


def test_sizes_and_balance(sets):
    assert {name: table.num_rows for name, table in sets.items()} == ROWS
    assert Counter(sets["in_domain_test"]["concept"].to_pylist()) == dict.fromkeys(CONCEPTS, 3)
    assert Counter(sets["near_domain_train"]["concept"].to_pylist()) == dict.fromkeys(NEAR_CONCEPTS, 2)


def test_every_picture_is_another_and_decodes(sets):
    images = [image for table in sets.values() for image in table["image"].to_pylist()]
    assert len(set(images)) == sum(ROWS.values())
    for image in images:
        with Image.open(io.BytesIO(image)) as found:
            assert min(found.convert("RGB").size) >= 96


def test_again_gives_the_same_and_another_seed_another(sets):
    assert make_clean_sets(seed=0, rows=ROWS) == sets
    assert make_clean_sets(seed=1, rows={"in_domain_test": 1})["in_domain_test"] != sets["in_domain_test"].slice(0, 1)


def test_even_leaks_are_byte_copies_and_odd_ones_are_not(sets):
    for number in range(4):
        concept, _, body, _ = make_leak(number=number, clean_seed=0, rng=np.random.default_rng(number))
        row = sets["in_domain_test"].slice(number, 1).to_pylist()[0]
        assert concept == row["concept"]
        assert (body == row["image"]) == (number % 2 == 0)


def test_an_unknown_set_is_named():
    with pytest.raises(ValueError, match="no clean set 'test': make in_domain_test, near_domain_train, near_domain_test"):
        make_clean_sets(seed=0, rows={"test": 3})
