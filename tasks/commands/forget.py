"""Forget: images and all that was made of them leave every file of the dataset, and no later crawl brings them back.

A journal says what is to go before anything goes; every step can be repeated, so that a killed run is ended by `--resume`. What goes is
gone from tars, tables, lineage, index, catalog, report, exports, DVC's cache and remotes; a receipt says what is left to do.
"""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tasks.commands.crawl import dvc
from tasks.commands.export import noted_exports, write_export
from tasks.commands.forget_cache import affected_tags, clean, commit, current_objects, folder_objects, md5_of, objects, read_stores
from tasks.commands.forget_files import data_folders, edit_graph, edit_index, edit_table, edit_tar, parquet_files, positions
from tasks.commands.forget_remote import clean_remote
from tasks.commands.forget_search import Request, chosen_records, found_wanted, tars_of
from tasks.commands.forget_versions import issue_again, published_place, refresh_waits, strip, under_way
from tasks.commands.output import write_line
from tasks.core.errors import SluiceError
from tasks.core.files import digest_of, write_atomically
from tasks.core.forgotten import Forgotten, read_forgotten, write_forgotten
from tasks.core.graph import read_graph
from tasks.core.lineage import FETCHES
from tasks.core.params import read_params
from tasks.core.tables import to_json
from tasks.methods.forgetting import Wanted

JOURNAL, LOCK, RECEIPTS = Path(".sluice/forget.json"), Path(".sluice/workspace.lock"), Path("reports/receipts")
REBUILT = ("catalog", "report")  # cheap, and made of what has changed


@dataclass
class Journal:
    """What is to be forgotten, and what a resumed run has to know."""

    samples: list[str]
    images: list[str]
    urls: list[str]
    digests: list[str]
    hosts: list[str]
    fresh: list[str]
    positions: list[int]
    started: str
    replaced: list[str] = field(default_factory=list)  # names of DVC's objects of files before they were rewritten
    removed: dict[str, int] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> Wanted:
        return Wanted(frozenset(self.samples), frozenset(self.images), frozenset(self.urls), frozenset(self.digests))

    @property
    def token(self) -> str:
        return digest_of(self.started, self.samples)

    def save(self) -> None:
        with write_atomically(JOURNAL) as path:
            path.write_text(to_json(self.__dict__))

    def note(self, path: Path) -> None:
        """Remember a file's content before it is replaced."""
        name = md5_of(path)
        if name not in self.replaced:
            self.replaced.append(name)
            self.save()


def run(arguments: argparse.Namespace) -> None:
    """Forget what the arguments name, say what would be forgotten, or end what a killed run began."""
    top = Path.cwd()
    with workspace_alone(), refresh_waits(top):
        published = published_place(top)
        places = [top, *([published] if published else [])]
        journals = begun(places) if arguments.resume else planned_in(places, Request.of(arguments))
        if arguments.dry_run:
            return write_line(f"would forget {summary(next(iter(journals.values())))}")
        for place, journal in journals.items():
            with chdir(place):
                journal.save()
        for journal in journals.values():
            strip(journal.wanted, crawls_folder(), top)
        for place, journal in journals.items():
            with chdir(place):
                receipt = carry_out(journal)
            write_line(f"forgot {summary(journal)}; receipt: {receipt if place == top else place / receipt}")
        issued = issue_again(published) if published else []
    for version in issued:
        write_line(f"issued again: {version.tag}, without what {version.receipt} names")
    return write_line("next: commit dvc.lock, data/crawls and the receipt with git, and `dvc push` where there is a remote")


def planned_in(places: list[Path], request: Request) -> dict[Path, Journal]:
    """What has to go in the workspace and in the published version. Raises SluiceError if neither has what is named."""
    journals, errors = dict[Path, Journal](), list[SluiceError]()
    for place in places:
        if (place / JOURNAL).exists():
            raise SluiceError("an earlier `sluice forget` was interrupted: end it first with `sluice forget --resume`")
        with chdir(place):
            try:
                journals[place] = planned(request)
            except SluiceError as error:
                errors.append(error)
    if not journals:
        raise errors[0]
    return journals


def begun(places: list[Path]) -> dict[Path, Journal]:
    """What a killed run has left. Raises SluiceError if there is nothing to resume."""
    journals = {place: Journal(**json.loads((place / JOURNAL).read_text())) for place in places if (place / JOURNAL).exists()}
    if not journals and not any(under_way(place) for place in places[1:]):
        raise SluiceError("nothing to resume: no `sluice forget` was interrupted")
    return journals


@contextmanager
def workspace_alone() -> Iterator[None]:
    """Have the workspace alone: nightly runs take the same lock."""
    from filelock import FileLock, Timeout

    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            yield
    except Timeout:
        raise SluiceError("the workspace is in use by another run: wait for its end, then start again") from None


