"""Watch a long stage while it runs: rate, bytes, success, failures by class and time left, for people, for programs and for Prometheus.

SLUICE_PROGRESS_JSON names a file to which a JSON line is appended every few seconds, SLUICE_PROGRESS_PROMETHEUS one that is replaced
each time (for node_exporter's textfile collector). Neither changes results.
"""

import json
import logging
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 10.0
WINDOW_S = 30.0  # over which the rate is taken
JSON_VARIABLE = "SLUICE_PROGRESS_JSON"
PROMETHEUS_VARIABLE = "SLUICE_PROGRESS_PROMETHEUS"
HELP = {
    "images": "Images of the crawl",
    "images_done": "Images with a result",
    "images_ok": "Images fetched and decoded",
    "bytes": "Bytes downloaded",
    "images_per_second": "Images with a result per second",
    "bytes_per_second": "Bytes downloaded per second",
    "eta_seconds": "Time left",
    "updated_seconds": "Unix time of these figures",
}
log = logging.getLogger(__name__)


@dataclass
class Figures:
    """Turns counts into figures; rates are those of the last WINDOW_S seconds."""

    stage: str
    item: str
    total: int
    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def update(self, tallies: Sequence[Mapping[str, Any]], now: float) -> dict[str, Any]:
        """The figures out of the workers' tallies at a time in seconds."""
        sums = {name: sum(tally[name] for tally in tallies) for name in ("done", "kept", "ok", "bytes")}
        details: Counter[str] = Counter()
        for tally in tallies:
            details.update(tally["details"])
        fresh = sums["done"] - sums["kept"]
        self._seen.append((now, fresh, sums["bytes"]))
        while len(self._seen) > 2 and self._seen[0][0] < now - WINDOW_S:
            self._seen.popleft()
        then, fresh_then, bytes_then = self._seen[0]
        passed = max(now - then, 1e-9) if len(self._seen) > 1 else float("inf")
        rate, left = (fresh - fresh_then) / passed, self.total - sums["done"]
        return {
            "stage": self.stage,
            "item": self.item,
            "images": self.total,
            "images_done": sums["done"],
            "images_kept": sums["kept"],
            "images_ok": sums["ok"],
            "success": round(sums["ok"] / sums["done"], 4) if sums["done"] else None,
            "bytes": sums["bytes"],
            "images_per_second": round(rate, 2),
            "bytes_per_second": round((sums["bytes"] - bytes_then) / passed, 1),
            "eta_seconds": round(left / rate, 1) if rate > 0 else None,
            "errors": dict(details.most_common()),
        }


@contextmanager
def watched(look: Callable[[], Sequence[Mapping[str, Any]]], stage: str, item: str, total: int) -> Iterator[None]:
    """Show the figures of what `look` gives, about once a second, until the block ends; once more then."""
    figures, over = Figures(stage, item, total), threading.Event()
    with _screen(f"{stage} {item}", total) as show:
        thread = threading.Thread(target=_watch, args=(look, figures, show, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _watch(
    look: Callable[[], Sequence[Mapping[str, Any]]], figures: Figures, show: Callable[[dict[str, Any]], None], over: threading.Event
) -> None:
    while True:
        ended = over.wait(SECONDS_BETWEEN_LOOKS)
        found = figures.update(look(), time.monotonic())
        show(found)
        with suppress(OSError):  # a full disk or a wrong path must not end the stage
            publish(found)
        if ended:
            return


def publish(found: Mapping[str, Any]) -> None:
    """Write the figures where the environment says."""
    now = datetime.now(UTC)
    if os.environ.get(JSON_VARIABLE):
        with Path(os.environ[JSON_VARIABLE]).open("a") as file:
            file.write(json.dumps({"time": now.isoformat(timespec="milliseconds"), **found}) + "\n")
    if os.environ.get(PROMETHEUS_VARIABLE):
        path = Path(os.environ[PROMETHEUS_VARIABLE])
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(prometheus({**found, "updated_seconds": round(now.timestamp(), 3)}))
        temporary.replace(path)


def prometheus(found: Mapping[str, Any]) -> str:
    """The figures in Prometheus' text format."""
    labels = f'stage="{found["stage"]}",item="{found["item"]}"'
    lines = []
    for name, sentence in HELP.items():
        if found[name] is not None:
            lines += [f"# HELP sluice_{name} {sentence}", f"# TYPE sluice_{name} gauge", f"sluice_{name}{{{labels}}} {found[name]}"]
    lines += ["# HELP sluice_failures Images that failed, by fine class", "# TYPE sluice_failures gauge"]
    lines += [f'sluice_failures{{{labels},detail="{detail}"}} {n}' for detail, n in found["errors"].items()]
    return "\n".join(lines) + "\n"


def line(found: Mapping[str, Any]) -> str:
    """The figures as a line for people."""
    errors = ", ".join(f"{detail} {n}" for detail, n in list(found["errors"].items())[:4])
    left = f", {found['eta_seconds']:.0f} s left" if found["eta_seconds"] is not None else ""
    success = f", {found['success']:.0%} ok" if found["success"] is not None else ""
    rate = f"{found['images_per_second']:.0f}/s, {found['bytes_per_second'] / 1e6:.1f} MB/s"
    return f"{found['images_done']:,} of {found['images']:,} images, {rate}{success}{left}" + (f" ({errors})" if errors else "")


@contextmanager
def _screen(title: str, total: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar in a terminal, a log line now and then otherwise."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(TextColumn(title), BarColumn(), TextColumn("{task.fields[said]}"), console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, said="")
        yield lambda found: progress.update(task, completed=found["images_done"], said=line(found))


class _Lines:
    """Log a line at most every SECONDS_BETWEEN_LINES."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, time.monotonic()

    def __call__(self, found: dict[str, Any]) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            log.info("%s: %s", self._title, line(found))
            self._last = time.monotonic()
