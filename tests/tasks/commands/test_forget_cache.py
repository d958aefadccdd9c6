"""Objects that hold an image are found by what they are; the others stay."""

import json
from hashlib import md5
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tasks.commands.forget_cache import clean, current_objects, folder_objects, holds, lock_objects, md5_of
from tasks.methods.forgetting import Wanted
from tasks.methods.tars import Entry, write_images

WANTED = Wanted(frozenset({"5a" * 16}), frozenset({"1a" * 16}), frozenset({"http://a.test/1"}), frozenset({"dd" * 32}))


def put(store: Path, path: Path, *, suffix: str = "") -> str:
    """Move a file into a store of objects, under the name that DVC would give it."""
    name = md5_of(path) + suffix
    (store / name[:2]).mkdir(parents=True, exist_ok=True)
    path.rename(store / name[:2] / name[2:])
    return name


def table(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def tar(path: Path, **fields: str) -> Path:
    write_images(path, [Entry("000000000", "jpg", b"jpeg", "text", fields)])
    return path


def test_each_kind_of_object_is_looked_into(tmp_path: Path) -> None:
    assert holds(table(tmp_path / "1", sample_id=["x", "5a" * 16]), WANTED)
    assert not holds(table(tmp_path / "2", sample_id=["x"]), WANTED)
    assert not holds(table(tmp_path / "3", sample_id=["5a" * 16], detail=["forgotten"]), WANTED)
    assert not holds(table(tmp_path / "4", name=["5a" * 16]), WANTED)
    assert holds(tar(tmp_path / "5", image_id="1a" * 16), WANTED)
    assert holds(tar(tmp_path / "6", sha256="dd" * 32), WANTED)
    assert not holds(tar(tmp_path / "7", image_id="x"), WANTED)
    (tmp_path / "8").write_text("<img alt='http://a.test/1'>")
    (tmp_path / "9").write_bytes(b"PAR1 " + b"5a" * 16)  # damaged
    assert holds(tmp_path / "8", WANTED)
    assert holds(tmp_path / "9", WANTED)
    (tmp_path / "10").write_bytes(bytes(100))
    assert not holds(tmp_path / "10", WANTED)


def test_a_store_loses_what_holds_it_and_the_vectors_beside(tmp_path: Path) -> None:
    store = tmp_path / "store"
    rows = put(store, table(tmp_path / "a", sample_id=["5a" * 16]))
    np.save(tmp_path / "b.npy", np.ones(3))
    vectors = put(store, tmp_path / "b.npy")
    (tmp_path / "c").write_text("innocent")
    other = put(store, tmp_path / "c")
    (tmp_path / "d").write_text("replaced")
    replaced = put(store, tmp_path / "d")
    entries = [{"md5": rows, "relpath": "rows.parquet"}, {"md5": vectors, "relpath": "vectors.npy"}]
    (tmp_path / "e").write_text(json.dumps(entries))
    folder = put(store, tmp_path / "e", suffix=".dir")
    assert clean(store, WANTED, [replaced, "0" * 32]) == sorted([rows, vectors, replaced])
    assert {path.parent.name + path.name for path in store.glob("*/*")} == {other, folder}
    assert folder_objects([store]) == {folder: [rows, vectors]}


def test_what_the_workspace_speaks_of_is_known(tmp_path: Path, project: Path) -> None:
    lock = {"schema": "2.0", "stages": {"a": {"cmd": "x", "deps": [{"path": "p", "md5": "m1"}], "outs": [{"path": "q", "md5": "m2.dir"}]}}}
    assert list(lock_objects(lock)) == ["m1", "m2.dir"]
    assert list(lock_objects({})) == []
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    (tmp_path / "mine.dvc").write_text(yaml.safe_dump({"outs": [{"path": "mine", "md5": "m3"}]}))
    assert current_objects(tmp_path, {"m2.dir": ["m4"], "old.dir": ["m5"]}) == {"m1", "m2.dir", "m3", "m4"}


def test_names_are_dvcs(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert md5_of(tmp_path / "x") == md5(b"content", usedforsecurity=False).hexdigest()
