import sys

import numpy as np
import pytest
from PIL import Image

from tasks.methods import resizing
from tasks.methods.resizing import bicubic, centre_square
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


@pytest.mark.parametrize("size", [(97, 64), (64, 97), (300, 3), (3, 300), (1, 5), (33, 33), (1000, 64)])
@pytest.mark.parametrize("side", [1, 32, 50])
@pytest.mark.parametrize("build", [True, False], ids=["vectors", "pillow"])
def test_the_centre_is_cut_out(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], side: int, build: bool) -> None:
    if not build:
        monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    image = photo(*size)
    least = min(size)
    left, top = (size[0] - least) / 2, (size[1] - least) / 2
    expected = image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + least, top + least))
    off = np.asarray(centre_square(image, side), int) - np.asarray(expected, int)
    assert np.abs(off).max() <= 3
    assert np.abs(off).mean() < 0.5


def test_sharp_edges_are_those_of_pillow_along_the_columns_first() -> None:
    pytest.importorskip("cykooz_resizer")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 401, 3), dtype=np.uint8))
    columns = noise.resize((401, 224), Image.Resampling.BICUBIC)
    expected = columns.resize((224, 224), Image.Resampling.BICUBIC, box=(50.5, 0, 350.5, 224))
    assert np.abs(np.asarray(centre_square(noise, 224), int) - np.asarray(expected, int)).max() <= 2


def test_a_square_of_that_side_is_returned() -> None:
    image = photo(40, 40)
    assert centre_square(image, 40) is image


def test_without_a_build_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    image = photo()
    assert bicubic(image, (61, 40)).tobytes() == image.resize((61, 40), Image.Resampling.BICUBIC).tobytes()


def test_instructions_change_no_byte() -> None:
    extensions = pytest.importorskip("cykooz_resizer").CpuExtensions
    image = photo(500, 375)
    expected = bicubic(image, (341, 256)).tobytes()
    resizer, _ = resizing._resizer(False) or pytest.fail("there is a build, but it isn't used")
    resizer.cpu_extensions = extensions.none
    assert bicubic(image, (341, 256)).tobytes() == expected


def test_a_picture_of_many_blocks_of_memory() -> None:
    image = photo(300, 200).resize((4000, 3000))  # 48 MB, more than Pillow keeps in one piece
    off = np.asarray(bicubic(image, (400, 300)), int) - np.asarray(image.resize((400, 300), Image.Resampling.BICUBIC), int)
    assert np.abs(off).max() <= 3
