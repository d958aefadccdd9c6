"""Write TensorBoard's event files: a record per point of a curve, readable while the training goes on.

The format is TFRecord around the protocol buffer Event (tensorflow/core/util/event.proto), of which only scalars are written: too little
to ask for TensorBoard itself.
"""

import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


class EventFile:
    """Appends to FOLDER/events.out.tfevents.SECONDS.sluice; `now` are the seconds since 1970 of its beginning."""

    def __init__(self, folder: Path, now: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{int(now):010d}.sluice"
        self._append(_double(1, now) + _bytes(3, b"brain.Event:2"))

    def scalars(self, step: int, now: float, values: Mapping[str, float]) -> None:
        """Add the values by their tags at a step."""
        summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
        self._append(_double(1, now) + _varint(2 << 3) + _varint(step) + _bytes(5, summary))

    def _append(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        with self.path.open("ab") as file:
            file.write(length + _checksum(length) + event + _checksum(event))


def point_writer(folder: Path) -> Callable[[dict[str, float]], None]:
    """A function that adds points of a curve, which have a `step`, to a new event file in the folder."""
    file = EventFile(folder, time.time())

    def noted(point: dict[str, float]) -> None:
        file.scalars(int(point["step"]), time.time(), {name: value for name, value in point.items() if name != "step"})

    return noted


def crc32c(data: bytes) -> int:
    """The cyclic redundancy check of Castagnoli, 32 bits."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (POLYNOMIAL if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    """TFRecord's masked check."""
    plain = crc32c(data)
    return struct.pack("<I", ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
