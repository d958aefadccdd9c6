"""Find the workspace: the top folder of a project, from any folder inside it, or where one is told.

A workspace is a folder that holds dvc.yaml and params.yaml; all paths of the graph start from it.
"""

import os
from pathlib import Path

from tasks.core.errors import ParamsError

MARKS = ("dvc.yaml", "params.yaml")
VARIABLE = "SLUICE_WORKSPACE"


def find_workspace(told: str | Path | None = None) -> Path | None:
    """The folder told (or named by SLUICE_WORKSPACE); else the nearest one at or above the working directory; None without one.

    Raises ParamsError if the folder told is no workspace.
    """
    name = told or os.environ.get(VARIABLE)
    if name:
        folder = Path(name).absolute()
        if not is_workspace(folder):
            origin = "--workspace" if told else VARIABLE
            raise ParamsError(f"{origin} names {folder}, which holds no {' and '.join(MARKS)}: name the top folder of a project")
        return folder
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if is_workspace(folder)), None)


def is_workspace(folder: Path) -> bool:
    """Whether the folder is the top of a project."""
    return all((folder / mark).is_file() for mark in MARKS)
