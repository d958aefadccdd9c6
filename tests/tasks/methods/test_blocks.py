"""Blocks of rows, and arrays in files."""

from pathlib import Path

import numpy as np
import pytest

from tasks.methods import blocks as module
from tasks.methods.blocks import Columns, blocks, make_file, make_room, products


def test_blocks_hold_every_row_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 100)
    spans = list(blocks(10, 30))
    assert [(part.start, part.stop) for part in spans] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert [(part.start, part.stop) for part in blocks(2, 1000)] == [(0, 1), (1, 2)]
    assert list(blocks(0, 8)) == []
    assert list(blocks(3, 0)) == [slice(0, 3)]


def test_what_is_written_in_blocks_stays_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 64)
    rows = make_file(tmp_path / "rows", (20, 4), np.float32)
    assert not rows.any()
    for part in blocks(20, 16, rows):
        rows[part] = np.arange(part.start, part.stop)[:, None]
    assert np.array_equal(np.fromfile(tmp_path / "rows", np.float32).reshape(20, 4), np.repeat(np.arange(20), 4).reshape(20, 4))
    assert np.array_equal(rows, np.repeat(np.arange(20), 4).reshape(20, 4))


def test_products_and_columns_are_those_of_the_rows_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 40)
    rng = np.random.default_rng(0)
    matrix, vectors, wanted = rng.normal(size=(9, 4)), rng.normal(size=(3, 4)), np.array([8, 0, 0, 5, 2, 7, 1])
    assert products(matrix, wanted, vectors) == pytest.approx((matrix @ vectors.T)[wanted])
    assert products(matrix, wanted, vectors[0]) == pytest.approx((matrix @ vectors[0])[wanted])
    side = Columns(matrix[:, :1], matrix[:, 1:])
    assert (len(side), side.shape) == (9, (9, 4))
    assert np.array_equal(side[wanted], matrix[wanted].astype(np.float32))
    assert side[2:5].dtype == np.float32


def test_an_array_without_numbers_has_no_file(tmp_path: Path) -> None:
    assert make_file(tmp_path / "none", (0, 4), np.float32).shape == (0, 4)
    assert make_file(tmp_path / "none", (3, 0), np.int32).dtype == np.int32
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_told_beforehand_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^9,999,999,999 rows of vectors take [\d.]+ GB in .*, which can't be had \(.*\): make room there$"
    ):
        make_file(tmp_path / "vectors", (9_999_999_999, 100_000), np.float32)
    make_room(tmp_path / "room", 1000, "a few", "none")
    assert (tmp_path / "room").stat().st_blocks * 512 >= 1000
    assert [file.name for file in tmp_path.iterdir()] == ["room"]
