"""Ask the catalog within limits: one question can take neither the machine's memory nor all of its time."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from tasks.core.errors import SluiceError
from tasks.dataset import catalog_of
from tasks.methods.explore_app import Refused
from tasks.methods.harmless import clip

LIMITS = {"memory_limit": "1GB", "threads": "2", "max_temp_directory_size": "1GB"}  # one question must not take the machine
SECONDS = 10.0  # that one question may take


def answer(sql: str, values: Mapping[str, Any], *, asked: str | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows of an answer within the limits of time and memory."""
    try:
        with catalog_of(Path(), LIMITS) as catalog:
            stop = threading.Timer(SECONDS, catalog.interrupt)
            stop.daemon = True
            stop.start()
            try:
                if asked is not None:
                    catalog.check(asked)
                result = catalog.execute(sql, values)
                return [column[0] for column in result.description or []], result.fetchall()
            finally:
                stop.cancel()
    except duckdb.InterruptException:
        raise Refused(f"the question took more than {SECONDS:g} seconds: ask for less, or use `sluice query`") from None
    except (SluiceError, ValueError, duckdb.Error) as error:
        raise Refused(clip(str(error).splitlines()[0] if str(error) else type(error).__name__, 300)) from None
