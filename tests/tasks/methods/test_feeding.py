"""Pixels out of tars: the same here and out of processes, in order, in bounded memory, with damage named."""

from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.core.settings import prepare_environment
from tasks.methods.feeding import PART, Ahead, Feed, Inline
from tasks.methods.pictures import square
from tasks.methods.tars import Entry, locate_images, read_images, write_images

N_IMAGES, SIDE = 70, 16


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = []
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (N_IMAGES, 20, 24, 3), dtype=np.uint8)):
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG")
        entries.append(Entry(f"{number:04d}", "jpg", stream.getvalue(), "", {}))
    path = tmp_path_factory.mktemp("tars") / "00000.tar"
    write_images(path, entries)
    return path


@pytest.fixture(scope="module")
def ahead() -> Iterator[Ahead]:
    feed = Ahead(8, SIDE, 2, prepare_environment)
    yield feed
    feed.close()


@pytest.fixture(params=["here", "ahead"])
def feed(request: pytest.FixtureRequest, ahead: Ahead) -> Feed:
    return ahead if request.param == "ahead" else Inline(8, SIDE)


def keys_of(tar: Path) -> list[str]:
    return [key for key, _ in read_images(tar)]


def test_pixels_come_in_the_tars_order_in_full_batches(tar: Path, feed: Feed) -> None:
    spent: defaultdict[str, float] = defaultdict(float)
    found = [batch.copy() for batch in feed.batches(tar, locate_images(tar, keys_of(tar)), spent)]
    assert [len(batch) for batch in found] == [8] * 8 + [6]
    assert np.array_equal(np.concatenate(found), np.stack([square(data, SIDE) for _, data in read_images(tar)]))
    assert spent["read"] > 0
    assert spent["decode"] > 0


def test_some_images_only(tar: Path, feed: Feed) -> None:
    stored = dict(read_images(tar))
    (batch,) = feed.batches(tar, locate_images(tar, ["0007", "0003"]), defaultdict(float))
    assert np.array_equal(batch, np.stack([square(stored[key], SIDE) for key in ("0003", "0007")]))
    assert list(feed.batches(tar, [], defaultdict(float))) == []


def test_a_damaged_image_is_named_and_the_feed_goes_on(tar: Path, feed: Feed, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    entries = [Entry(key, "jpg", data if key != "0040" else b"no picture", "", {}) for key, data in read_images(tar)]
    write_images(damaged, entries)
    with pytest.raises(ValueError, match=r"image 0040 of .*damaged.tar is damaged \(cannot identify"):
        list(feed.batches(damaged, locate_images(damaged, keys_of(damaged)), defaultdict(float)))
    assert sum(len(batch) for batch in feed.batches(tar, locate_images(tar, keys_of(tar)), defaultdict(float))) == N_IMAGES


def test_a_tar_that_ends_too_early_is_named(tar: Path, feed: Feed, tmp_path: Path) -> None:
    places = locate_images(tar, keys_of(tar))
    short = tmp_path / "short.tar"
    short.write_bytes(tar.read_bytes()[: places[50][1] + 10])
    with pytest.raises(ValueError, match=r"image 0050 of .*short.tar is damaged \(the tar ends in it\)"):
        list(feed.batches(short, places, defaultdict(float)))


def test_a_tar_that_is_not_there(tmp_path: Path, feed: Feed) -> None:
    with pytest.raises(FileNotFoundError):
        list(feed.batches(tmp_path / "absent.tar", [("0000", 0, 1)], defaultdict(float)))


def test_memory_is_bounded_whatever_the_tar() -> None:
    assert Ahead.slots(workers=16, batch_size=64) == 10  # 512 images under way, one batch sent, one waiting
    assert Ahead.slots(workers=2, batch_size=512) == 3
    assert PART == 32


def test_a_place_is_where_the_bytes_are(tar: Path) -> None:
    stored, whole = dict(read_images(tar)), tar.read_bytes()
    for key, offset, size in locate_images(tar, ["0000", "0069"]):
        assert whole[offset : offset + size] == stored[key]
    with pytest.raises(ValueError, match=r"lacks 1 of the keys asked for, such as '9999'"):
        locate_images(tar, ["0000", "9999"])
