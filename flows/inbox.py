"""Keep track of arrivals: manifests that wait in an inbox, and crawls whose taking-in was cut short.

A file's name up to the first dot is the crawl's name. Write a file elsewhere and move it in, so that none is read half-written.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core.files import write_atomically
from tasks.core.tables import to_json

JOURNAL = Path(".sluice/refresh")
SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")


@dataclass(frozen=True)
class Arrival:
    """A crawl to take in, with further words for `sluice crawl add`.

    `inbox` is the folder that its manifest is moved out of, if any; `failures` counts the runs that failed for a reason of their own.
    """

    name: str
    manifest: str
    options: tuple[str, ...] = ()
    inbox: str | None = None
    failures: int = 0

    @property
    def note(self) -> Path:
        return JOURNAL / f"{self.name}.json"

    def write(self) -> None:
        """Note that the crawl is being taken in, so that a later run can go on where this one was killed."""
        with write_atomically(self.note) as path:
            path.write_text(to_json(asdict(self)))

    def forget(self) -> None:
        """The crawl is in, or gone: nothing is left to do."""
        self.note.unlink(missing_ok=True)


def unfinished() -> list[Arrival]:
    """Crawls whose taking-in was cut short, by name."""
    notes = [json.loads(path.read_text()) for path in sorted(JOURNAL.glob("*.json"))]
    return [Arrival(**{**note, "options": tuple(note["options"])}) for note in notes]


def waiting(inbox: Path, options: tuple[str, ...] = ()) -> Iterator[Arrival]:
    """Manifests in the inbox, in order of their names."""
    for path in sorted(inbox.glob("[!.]*")):
        if path.is_file() and path.name.endswith(SUFFIXES):
            yield Arrival(name=path.name.partition(".")[0], manifest=str(path), options=options, inbox=str(inbox))


def move_out(arrival: Arrival, folder: str, reason: str = "") -> None:
    """Move a manifest from its inbox to the inbox's `done` or `refused`, there with the reason beside it."""
    if arrival.inbox is None:
        return
    manifest, target = Path(arrival.manifest), Path(arrival.inbox) / folder
    target.mkdir(parents=True, exist_ok=True)
    place = _free(target, manifest.name)
    if reason:  # first: a manifest in `refused` has its reason, whenever one looks
        with write_atomically(place.with_name(f"{place.name}.reason.txt")) as path:
            path.write_text(reason + "\n")
    with suppress(FileNotFoundError):  # the run before this one was killed after the move
        shutil.move(manifest, place)


def _free(folder: Path, name: str) -> Path:
    """A path that no earlier arrival of the same name has taken."""
    stem, dot, suffix = name.partition(".")
    names = (name, *(f"{stem}-{number}{dot}{suffix}" for number in range(2, 10_000)))
    return next(folder / found for found in names if not (folder / found).exists())
