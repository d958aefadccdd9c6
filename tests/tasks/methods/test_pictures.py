from io import BytesIO
from typing import Any

import imagehash
import numpy as np
from PIL import Image, ImageOps

from tasks.methods.pictures import perceptual_hashes, square, squares


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 100 * np.sin(x / 17 + y / 31)
    return Image.fromarray(np.stack([red, 200 * x / width + 20, 255 - 150 * (y / height) ** 2], axis=2).astype(np.uint8))


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def test_perceptual_hashes_are_imagehashs_own() -> None:
    image = photo(300, 200)
    plain, mirrored = perceptual_hashes(image)
    assert (plain ^ int(str(imagehash.phash(image)), 16)).bit_count() <= 4
    small = image.resize((90, 60))
    assert f"{perceptual_hashes(small)[0]:016x}" == str(imagehash.phash(small))
    other, back = perceptual_hashes(ImageOps.mirror(image))
    assert (mirrored ^ other).bit_count() <= 2
    assert (plain ^ back).bit_count() <= 2
    assert (plain ^ mirrored).bit_count() > 10
    shrunk, _ = perceptual_hashes(image.resize((150, 100)))
    assert (plain ^ shrunk).bit_count() <= 4


def test_square_is_the_centre_resized() -> None:
    image = photo(300, 200)
    expected = image.crop((50, 0, 250, 200)).resize((32, 32), Image.Resampling.BICUBIC)
    assert abs(square(np.asarray(image), 32).astype(int) - np.asarray(expected, dtype=int)).mean() < 1
    assert abs(square(encoded(image, "jpeg", quality=95), 32).astype(int) - np.asarray(expected, dtype=int)).mean() < 2
    small = photo(32, 32)
    assert (square(np.asarray(small), 32) == np.asarray(small)).all()
    assert square(encoded(photo(1, 5), "png"), 16).shape == (16, 16, 3)


def test_squares_are_the_squares_of_each() -> None:
    data = [encoded(photo(90, 60), "jpeg"), encoded(photo(40, 70), "png")]
    batch = squares(data, 24)
    assert (batch.shape, batch.dtype) == ((2, 24, 24, 3), np.uint8)
    assert all((batch[place] == square(one, 24)).all() for place, one in enumerate(data))
    assert squares([], 24).shape == (0, 24, 24, 3)
