"""Search: the samples whose images are nearest to a text, by the dataset's own encoder and FAISS."""

import argparse
from pathlib import Path

import numpy as np

from tasks.commands.output import printable
from tasks.commands.similar import check_count, open_index, write_near
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import read_params
from tasks.methods.clip import load_encoder
from tasks.methods.encoder import Encoder
from tasks.methods.pictures import DECODER_ERRORS, square

STAGE, OUT = "prepare_encoder", "encoder"


def run(arguments: argparse.Namespace) -> None:
    """Write the samples whose images fit the text best."""
    n = check_count(arguments.n)
    if not arguments.text.strip():
        raise SluiceError('the text is empty: say what to look for, such as "a red car"')
    opened = open_index()
    query = open_encoder().encode_texts([arguments.text])[0]
    try:
        near = opened.near(query, n)
    except ValueError as error:
        raise SluiceError(str(error)) from None
    write_near(near, opened.rows, arguments.format)


def open_encoder() -> Encoder:
    """The encoder of the project in the working directory. Raises SluiceError if there is none."""
    folder = next(out.path(read_params()) for out in read_graph()[STAGE].outs if out.name == OUT)
    try:
        return load_encoder(folder)
    except ValueError as error:
        raise SluiceError(str(error)) from None


def picture_vector(path: Path) -> np.ndarray:
    """A picture file in the encoder's space, (d,) float32. Raises SluiceError for one that can't be decoded."""
    encoder = open_encoder()
    try:
        pixels = square(path.read_bytes(), encoder.image_size)
    except DECODER_ERRORS as error:
        raise SluiceError(f"{path} is no picture that can be read ({printable(error)})") from None
    vector: np.ndarray = encoder.encode_images(pixels[None].copy())[0]
    return vector
