"""One picture out of a tar, without the others."""

import tarfile

import pytest

from tasks.methods.tar_index import places, read_at
from tasks.methods.tars import Entry, read_images, write_images


def test_every_image_is_where_it_is_said_to_be(tmp_path):
    path = tmp_path / "00000.tar"
    write_images(path, [Entry("a1", "jpg", b"one", "text", {}), Entry("b2", "png", b"x" * 5000, "", {"url": "u"})])
    found = places(path)
    assert {key: place.extension for key, place in found.items()} == {"a1": "jpg", "b2": "png"}
    assert {key: read_at(path, place) for key, place in found.items()} == dict(read_images(path))


def test_what_is_no_tar_is_an_error(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing like it" * 100)
    with pytest.raises(tarfile.TarError):
        places(tmp_path / "x.tar")
