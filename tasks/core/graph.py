"""Read dvc.yaml: what each stage takes and makes, by name.

dvc.yaml is the only place that knows paths. A path's name is the last of its parts that is not made of placeholders:
`data/records/${item}` is `records`, `reports/index.html` is `index`, `${clean}` is `clean`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tasks.core.errors import WiringError

GRAPH_FILE = Path("dvc.yaml")
PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Entry:
    """One path of a stage as it stands in dvc.yaml, placeholders and all."""

    template: str

    @property
    def name(self) -> str:
        whole = PLACEHOLDER.fullmatch(self.template)
        if whole:
            return whole[1].rsplit(".", 1)[-1]
        parts = [part for part in PurePosixPath(self.template).parts if not PLACEHOLDER.search(part)]
        return PurePosixPath(parts[-1]).stem

    @property
    def bound(self) -> bool:
        """Whether the path is that of one crawl (or arm): its last part is filled in."""
        return len(PurePosixPath(self.template).parts) > 1 and bool(PLACEHOLDER.search(PurePosixPath(self.template).name))

    def path(self, values: Mapping[str, Any]) -> Path:
        """The path with its placeholders filled. Raises WiringError for one that nobody gives."""
        return Path(fill(self.template, values))


@dataclass(frozen=True)
class StageEntry:
    """One stage of dvc.yaml."""

    name: str
    command: str
    deps: tuple[Entry, ...]
    outs: tuple[Entry, ...]
    metrics: tuple[Entry, ...]
    params: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(entry.template for entry in self.deps if entry.template.startswith("tasks/"))

    @property
    def data(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.deps if not entry.template.startswith("tasks/"))

    def placeholders(self) -> list[str]:
        """The names of the command's arguments, in order: ["item"], or ["item.arm", "item.seed"]."""
        return PLACEHOLDER.findall(self.command)


def read_graph(path: Path = GRAPH_FILE) -> dict[str, StageEntry]:
    """Every stage by its name. Raises WiringError if the file can't be read."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise WiringError(f"{path} not found: run this from the top folder of the project") from None
    return {name: _stage(name, body.get("do", body)) for name, body in content["stages"].items()}


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Replace each ${a.b} by `values["a.b"]`, or by a walk through nested mappings."""

    def value(match: re.Match[str]) -> str:
        found: Any = values.get(match[1], values)
        if found is values:
            for part in match[1].split("."):
                if not isinstance(found, Mapping) or part not in found:
                    raise WiringError(f"dvc.yaml: nothing gives a value for ${{{match[1]}}} in '{template}'")
                found = found[part]
        return str(found)

    return PLACEHOLDER.sub(value, template)


def _stage(name: str, body: Mapping[str, Any]) -> StageEntry:
    return StageEntry(
        name=name,
        command=body["cmd"],
        deps=_entries(body.get("deps", [])),
        outs=_entries(body.get("outs", [])),
        metrics=_entries(body.get("metrics", [])),
        params=tuple(body.get("params", [])),
    )


def _entries(items: list[Any]) -> tuple[Entry, ...]:
    return tuple(Entry(next(iter(item)) if isinstance(item, Mapping) else item) for item in items)
