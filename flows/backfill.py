"""Backfill: take in many crawls, each through the door that `refresh` uses, then make the stages over all crawls once, and publish once.

A crawl that is in is committed in refresh's own worktree, so that a run that was killed goes on behind it, and a crawl that is refused
takes no other with it. What a killed backfill has begun, the next `backfill` or `refresh` ends.
"""

import sys
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

from flows.inbox import Arrival, move_out, unfinished, waiting
from flows.lock import workspace_lock
from flows.orchestrator import flow, get_run_logger, run_here, run_stages
from flows.refresh import CrawlRefused, clear, failed_too_often, make_own, own_stages, register, with_changed
from flows.stages import StageFailed, read_graph
from flows.worktree import has_notes, open_worktree
from tasks.core.errors import CrawlError, Refused
from tasks.core.git import head, main_workspace
from tasks.core.names import check_crawl_name
from tasks.core.publishing import branch_commit, publish, settle
from tasks.core.versions import published_version
from tasks.core.worktrees import REFRESH, REFRESH_LOCK, checkout, commit_all


@flow(name="backfill", validate_parameters=True)
def backfill(
    folder: str | None = None,
    crawls: dict[str, str] | None = None,
    options: list[str] | None = None,
    wait_minutes: float = 0.0,
    timeout_minutes: float | None = None,
) -> None:
    """Take in every manifest of `folder`, in order of their names, or `crawls`, manifests by crawl name; all of them give one version.

    `options` are further words for each `sluice crawl add`. A stage may take `timeout_minutes`. Raises CrawlRefused after all that could
    be taken in was, with a sentence about each that was not.
    """
    main = main_workspace()
    with workspace_lock("backfill", wait_s=60 * wait_minutes, path=main / REFRESH_LOCK):
        arrivals = listed(main, folder, crawls, tuple(options or ()))
        if not arrivals and not has_notes(main / REFRESH):
            settle(main)
            get_run_logger().info("nothing to take in from %s", folder)
            return
        with chdir(open_worktree(main)):
            begun = unfinished()
            queue = [*begun, *(found for found in arrivals if found.name not in {one.name for one in begun})]
            taken, refusals = taken_in(queue, timeout_minutes)
            refusals += made_whole(taken, timeout_minutes) if taken else []
    if refusals:
        raise CrawlRefused("; ".join(refusals))


def listed(main: Path, folder: str | None, crawls: Mapping[str, str] | None, words: tuple[str, ...]) -> list[Arrival]:
    """The crawls to take in. Raises CrawlRefused unless either a folder or a list is given, or for a name that can't be used."""
    if (folder is None) == (crawls is None):
        raise CrawlRefused("give either a folder of manifests, or crawls as {name: manifest}")
    if folder is not None:
        place = (main / folder).absolute()
        if not place.is_dir():
            raise CrawlRefused(f"{place} is no folder: name one that holds manifests")
        return list(waiting(place, words))
    try:
        return [Arrival(check_crawl_name(name), str((main / manifest).absolute()), words) for name, manifest in (crawls or {}).items()]
    except CrawlError as error:
        raise CrawlRefused(str(error)) from None


def taken_in(queue: list[Arrival], timeout_minutes: float | None) -> tuple[list[Arrival], list[str]]:
    """Run each crawl's own stages, one crawl after the other; those that are in, and a sentence about each that was refused."""
    taken: list[Arrival] = []
    refusals: list[str] = []
    published = published_version()
    for place, arrival in enumerate(queue, start=1):
        if not (published is not None and arrival.name in published.crawls and arrival.note.exists()):
            try:
                register(arrival)
                make_own(arrival, timeout_minutes)
            except (CrawlRefused, StageFailed) as error:
                sentence = failed_too_often(arrival, error) if isinstance(error, StageFailed) else str(error)
                refusals.append(take_back([arrival], sentence, head(Path())))
                continue
            commit_all(Path(), f"Take in crawl '{arrival.name}'")
        taken.append(arrival)
        get_run_logger().info("crawl '%s' is in, %d of %d", arrival.name, place, len(queue))
    return taken, refusals


def made_whole(taken: list[Arrival], timeout_minutes: float | None) -> list[str]:
    """Make what needs the crawls, and publish; a sentence if the gates refuse it, with which all of the crawls are taken back."""
    names = {arrival.name for arrival in taken}
    published = published_version()
    if published is None or not names <= set(published.crawls):  # else the run before this one was killed after it had published
        run_stages(with_changed(read_graph().downstream(own_stages(names)), names), timeout_minutes)
        commit_all(Path(), f"Backfill {len(names)} crawls")
        try:
            published = publish()
        except Refused as error:
            sentence = f"{len(names)} crawls ({', '.join(sorted(names))}) were refused by the gates in params.yaml: {error}"
            return [take_back(taken, sentence, branch_commit(main_workspace()))]
    for arrival in taken:
        move_out(arrival, "done")
        arrival.forget()
    get_run_logger().info("published %s with %d crawls: %d of %d rows kept", published.tag, len(names), published.kept, published.rows)
    return []


def take_back(arrivals: list[Arrival], sentence: str, commit: str) -> str:
    """Put the worktree to a commit without the crawls, and their manifests into quarantine; the sentence that says why."""
    get_run_logger().error("%s", sentence)
    for arrival in arrivals:
        if arrival.note.exists():  # else it was never registered: a crawl of this name is the version's own
            clear(arrival.name)
    checkout(Path(), commit)
    for arrival in arrivals:
        arrival.forget()
        move_out(arrival, "refused", sentence)
    return sentence


if __name__ == "__main__":
    run_here(backfill, folder=sys.argv[1] if len(sys.argv) > 1 else "inbox")
