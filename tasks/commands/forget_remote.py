"""Clean a remote that is no folder here (S3, GCS, SSH, ...): delete every object that holds an image, through DVC's own access to it.

Objects that the cache still has were looked into there. Others, of versions made elsewhere, are brought one by one to be looked into.
"""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tasks.commands.forget_cache import beside_rows, holds
from tasks.commands.output import write_line
from tasks.methods.forgetting import Wanted


def clean_remote(name: str, wanted: Wanted, doomed: Collection[str], harmless: Collection[str]) -> list[str] | None:
    """Delete what holds an image, and the `doomed`, from a remote; the names of the objects. None, and a line, if it can't be reached.

    `harmless` objects are known to hold none.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            store = repo.cloud.get_remote_odb(name)
            found = found_in(store, wanted, doomed, harmless)
            for one in sorted(found):
                store.delete(one)
            return sorted(found)
    except (DvcException, OSError, ImportError) as error:  # a driver that isn't installed is an ImportError
        said = " ".join(str(error).split())
        write_line(f"remote '{name}' was not cleaned ({said[:300]}): the receipt names the objects to delete there")
        return None


def found_in(store: Any, wanted: Wanted, doomed: Collection[str], harmless: Collection[str]) -> set[str]:
    """The objects of DVC's `store` that are doomed, hold an image, or are vectors beside rows that do."""
    there = set(store.all())
    found = there & set(doomed)
    lists = sorted(name for name in there if name.endswith(".dir"))
    unknown = sorted(there - found - set(harmless) - set(lists))
    if unknown:
        write_line(f"looking into {len(unknown):,} objects of the remote that the cache doesn't have")
    with tempfile.TemporaryDirectory(prefix="sluice-forget-") as folder:
        for name in unknown:
            path = brought(store, name, Path(folder))
            if holds(path, wanted):
                found.add(name)
            path.unlink()
        return found | beside_rows([brought(store, name, Path(folder)) for name in lists], there, found)


def brought(store: Any, name: str, folder: Path) -> Path:
    """A copy of an object."""
    store.fs.get_file(store.oid_to_path(name), str(folder / name))
    return folder / name
