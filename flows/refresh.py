"""Refresh: take in new crawls one after the other, and publish a version of the dataset with each that holds the gates.

All of it happens in a worktree of the refresh's own: the workspace, and everybody's `dvc repro` in it, is never touched. A crawl that is
refused leaves no trace but its manifest in `refused`, with the reason. A run that was killed is finished by the next one.
"""

import sys
from contextlib import chdir, suppress
from dataclasses import replace
from pathlib import Path

from flows.inbox import Arrival, move_out, unfinished, waiting
from flows.lock import workspace_lock
from flows.orchestrator import flow, get_run_logger, run_here, run_stages
from flows.stages import StageCut, StageFailed, changed_stages, read_graph, run_command
from flows.worktree import has_notes, open_worktree
from tasks.core.errors import CrawlError, Refused, SluiceError
from tasks.core.git import main_workspace
from tasks.core.names import check_crawl_name
from tasks.core.params import crawl_names, read_params
from tasks.core.publishing import branch_commit, publish, settle
from tasks.core.versions import Version, published_version
from tasks.core.worktrees import REFRESH, REFRESH_LOCK, checkout, commit_all

MAX_FAILURES = 3


class CrawlRefused(SluiceError):
    """A new crawl was not taken in; the published version is as it was before."""


@flow(name="refresh", validate_parameters=True)
def refresh(
    name: str | None = None,
    manifest: str | None = None,
    inbox: str = "inbox",
    options: list[str] | None = None,
    wait_minutes: float = 0.0,
    timeout_minutes: float | None = None,
    max_failures: int = MAX_FAILURES,
) -> None:
    """Take in the crawl `name` from `manifest`, or, without them, every manifest that waits in `inbox`; each gives a version.

    `options` are further words for `sluice crawl add`, such as ["--limit", "1000"]. A stage may take `timeout_minutes`. A crawl with which
    the stages over all crawls have failed, or a stage was killed, `max_failures` times is refused. Raises CrawlRefused after all that
    could be taken in was.
    """
    main, words = main_workspace(), tuple(options or ())
    with workspace_lock("refresh", wait_s=60 * wait_minutes, path=main / REFRESH_LOCK):
        arrivals = arrived(main, name, manifest, inbox, words)
        if not arrivals and not has_notes(main / REFRESH):
            settle(main)
            get_run_logger().info("nothing new in %s", inbox)
            return
        with chdir(open_worktree(main)):
            begun = unfinished()
            queue = [*begun, *(found for found in arrivals if found.name not in {one.name for one in begun})]
            refusals = [sentence for arrival in queue if (sentence := settled(arrival, timeout_minutes, max_failures))]
    if refusals:
        raise CrawlRefused("; ".join(refusals))


def arrived(main: Path, name: str | None, manifest: str | None, inbox: str, words: tuple[str, ...]) -> list[Arrival]:
    """The crawl that was named, or those in the inbox. Raises CrawlRefused for half an answer, or for a name that can't be used."""
    if (name is None) != (manifest is None):
        raise CrawlRefused("give both a name and a manifest, or neither to look into the inbox")
    if name is None or manifest is None:
        return list(waiting((main / inbox).absolute(), words))
    try:
        return [Arrival(check_crawl_name(name), str((main / manifest).absolute()), words)]
    except CrawlError as error:
        raise CrawlRefused(str(error)) from None


def settled(arrival: Arrival, timeout_minutes: float | None, max_failures: int) -> str:
    """Take a crawl in and publish the version with it; empty if that went well, else the sentence that says why it was refused."""
    try:
        version = take_in(arrival, timeout_minutes)
    except CrawlRefused as error:
        return refused(arrival, str(error))
    except StageFailed as error:
        return refused(arrival, failed_too_often(arrival, error, max_failures))
    move_out(arrival, "done")
    arrival.forget()
    get_run_logger().info("published %s with crawl '%s': %d of %d rows kept", version.tag, arrival.name, version.kept, version.rows)
    return ""


