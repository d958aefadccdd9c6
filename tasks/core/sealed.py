"""Know what is sealed: old crawls whose tables and images stay where they are, under entries of DVC's that no stage makes.

An entry notes from what the crawls were made, beside their own folders. Where that has changed since, they would have to be made again,
and a stage that would mix them with newer ones refuses to start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks.core.errors import SluiceError
from tasks.core.graph import StageEntry
from tasks.core.params import sealed_names

ENTRIES = Path("sealed")
LOCK = Path("dvc.lock")


class SealError(SluiceError):
    """Crawls can't be sealed or opened again, or what they were made from has changed."""


def entries(folder: Path = ENTRIES) -> list[Path]:
    """The files of the sealed crawls, oldest first."""
    return sorted(folder.glob("*.dvc"))


def read_quickly(path: Path) -> dict[str, Any]:
    """A file of DVC's as plain values, by the fast parser: to be read only, for it takes some texts for numbers that DVC does not."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(), loader) or {} if path.exists() else {}


def check_seal(stage: StageEntry, values: Mapping[str, Any], folder: Path = ENTRIES, lock: Path = LOCK) -> None:
    """Raise SealError if the sealed crawls were made by other params of this stage, or from another state of what it reads."""
    files = entries(folder)
    if not sealed_names(values) or not files:
        return
    made_from = read_quickly(files[-1]).get("meta") or {}  # they all say the same, or these crawls could not have been sealed
    params: Mapping[str, Any] = made_from.get("params", {})
    if set(stage.placeholders()) == {"item"}:
        for section in stage.params:
            if section in params and params[section] != values.get(section):
                raise _changed(f"section '{section}' of params.yaml")
    read = {found.template for found in stage.data} & set(made_from.get("deps", {}))
    if read:
        now = digests(read_quickly(lock))
        for path in sorted(read):
            if path in now and now[path] != made_from["deps"][path]:
                raise _changed(path)


def digests(lock: Mapping[str, Any]) -> dict[str, str]:
    """The md5 of every path that a stage of a lock file makes."""
    return {out["path"]: out["md5"] for stage in (lock.get("stages") or {}).values() for out in stage.get("outs", ()) if "md5" in out}


def _changed(what: str) -> SealError:
    return SealError(
        f"{what} has changed since crawls were sealed, and a sealed crawl is never made again: put it back, "
        f"or open them with `sluice crawl unseal --all` and run `dvc repro`"
    )
