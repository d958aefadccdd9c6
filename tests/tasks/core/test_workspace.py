"""The workspace is found from inside, or where one is told."""

from pathlib import Path

import pytest

from tasks.core.errors import ParamsError
from tasks.core.workspace import find_workspace


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "data" / "catalog").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).touch()
    monkeypatch.delenv("SLUICE_WORKSPACE", raising=False)
    return folder


def test_from_any_folder_inside(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for inside in (top, top / "data", top / "data" / "catalog"):
        monkeypatch.chdir(inside)
        assert find_workspace() == top


def test_from_outside_by_word_or_variable(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_workspace() is None
    assert find_workspace("project") == top
    monkeypatch.setenv("SLUICE_WORKSPACE", str(top))
    assert find_workspace() == top


def test_a_wrong_folder_is_an_error_that_says_who_named_it(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match=rf"^--workspace names {tmp_path}, which holds no dvc.yaml and params.yaml: name the top"):
        find_workspace(tmp_path)
    monkeypatch.setenv("SLUICE_WORKSPACE", str(tmp_path / "nowhere"))
    with pytest.raises(ParamsError, match=r"^SLUICE_WORKSPACE names .*nowhere, which holds no"):
        find_workspace()