def failed_too_often(arrival: Arrival, error: StageFailed, max_failures: int = MAX_FAILURES) -> str:
    """Count one more failure with this crawl, and raise it; from the last one that is allowed on, the sentence that refuses the crawl."""
    counted = replace(arrival, failures=arrival.failures + 1)
    if counted.failures < max_failures:
        counted.write()
        raise error
    return f"crawl '{arrival.name}' was refused: with it the dataset could not be made, {counted.failures} times: {error}"


def take_in(arrival: Arrival, timeout_minutes: float | None) -> Version:
    """Add the crawl, run its own stages, then what needs them, and publish. Raises CrawlRefused, or StageFailed where it isn't to blame."""
    old = published_version()
    if old is not None and arrival.name in old.crawls and arrival.note.exists():
        return old  # the run before this one was killed after it had published
    register(arrival)
    make_own(arrival, timeout_minutes)
    run_stages(with_changed(read_graph().downstream(own_stages({arrival.name})), {arrival.name}), timeout_minutes)
    commit_all(Path(), f"Take in crawl '{arrival.name}'")
    try:
        return publish()
    except Refused as error:
        raise CrawlRefused(f"crawl '{arrival.name}' was refused by the gates in params.yaml: {error}") from None


def register(arrival: Arrival) -> None:
    """Add the crawl to the graph, unless an earlier run that was killed did. Raises CrawlRefused if that can't be."""
    registered = arrival.name in crawl_names(read_params())
    if registered and arrival.note.exists():
        return
    try:
        check_crawl_name(arrival.name)
        if registered:
            raise CrawlError(f"a crawl of this name is there already: give {Path(arrival.manifest).name} another name")
        if arrival.note.exists():
            clear(arrival.name)
        arrival.write()
        sluice("crawl", "add", arrival.name, arrival.manifest, *arrival.options)
    except (CrawlError, StageFailed) as error:
        raise CrawlRefused(f"crawl '{arrival.name[:80]}' was refused: {error}") from None


def make_own(arrival: Arrival, timeout_minutes: float | None) -> None:
    """Run the crawl's own stages. Raises CrawlRefused if one of them fails; StageCut where that may not be the crawl's fault."""
    own = own_stages({arrival.name})
    for address in with_changed(own, {arrival.name}):
        try:
            run_stages([address], timeout_minutes)
        except StageFailed as error:
            if address not in own or isinstance(error, StageCut):
                raise
            raise CrawlRefused(f"crawl '{arrival.name}' was refused by {address}: {error}") from None


def refused(arrival: Arrival, sentence: str) -> str:
    """Put the worktree back to the published version, without the crawl's files, and its manifest into quarantine; the sentence."""
    get_run_logger().error("%s", sentence)
    if arrival.note.exists():  # else it was never registered: a crawl of this name is the version's own
        clear(arrival.name)
    checkout(Path(), branch_commit(main_workspace()))
    arrival.forget()
    move_out(arrival, "refused", sentence)
    return sentence


def clear(name: str) -> None:
    """Remove what was made of a crawl that is in no version."""
    with suppress(StageFailed):  # it left nothing
        sluice("crawl", "remove", name, "--purge")


def own_stages(crawls: set[str]) -> list[str]:
    """Addresses of the stages that exist for these crawls alone."""
    graph = read_graph()
    return [address for crawl in sorted(crawls) for address in graph.of_crawl(crawl)]


def with_changed(targets: list[str], crawls: set[str]) -> list[str]:
    """The targets, and before them what they need and DVC would run: so a workspace that was never built is built."""
    graph = read_graph()
    needed = [address for address in graph.closure(targets) if address not in targets and address.partition("@")[2] not in crawls]
    changed = changed_stages() if needed else set()
    stale = {address for address in needed if address in changed or graph.needs[address] & changed}
    wanted = stale.union(targets)
    return [address for address in graph.order if address in wanted]


def sluice(*words: str) -> None:
    """Call Sluice's own command line. Raises StageFailed with its message."""
    run_command([sys.executable, "-m", "tasks.cli", "--workspace", str(Path.cwd()), *words], get_run_logger().info)


if __name__ == "__main__":
    words = sys.argv[1:]
    run_here(refresh, **(dict(zip(("name", "manifest"), words, strict=True)) if words else {}))
