import io
import json
import tarfile
from pathlib import Path

import pytest

from tasks.methods.source_tars import read_tar

IMAGES = frozenset({"jpg", "png"})


def make(path: Path, members: list[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def test_neighbours_of_one_name_are_one_sample(tmp_path: Path) -> None:
    fields = json.dumps({"url": "http://a.test/1.jpg", "caption": "from json"}).encode()
    members: list = [
        ("a/1.jpg", b"one"), ("a/1.json", fields), ("a/1.txt", b" from text\n"), ("a/2.txt", b"no image"), ("b/1.cls", b"7"),
        ("b/1.PNG", b"two"), ("b/1.md5", b"ignored"), ("b/2.seg.png", b"a mask"), ("b/3.jpg", b"0123456789"), ("b/3.json", b"{broken"),
    ]  # fmt: skip
    found = list(read_tar(make(tmp_path / "x.tar", members), IMAGES, 5))
    assert found == [
        (b"one", {"file": "x.tar/a/1", "url": "http://a.test/1.jpg", "caption": "from text"}),
        (b"two", {"file": "x.tar/b/1", "cls": "7"}),
        (b"012345", {"file": "x.tar/b/3"}),
    ]


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (("../1.jpg", b"x"), "'../1.jpg' leaves its folder"),
        (("/etc/1.jpg", b"x"), "'/etc/1.jpg' leaves its folder"),
        (("a\\..\\1.jpg", b"x"), "leaves its folder"),
        (("1.pyd", b"x"), "'1.pyd' is a pickle"),
        (("1.latent.pth", b"x"), "is a pickle"),
        (("1.PICKLE", b"x"), "is a pickle"),
        (special("1.jpg", tarfile.SYMTYPE), "'1.jpg' is a link or a device"),
        (special("1.jpg", tarfile.LNKTYPE), "is a link or a device"),
        (special("1.jpg", tarfile.CHRTYPE), "is a link or a device"),
        (special("1.jpg", tarfile.FIFOTYPE), "is a link or a device"),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, member, words: str) -> None:
    with pytest.raises(ValueError, match="x.tar") as caught:
        list(read_tar(make(tmp_path / "x.tar", [("0.jpg", b"fine"), member]), IMAGES, 100))
    assert words in str(caught.value)


def test_a_broken_tar_is_refused_and_folders_are_passed_by(tmp_path: Path) -> None:
    (tmp_path / "broken.tar").write_bytes(b"this is no tar at all" * 100)
    with pytest.raises(ValueError, match="broken.tar can't be read as a tar"):
        list(read_tar(tmp_path / "broken.tar", IMAGES, 100))
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    assert [data for data, _ in read_tar(make(tmp_path / "x.tar", [folder, ("a/1.jpg", b"x")]), IMAGES, 100)] == [b"x"]
    whole = make(tmp_path / "cut.tar", [("1.jpg", bytes(5000))]).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:3000])
    with pytest.raises(ValueError, match="cut.tar can't be read as a tar"):
        list(read_tar(tmp_path / "cut.tar", IMAGES, 10_000))
