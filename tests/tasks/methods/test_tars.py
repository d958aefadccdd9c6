import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tasks.methods.tars import Entry, read_images, write_images

ENTRIES = [Entry("000000001", "png", b"two", "zwei", {"b": 1, "a": "é"}), Entry("000000000", "jpg", b"one", "", {})]


def test_equal_images_give_equal_bytes_in_key_order(tmp_path: Path) -> None:
    write_images(tmp_path / "a.tar", ENTRIES)
    write_images(tmp_path / "b.tar", reversed(ENTRIES))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
        expected = [f"{key}.{end}" for key, kind in (("000000000", "jpg"), ("000000001", "png")) for end in (kind, "txt", "json")]
        assert [member.name for member in members] == expected
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {(0, 0, 0, "", 0o644)}
        assert json.loads(tar.extractfile("000000001.json").read()) == {"a": "é", "b": 1}  # type: ignore[union-attr]
        assert tar.extractfile("000000001.txt").read() == b"zwei"  # type: ignore[union-attr]


def test_the_bytes_are_those_of_tarfile(tmp_path: Path) -> None:
    entries = [
        Entry(f"{n:09d}", "webp", bytes([n]) * size, "x" * n, {"n": n}) for n, size in enumerate([0, 1, 511, 512, 513, 10_000, 70_000])
    ]
    write_images(tmp_path / "a.tar", entries)
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            for end, data in (("webp", entry.data), ("txt", entry.text.encode()), ("json", json.dumps(entry.fields).encode())):
                member = tarfile.TarInfo(f"{entry.key}.{end}")
                member.size = len(data)
                tar.addfile(member, BytesIO(data))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_name_too_long_for_a_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"with 1 bytes doesn't fit into a tar: names have up to 100 bytes"):
        write_images(tmp_path / "a.tar", [Entry("0" * 100, "jpg", b"x", "", {})])


def test_read_all_or_some(tmp_path: Path) -> None:
    write_images(tmp_path / "a.tar", ENTRIES)
    assert list(read_images(tmp_path / "a.tar")) == [("000000000", b"one"), ("000000001", b"two")]
    assert list(read_images(tmp_path / "a.tar", ["000000001"])) == [("000000001", b"two")]
    assert list(read_images(tmp_path / "a.tar", [])) == []
    with pytest.raises(ValueError, match=r"a.tar lacks 1 of the keys asked for, such as '000000007'"):
        list(read_images(tmp_path / "a.tar", ["000000000", "000000007"]))


def test_names_that_would_leave_the_folder_are_refused(tmp_path: Path) -> None:
    for entry in (Entry("../x", "jpg", b"", "", {}), Entry("x", "exe", b"", "", {})):
        with pytest.raises(ValueError, match="is no name for a tar: letters and digits, then one of"):
            write_images(tmp_path / "a.tar", [entry])


def test_webdataset_reads_it(tmp_path: Path) -> None:
    write_images(tmp_path / "a.tar", ENTRIES)
    with tarfile.open(tmp_path / "a.tar") as tar:
        groups = [name.partition(".")[0] for name in tar.getnames()]
    assert groups == sorted(groups)  # members of one sample stand together
