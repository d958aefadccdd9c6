"""Pictures out of a tar, each at its places."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.methods.pixel_files import Decoding, decode_tar, reserve
from tasks.methods.tars import Entry, write_images


def test_pictures_land_at_their_places_and_nowhere_else(tmp_path: Path) -> None:
    entries = []
    for number in range(4):
        stream = BytesIO()
        Image.fromarray(np.full((6, 6, 3), 40 * number, np.uint8)).save(stream, "PNG")
        entries.append(Entry(f"{number:09d}", "png", stream.getvalue(), "", {}))
    write_images(tmp_path / "0.tar", entries)
    file, shape = tmp_path / "pixels", (5, 6, 6, 3)
    np.memmap(file, np.uint8, "w+", shape=shape)[:] = 7
    decode_tar(Decoding(tmp_path / "0.tar", {"000000003": [0], "000000001": [2, 4]}), file, shape)
    found = np.memmap(file, np.uint8, "r", shape=shape)
    assert [int(picture[0, 0, 0]) for picture in found] == [120, 7, 40, 7, 40]
    assert (found == found[:, :1, :1]).all()


def test_room_is_taken_before_anything_is_decoded(tmp_path: Path) -> None:
    reserve(tmp_path / "pixels", (5, 6, 6, 3))
    assert (tmp_path / "pixels").stat().st_size == 540
    assert (tmp_path / "pixels").stat().st_blocks * 512 >= 540


def test_a_full_disk_is_told_beforehand_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"[\d,]+ pictures of 512 pixels take [\d.]+ GB in .*, which can't be had \(.*\): make room there"):
        reserve(tmp_path / "pixels", (2**40, 512, 512, 3))
    assert not list(tmp_path.iterdir())