def planned(request: Request) -> Journal:
    """What has to go, out of what was asked for. Raises SluiceError for a name that fits nothing."""
    records = chosen_records(request)
    wanted = found_wanted(request, records)
    return Journal(
        samples=sorted(wanted.samples),
        images=sorted(wanted.images),
        urls=sorted(wanted.urls),
        digests=sorted(wanted.digests),
        hosts=sorted(request.hosts),
        fresh=read_stores().fresh,
        positions=positions(index_folder(), wanted).tolist(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def carry_out(journal: Journal) -> Path:
    """All steps in order; each leaves alone what is done. The path of the receipt."""
    crawls, wanted = crawls_folder(), journal.wanted
    before = read_forgotten(crawls)
    forgotten = before.union(Forgotten(wanted.images, wanted.digests, frozenset(journal.hosts)))
    write_forgotten(crawls, forgotten)  # first: from now on no crawl brings it back
    folders, removed = data_folders(), Counter(journal.removed)
    for tar, keys in tars_of(wanted).items():
        removed["images"] += edit_tar(tar, keys, journal.note)
    gone = np.array(journal.positions, np.int64)
    if len(positions(index_folder(), wanted)):
        edit_index(index_folder(), gone, journal.note)
    edit_graph(folders, gone, journal.token, journal.note)
    for path in parquet_files([*folders, FETCHES]):
        removed[path.parts[1] if len(path.parts) > 1 else path.name] += edit_table(path, wanted, forgotten, crawls, journal.note)
    journal.removed = {name: count for name, count in sorted(removed.items()) if count}
    journal.save()
    finish_stages(journal)
    finish_exports(journal)
    return write_receipt(journal)


def finish_stages(journal: Journal) -> None:
    """Make the catalog and the report anew, and take the rest as it lies for what its stages would make."""
    made = {name: out.path(read_params()) for name in REBUILT for out in read_graph()[name].outs}
    for path in made.values():
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                journal.note(file)
    commit([name for name in journal.fresh if name not in REBUILT])
    for name, path in made.items():
        if path.exists():
            rebuild(name, path)


def rebuild(stage: str, path: Path) -> None:
    """Make a stage's result anew; one that can't be made is deleted, for the old one may show the image."""
    try:
        dvc("repro", "--single-item", stage)
    except SluiceError as error:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        write_line(f"{path} was deleted and could not be made anew: {error}")


def finish_exports(journal: Journal) -> None:
    """Make each export anew that held one of the samples; one of which nothing is left is deleted, a subset may come out smaller."""
    for export in noted_exports(journal.samples):
        shutil.rmtree(export.folder)  # first: from now on it holds nothing, whatever happens to its successor
        journal.exports.append(export.folder)
        journal.save()
        try:
            write_export(export, or_fewer=True)
        except SluiceError as error:
            write_line(f"{export.folder} was deleted and could not be made anew: {error}")


def write_receipt(journal: Journal) -> Path:
    """Clean the stores, write what was done and what is left to do, and drop the journal."""
    stores = read_stores()
    inside = folder_objects(stores.folders)
    replaced = set(journal.replaced) - current_objects(crawls_folder(), inside)
    cleaned = {str(folder): clean(folder, journal.wanted, replaced) for folder in stores.folders}
    doomed = frozenset(name for names in cleaned.values() for name in names) | replaced
    harmless = {name for name, _ in objects(stores.folders[0])}  # what the cache still has was looked into
    remotes = {name: clean_remote(name, journal.wanted, doomed, harmless) for name in stores.others}
    receipt: dict[str, Any] = {
        "forgotten": {"samples": journal.samples, "images": journal.images, "sha256": journal.digests, "hosts": journal.hosts},
        "started": journal.started,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "removed": journal.removed,
        "exports_made_anew": sorted(set(journal.exports)),
        "objects_deleted": cleaned | {name: found for name, found in remotes.items() if found is not None},
        "left": {
            "models_that_saw_it": models() if journal.removed.get("images") else [],
            "remotes_not_reached": {name: sorted(doomed) for name, found in remotes.items() if found is None},
            "tags_to_issue_again": affected_tags(doomed, inside),
        },
    }
    path = RECEIPTS / f"{journal.started.replace(':', '').replace('+0000', 'Z')}-{journal.token[:8]}.json"
    with write_atomically(path) as temporary:
        temporary.write_text(to_json(receipt))
    JOURNAL.unlink()
    return path


def models() -> list[str]:
    """Trained models and encoders: what they learnt from an image stays in them until they are trained again."""
    outs = [out for stage in read_graph().values() for out in stage.outs if out.name in ("models", "encoder")]
    folders = [
        folder for out in outs for folder in ([Path(out.template)] if not out.bound else sorted(Path(out.template).parent.glob("*")))
    ]
    return [str(folder) for folder in folders if folder.is_dir()]


def crawls_folder() -> Path:
    """Where dvc.yaml has the folders of the crawls, and the list beside them."""
    found = next(entry for stage in read_graph().values() for entry in stage.deps if entry.name == "crawls")
    return Path(found.template).parent


def index_folder() -> Path:
    """Where dvc.yaml has the index."""
    return next(out.path(read_params()) for out in read_graph()["index"].outs if out.name == "index")


def summary(journal: Journal) -> str:
    """How much there is to forget."""
    hosts = f" and the hosts {', '.join(journal.hosts)}" if journal.hosts else ""
    return f"{len(journal.images)} images ({len(journal.samples)} samples){hosts}"
