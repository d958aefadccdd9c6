"""Fixtures that several tests share."""

from pathlib import Path

import pytest

from tasks.core.settings import prepare_environment

REPO = Path(__file__).resolve().parents[1]
prepare_environment()


@pytest.fixture(scope="session")
def repo() -> Path:
    """The top folder of the project."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; tests that need it skip, visibly, where it is absent."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the project")
    return folder


@pytest.fixture(scope="session")
def shared_tools() -> Path:
    """The folder of crawl server and scorer beside the project; tests that need it skip, visibly, where it is absent."""
    folder = REPO.parent / "shared" / "tools"
    if not folder.is_dir():
        pytest.skip("no ../shared/tools beside the project")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy workspace with its first crawl, built up to the report; who changes what is in it takes a copy."""
    from tests.workspace import repro, set_params, toy_workspace

    folder = toy_workspace(tmp_path_factory.mktemp("toy") / "workspace")
    set_params(folder, crawls=["demo-1"], demos=["demo-1"])
    repro(folder)
    return folder
