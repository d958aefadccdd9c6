"""Event files: known checks, and records that can be walked through."""

import struct
from pathlib import Path

from tasks.methods.event_files import EventFile, crc32c, point_writer


def test_the_check_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        (n,) = struct.unpack("<Q", data[:8])
        (check,) = struct.unpack("<I", data[12 + n : 16 + n])
        plain = crc32c(data[12 : 12 + n])
        assert check == ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF
        found.append(data[12 : 12 + n])
        data = data[16 + n :]
    return found


def test_points_of_a_curve_become_records(tmp_path: Path) -> None:
    noted = point_writer(tmp_path)
    for step in (10, 20):
        noted({"step": step, "loss": 1 / step, "accuracy": 0.5})
    (file,) = tmp_path.iterdir()
    found = records(file.read_bytes())
    assert len(found) == 3
    assert all(b"loss" in record and b"accuracy" in record and b"step" not in record for record in found[1:])


def test_a_point_is_one_record_after_the_version(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "run", 1.5)
    file.scalars(300, 2.5, {"loss": 0.25})
    version, point = records(file.path.read_bytes())
    assert version == b"\x09" + struct.pack("<d", 1.5) + b"\x1a\x0dbrain.Event:2"
    value = b"\x0a\x04loss" + b"\x15" + struct.pack("<f", 0.25)
    assert (
        point
        == b"\x09" + struct.pack("<d", 2.5) + b"\x10\xac\x02" + b"\x2a" + bytes([len(value) + 2]) + b"\x0a" + bytes([len(value)]) + value
    )
