"""One stored picture, by where its record says it lies."""

from pathlib import Path

import pytest

from tasks.commands.pictures import StoredPictures
from tasks.core.errors import ShardError
from tasks.methods.tars import Entry, write_images


def test_a_picture_is_read_out_of_its_shard(project: Path) -> None:
    folder = Path("data/images/alpha")
    folder.mkdir(parents=True)
    write_images(folder / "00000.tar", [Entry("a", "jpg", b"one", "", {}), Entry("b", "png", b"two", "", {})])
    stored = StoredPictures()
    assert stored.read("alpha", "00000", "b") == (b"two", "png")
    write_images(folder / "00000.tar", [Entry("b", "webp", b"anew", "", {})])
    assert stored.read("alpha", "00000", "b") == (b"anew", "webp")


def test_what_is_not_there_is_named(project: Path) -> None:
    with pytest.raises(ShardError, match="picture k of shard alpha/00007 can't be read .FileNotFoundError.: run `dvc repro` again"):
        StoredPictures().read("alpha", "00007", "k")
