import sys

import numpy as np
import pytest
from PIL import Image

from tasks.methods import resizing
from tasks.methods.resizing import bicubic
from tests.tasks.methods.test_decoding import photo

SIZES = [(61, 40), (96, 1), (1, 64), (7, 3), (40, 64)]


@pytest.fixture(autouse=True)
def found_anew():
    resizing._resizer.cache_clear()
    yield
    resizing._resizer.cache_clear()


@pytest.mark.parametrize("size", SIZES)
def test_it_is_pillows_bicubic_but_for_rounding(size: tuple[int, int]) -> None:
    image = photo()
    off = np.asarray(bicubic(image, size), int) - np.asarray(image.resize(size, Image.Resampling.BICUBIC), int)
    assert np.abs(off).max() <= 3
    assert np.abs(off).mean() < 0.5


def test_edges_are_antialiased_not_skipped() -> None:
    lines = Image.fromarray(np.tile(np.array([[0], [255]], np.uint8), (64, 100)), "L").convert("RGB")  # one pixel black, one white
    found = np.asarray(bicubic(lines, (50, 32)), int)[4:-4]
    assert np.abs(found - 127).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (33, 77)])
def test_an_even_picture_stays_even(size: tuple[int, int]) -> None:
    smaller = max(1, size[0] // 3), max(1, size[1] // 3)
    assert bicubic(Image.new("RGB", size, (10, 200, 31)), smaller).getcolors() == [(smaller[0] * smaller[1], (10, 200, 31))]


def test_a_picture_of_that_size_is_returned() -> None:
    image = photo()
    assert bicubic(image, image.size) is image


def test_without_a_build_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    image = photo()
    assert bicubic(image, (61, 40)).tobytes() == image.resize((61, 40), Image.Resampling.BICUBIC).tobytes()


def test_instructions_change_no_byte() -> None:
    extensions = pytest.importorskip("cykooz_resizer").CpuExtensions
    image = photo(500, 375)
    expected = bicubic(image, (341, 256)).tobytes()
    resizer, _ = resizing._resizer() or pytest.fail("there is a build, but it isn't used")
    resizer.cpu_extensions = extensions.none
    assert bicubic(image, (341, 256)).tobytes() == expected


def test_a_picture_of_many_blocks_of_memory() -> None:
    image = photo(300, 200).resize((4000, 3000))  # 48 MB, more than Pillow keeps in one piece
    off = np.asarray(bicubic(image, (400, 300)), int) - np.asarray(image.resize((400, 300), Image.Resampling.BICUBIC), int)
    assert np.abs(off).max() <= 3
