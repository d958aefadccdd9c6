"""Tags count up and carry the facts; the pointer moves at once."""

import os
import threading
from dataclasses import replace

import pytest

from tasks.core import versions as module
from tasks.core.errors import VersionError
from tasks.core.git import git, head
from tasks.core.versions import (
    Version,
    check_tag,
    current_tag,
    find_version,
    list_versions,
    next_tag,
    point_to,
    published_version,
    set_refs,
    versions_folder,
)
from tests.tasks.repository import build, make_repository


@pytest.fixture
def folder(tmp_path):
    return make_repository(tmp_path / "workspace")


def version(commit: str, tag: str = "v0001") -> Version:
    return Version(tag, commit, None, "2026-01-02T03:04:05+00:00", rows=1200, kept=1000, crawls=["a", "b"], crawls_added=["b"])


@pytest.mark.parametrize("name", ["v0001", "v9999", "v12345", "v0001+forgotten.2"])
def test_names_of_versions(name):
    assert check_tag(name) == name


@pytest.mark.parametrize("name", ["v1", "v0.1.0", "v0001 ", "../v0001", "v0001+forgotten", "-v0001", "v0001\n", ""])
def test_other_names_are_refused(name):
    with pytest.raises(VersionError, match="is no version: say a tag such as v0001"):
        check_tag(name)


def test_tags_count_up_over_what_is_there(folder):
    assert next_tag(folder) == "v0001"
    for tag in ("v0003", "v0007+forgotten.1", "v0.9.0", "v99"):
        git("tag", tag, folder=folder)
    assert next_tag(folder) == "v0008"


def test_facts_come_back_out_of_the_tag(folder):
    made = version(head(folder))
    set_refs(made, None, folder)
    assert list_versions(folder) == [made]
    assert find_version("v0001", folder) == made
    assert (
        git("tag", "-n1", "--list", "v0001", folder=folder).split(maxsplit=1)[1] == "v0001: 1,000 of 1,200 rows kept, 2 crawls; came in: b"
    )


def test_versions_are_in_order_and_other_tags_no_versions(folder):
    commit = head(folder)
    for tag in ("v0010", "v0002", "v0002+forgotten.1"):
        set_refs(version(commit, tag), None, folder)
    git("tag", "v0004", folder=folder)
    git("-c", "user.name=x", "-c", "user.email=x@localhost", "tag", "-a", "-m", "by hand", "v0005", folder=folder)
    assert [found.tag for found in list_versions(folder)] == ["v0002", "v0002+forgotten.1", "v0010"]
    with pytest.raises(VersionError, match=r"there is no version v0005 \(versions: v0002, v0002\+forgotten.1, v0010\)"):
        find_version("v0005", folder)


def test_tag_and_branch_move_together_or_not_at_all(folder):
    first = head(folder)
    git("update-ref", module.BRANCH, first, folder=folder)
    assert published_version(folder) is None
    second = build(folder, crawls=["a"], kept=2)
    set_refs(version(second), first, folder)
    assert git("rev-parse", module.BRANCH, folder=folder) == second
    assert published_version(folder) == version(second)
    with pytest.raises(VersionError, match="update-ref"):  # the branch is no longer where the caller believes it
        set_refs(version(first, "v0002"), first, folder)
    assert git("tag", folder=folder) == "v0001"


def test_the_folder_lies_in_the_main_checkout_or_where_one_is_told(folder, monkeypatch):
    git("worktree", "add", "--detach", ".sluice/w", folder=folder)
    assert versions_folder(folder / ".sluice/w") == folder / "versions"
    monkeypatch.setenv("SLUICE_VERSIONS", "/srv/versions")
    assert str(versions_folder(folder)) == "/srv/versions"


def test_the_pointer_is_swapped_and_an_open_folder_stays(tmp_path):
    for tag in ("v0001", "v0002"):
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "name").write_text(tag)
    assert current_tag(tmp_path) is None
    point_to(tmp_path, "v0001")
    opened = os.open(tmp_path / "current", os.O_RDONLY)
    (tmp_path / f".current.{os.getpid()}.tmp").symlink_to("left by a kill")
    point_to(tmp_path, "v0002")
    assert current_tag(tmp_path) == "v0002"
    assert (tmp_path / "current/name").read_text() == "v0002"
    descriptor = os.open("name", os.O_RDONLY, dir_fd=opened)
    assert os.read(descriptor, 10) == b"v0001"
    os.close(descriptor)
    os.close(opened)


def test_readers_never_miss_the_pointer(tmp_path):
    for tag in ("v0001", "v0002"):
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "name").write_text(tag)
    point_to(tmp_path, "v0001")
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add((tmp_path / "current/name").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    number = 0
    while number < 300 or (len(seen) < 2 and number < 100_000):  # a starved reader gets its turn
        point_to(tmp_path, f"v000{1 + number % 2}")
        number += 1
    stop.set()
    reader.join()
    assert seen == {"v0001", "v0002"}


def test_a_version_issued_again_says_so():
    assert "; without what r.json names" in replace(version("c"), receipt="r.json").message
