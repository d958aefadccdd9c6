"""Watch the inbox: each manifest that arrives becomes an event in Prefect, on which the deployment `refresh` starts.

`python -m flows.watch [INBOX]` runs until it is ended. What waits already counts as arrived; an event too many starts a run that finds
nothing to do.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.inbox import waiting
from flows.orchestrator import run_here

EVENT = "sluice.crawl.arrived"
LOOK_SECONDS = 2.0
Seen = dict[str, int]


def arrivals(inbox: Path, seen: Seen) -> Iterator[str]:
    """Names of the crawls whose manifests have come, or have been put there anew, since `seen`, which is brought up to date."""
    there = {arrival.name: stamp for arrival in waiting(inbox) if (stamp := stamp_of(Path(arrival.manifest))) is not None}
    yield from (name for name, stamp in there.items() if seen.get(name) != stamp)
    seen.clear()
    seen.update(there)


def stamp_of(path: Path) -> int | None:
    """When the file was put there; None if it has gone again."""
    try:
        return path.stat().st_ctime_ns
    except FileNotFoundError:
        return None


def watch(inbox: str = "inbox", tell: Callable[[str], None] | None = None, rounds: int | None = None) -> None:
    """Tell of every arrival, look after look."""
    tell, seen = tell or emit, Seen()
    while rounds is None or rounds > 0:
        for name in arrivals(Path(inbox), seen):
            tell(name)
        rounds = None if rounds is None else rounds - 1
        time.sleep(LOOK_SECONDS)


def emit(name: str) -> None:
    """Tell Prefect."""
    from prefect.events import emit_event

    emit_event(EVENT, resource={"prefect.resource.id": f"sluice.crawl.{name}"})


if __name__ == "__main__":
    run_here(watch, **dict(zip(("inbox",), sys.argv[1:], strict=False)))
