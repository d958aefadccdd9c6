"""Publish: a commit that holds the gates becomes a version with tag, folder and, where there is a remote, its data there.

The order is what makes a kill harmless: data to the remote, tag and branch in one transaction of git, folder, and last the pointer that
readers follow. `settle` ends what a killed run has left after the transaction; before it nothing can be seen.
"""

import io
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml
from filelock import FileLock

from tasks.core.errors import Refused, VersionError
from tasks.core.gates import METRICS, MIX, PublishParams, concept_mix, figures_of, names_of, refusals
from tasks.core.git import contains, git, head, holds, main_workspace, run_bytes, text_at
from tasks.core.params import PARAMS_FILE, crawl_names, read_params, section
from tasks.core.snapshots import cache_of, make_folder, tracked
from tasks.core.versions import BRANCH, Version, current_tag, next_tag, point_to, published_version, set_refs, versions_folder
from tasks.core.worktrees import dvc, remote_of

LOCK = Path(".sluice/publish.lock")  # in the main checkout: tags are counted there
SECTION = "publish"
ROWS, KEPT = "curate.rows", "curate.kept"


def publish(folder: Path = Path()) -> Version:
    """Make the commit that is checked out in `folder` the published version.

    Raises Refused if a gate does not hold; VersionError if the commit leaves out a published one, or a remote can't be reached.
    """
    main = main_workspace(folder)
    settle(folder)
    with one_at_a_time(main):
        before, commit = branch_commit(main), head(folder)
        if not contains(commit, before, folder):
            raise VersionError(
                "the published version is not part of this commit: run `git merge published`, `dvc repro`, commit, and publish again"
            )
        old = published_version(main)
        if old is not None and old.commit == commit:
            raise VersionError(f"there is nothing to publish: this commit is {old.tag}")
        check(folder, old)
        push(folder)
        version = version_of(commit, old, folder)
        set_refs(version, before, folder)
        finish(version, folder)
    return version


def check(folder: Path, old: Version | None) -> None:
    """Compare what lies in `folder` with the published version. Raises Refused with a sentence for every gate that does not hold."""
    values = read_params(folder / PARAMS_FILE)
    before = figures_at(old.commit, folder) if old is not None else {}
    figures = compared(figures_in(folder), old, folder)
    gates = section(PublishParams, SECTION, values).gates
    sentences = refusals(figures, before, gates, added(crawl_names(values), old))
    if sentences:
        raise Refused("; ".join(sentences))


def version_of(commit: str, old: Version | None, folder: Path) -> Version:
    """The facts about the version to come."""
    values = yaml.safe_load(text_at(commit, str(PARAMS_FILE), folder) or "")
    figures, crawls = compared(figures_at(commit, folder), old, folder), crawl_names(values)
    looked_at = [name for gate in section(PublishParams, SECTION, values).gates for name in names_of(gate, added(crawls, old))]
    return Version(
        tag=next_tag(folder),
        commit=commit,
        parent=old.tag if old else None,
        published=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=int(figures.get(ROWS, 0)),
        kept=int(figures.get(KEPT, 0)),
        crawls=crawls,
        crawls_added=added(crawls, old),
        metrics={name: figures[name] for name in looked_at if name in figures},
    )


def compared(figures: dict[str, float], old: Version | None, folder: Path) -> dict[str, float]:
    """The figures, and those that compare with the published version."""
    return figures | ({MIX: concept_mix(figures, figures_at(old.commit, folder))} if old is not None else {})


def added(crawls: Sequence[str], old: Version | None) -> list[str]:
    """The crawls that the published version does not have."""
    return [name for name in crawls if old is None or name not in old.crawls]


def figures_in(folder: Path) -> dict[str, float]:
    """The figures of the crawls and stages in a workspace."""
    return figures_of({str(path.relative_to(folder / METRICS)): path.read_text() for path in (folder / METRICS).rglob("*.json")})


def figures_at(commit: str, folder: Path) -> dict[str, float]:
    """The same of a commit."""
    if not tracked(commit, str(METRICS), folder):
        return {}
    with tarfile.open(fileobj=io.BytesIO(run_bytes("archive", "--format=tar", commit, "--", str(METRICS), folder=folder))) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
        return figures_of({str(Path(name).relative_to(METRICS)): file.read().decode() for name, file in members if file is not None})


def settle(folder: Path = Path()) -> None:
    """End what was begun: the published version has its folder, and readers are led to it."""
    with one_at_a_time(main_workspace(folder)):
        version = published_version(folder)
        if version is not None and current_tag(versions_folder(folder)) != version.tag:
            finish(version, folder)


def finish(version: Version, folder: Path) -> None:
    """Make the version's folder if it isn't there, and lead readers to it."""
    place = versions_folder(folder)
    if not (place / version.tag).exists():
        make_folder(place, version, cache_of(folder), folder)
    point_to(place, version.tag)


def one_at_a_time(main: Path) -> FileLock:
    """One publishes at a time; the others wait for its end, which is a matter of seconds after the push."""
    path = main / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def branch_commit(main: Path) -> str:
    """The tip of the branch `published`, made where HEAD is if it isn't there. Raises VersionError if somebody has it checked out."""
    if not holds("show-ref", "--verify", "--quiet", BRANCH, folder=main):
        git("update-ref", BRANCH, head(main), "", folder=main)
    if f"branch {BRANCH}" in git("worktree", "list", "--porcelain", folder=main).splitlines():
        raise VersionError("the branch `published` is checked out: switch to another one (`git switch -c mine`), for publishing moves it")
    return git("rev-parse", BRANCH, folder=main)


def push(folder: Path) -> None:
    """Send the data to the remote that DVC is told to use, if any. Raises VersionError if that fails: nothing is published then."""
    if remote_of(folder):
        dvc(folder, "push")
