"""Find out what dvc.yaml has to say: the code that a stage imports, however deep, and the contracts of its tables."""

import ast
from pathlib import Path

from tasks.core.stage import Stage, annotations
from tasks.core.tables import Sink, Source


def imported_modules(path: Path, repo: Path) -> set[Path]:
    """Files of tasks/ that a module imports, at the top or inside functions; tasks/core left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tasks"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("tasks")]
        for name in names:
            file = repo / (name.replace(".", "/") + ".py")
            if file.is_file() and not name.startswith("tasks.core"):
                found.add(file)
    return found


def code_of(stage: Stage, name: str, repo: Path) -> set[str]:
    """The .py deps that a stage of dvc.yaml must have, relative to the repo."""
    todo = {repo / "tasks" / f"{name}.py"}
    todo |= {repo / f"tasks/contracts/{argument}.py" for argument, kind in annotations(stage).items() if kind in (Source, Sink)}
    done: set[Path] = set()
    while todo:
        path = todo.pop()
        done.add(path)
        todo |= imported_modules(path, repo) - done
    templates = {file for path in done for file in (path.parent / "templates").glob(f"{path.stem}.*")}
    return {str(path.relative_to(repo)) for path in done | templates}
