"""Show how far long work is: a rich progress bar in a terminal, a plain log line now and then otherwise."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 10.0
log = logging.getLogger(__name__)


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Pass the items through and report progress on standard error."""
    if sys.stderr.isatty():
        yield from _bar(items, total, description)
    else:
        yield from _lines(items, total, description)


def _bar(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=description)


def _lines(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            log.info("%s: %d of %d, %.0f s left", description, done, total, (now - started) / done * (total - done))
            last = now
