"""Refresh: take in new crawls, each through its own stages, then bring the dataset up to date.

A crawl that one of its own stages refuses leaves no trace in the workspace. A run that was killed is finished by the next one.
"""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from flows.inbox import Arrival, move_out, unfinished, waiting
from flows.lock import workspace_lock
from flows.orchestrator import flow, get_run_logger, run_here, run_stages
from flows.stages import StageFailed, changed_stages, read_graph, run_command
from tasks.core.errors import CrawlError, SluiceError
from tasks.core.names import check_crawl_name
from tasks.core.params import PARAMS_FILE, crawl_names, read_params


class CrawlRefused(SluiceError):
    """A new crawl was not taken in; the workspace is as it was before."""


@flow(name="refresh", validate_parameters=True)
def refresh(
    name: str | None = None,
    manifest: str | None = None,
    inbox: str = "inbox",
    options: list[str] | None = None,
    wait_minutes: float = 0.0,
) -> None:
    """Take in the crawl `name` from `manifest`, or, without them, every manifest that waits in `inbox`.

    `options` are further words for `sluice crawl add`, such as ["--limit", "1000"].
    Raises CrawlRefused after all that could be taken in was. Nothing new and nothing unfinished: nothing is done.
    """
    if (name is None) != (manifest is None):
        raise CrawlRefused("give both a name and a manifest, or neither to look into the inbox")
    words = tuple(options or ())
    with workspace_lock("refresh", wait_s=60 * wait_minutes):
        begun = unfinished()
        arrivals = [Arrival(name, manifest, words)] if name and manifest else list(waiting(Path(inbox), words))
        taken, refusals = take_in([*begun, *(found for found in arrivals if found.name not in {one.name for one in begun})])
        if taken:
            crawls = {arrival.name for arrival in taken}
            run_stages(with_changed(read_graph().downstream(own_stages(crawls)), crawls))
        elif not refusals:
            get_run_logger().info("nothing new in %s", inbox)
        for arrival in taken:
            arrival.forget()
    if refusals:
        raise CrawlRefused("; ".join(refusals))


def take_in(arrivals: list[Arrival]) -> tuple[list[Arrival], list[str]]:
    """Run each crawl's own stages; gives the crawls that are in, and a sentence about each that was refused."""
    taken, refusals = [], []
    for arrival in arrivals:
        try:
            arrival = register(arrival)
            make_own(arrival)
        except CrawlRefused as error:
            get_run_logger().error("%s", error)
            move_out(arrival, "refused", str(error))
            refusals.append(str(error))
        else:
            arrival = move_out(arrival, "done")
            arrival.write()
            taken.append(arrival)
    return taken, refusals


def register(arrival: Arrival) -> Arrival:
    """Add the crawl to the graph, unless an earlier run that was killed did. Raises CrawlRefused if that can't be."""
    registered = arrival.name in crawl_names(read_params())
    if registered and arrival.note.exists():
        return arrival
    try:
        check_crawl_name(arrival.name)
        if registered:
            raise CrawlError(f"a crawl of this name is there already: give {arrival.manifest} another name")
        if arrival.note.exists():
            clear(arrival.name)
        arrival = replace(arrival, params=PARAMS_FILE.read_text())
        arrival.write()
        sluice("crawl", "add", arrival.name, arrival.manifest, *arrival.options)
    except (CrawlError, StageFailed) as error:
        if not registered:
            undo(arrival)
        raise CrawlRefused(f"crawl '{arrival.name[:80]}' was refused: {error}") from None
    return arrival


def make_own(arrival: Arrival) -> None:
    """Run the crawl's own stages. Raises CrawlRefused if one of them fails, after the crawl was taken out again."""
    own = own_stages({arrival.name})
    for address in with_changed(own, {arrival.name}):
        try:
            run_stages([address])
        except StageFailed as error:
            if address not in own:
                raise
            undo(arrival)
            raise CrawlRefused(f"crawl '{arrival.name}' was refused by {address}: {error}") from None


def undo(arrival: Arrival) -> None:
    """Take the crawl out of the graph and its files off the disk; params.yaml is as it was, byte for byte, if nobody else changed it."""
    before = yaml.safe_load(arrival.params or "{}")
    if arrival.name in crawl_names(read_params()):
        try:
            sluice("crawl", "remove", arrival.name, "--purge")
        except StageFailed as error:
            get_run_logger().error("crawl '%s' was not removed (%s): params.yaml is put back as it was", arrival.name, error)
            PARAMS_FILE.write_text(arrival.params)
    if before and read_params() == before:
        PARAMS_FILE.write_text(arrival.params)
    arrival.forget()


def clear(name: str) -> None:
    """Remove what an `add` that was killed left of a crawl that is not in the graph."""
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
    run_command([sys.executable, "-m", "tasks.cli", *words], get_run_logger().info)


if __name__ == "__main__":
    words = sys.argv[1:]
    run_here(refresh, **(dict(zip(("name", "manifest"), words, strict=True)) if words else {}))
