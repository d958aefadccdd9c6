import pytest

from tasks.core.files import digest_of, digest_of_file, remove_temporaries, scratch_folder, write_atomically, write_folder_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), write_atomically(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_replaces(tmp_path):
    with write_atomically(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), write_folder_atomically(target) as temporary:
        raise RuntimeError
    assert (target / "old").exists()
    with write_folder_atomically(target) as temporary:
        (temporary / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_temporaries_of_killed_writers_go(tmp_path):
    (tmp_path / ".x.parquet.12.tmp").write_text("half")
    (tmp_path / ".y.13.tmp").mkdir()
    (tmp_path / "kept.parquet").write_text("whole")
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.parquet"]


def test_digests_are_framed(tmp_path):
    assert digest_of("a", "bc") != digest_of("ab", "c")
    assert digest_of({"x": 1}) == digest_of({"x": 1})
    (tmp_path / "f").write_bytes(b"abc")
    assert digest_of_file(tmp_path / "f") == "cf4ab791c62b8d2b2109c90275287816"


def test_a_scratch_folder_is_gone_afterwards_and_so_is_that_of_a_killed_run(tmp_path):
    (tmp_path / "table" / ".scratch.1.tmp").mkdir(parents=True)
    (tmp_path / "table" / "kept").touch()
    with pytest.raises(RuntimeError), scratch_folder(tmp_path / "table") as folder:
        assert not list(folder.iterdir())
        (folder / "vectors").touch()
        raise RuntimeError
    assert [path.name for path in (tmp_path / "table").iterdir()] == ["kept"]
    with scratch_folder(tmp_path / "new") as folder:
        assert folder.parent == tmp_path / "new"
