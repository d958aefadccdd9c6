"""Reviews: save what a person says about samples, one file per sitting, so that two people never write to the same one."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from tasks.commands.tables import find_table
from tasks.contracts.reviews import CONTRACT
from tasks.core.errors import WiringError
from tasks.core.graph import read_graph
from tasks.core.tables import Shard, Sink, Source
from tasks.methods.reviews import check_verdict, latest

Row = dict[str, Any]


def utc_now() -> datetime:
    """The time, without a zone: tables say UTC in their contract."""
    return datetime.now(UTC).replace(tzinfo=None)


class Sitting:
    """One person's verdicts from when they sat down; every verdict is on the disk before `say` returns."""

    def __init__(self, reviewer: str, known: list[str], clock: Callable[[], datetime] = utc_now) -> None:
        self.reviewer, self.known, self.clock = reviewer, known, clock
        self.rows: list[Row] = []
        self.source = reviews_table()
        self.shard = Shard("", f"{clock():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}")

    def say(self, sample_id: str, sha256: str, verdict: str, concept: str | None) -> None:
        """Save a verdict. Raises ValueError for one that can't stand; then nothing is saved."""
        said = check_verdict(verdict, concept, self.known)
        now = self.clock()
        if self.rows:  # a clock that stands or is put back must not turn the order of verdicts
            now = max(now, self.rows[-1]["reviewed_at"] + timedelta(microseconds=1))
        row = {
            "sample_id": sample_id,
            "sha256": sha256,
            "verdict": said.value,
            "concept": concept,
            "reviewer": self.reviewer,
            "reviewed_at": now,
        }
        table = pa.Table.from_pylist([*self.rows, row], schema=CONTRACT.schema)
        Sink(CONTRACT, self.source.root, []).write(self.shard, table)
        self.rows.append(row)

    def standing(self) -> list[str]:
        """The samples judged in this sitting whose verdict was not taken back, in the order of the last verdict on each."""
        last = {row["sample_id"]: None for row in sorted(latest(self.rows).values(), key=lambda row: row["reviewed_at"])}
        return list(last)


def reviews_table() -> Source:
    """Where dvc.yaml has the verdicts. Raises WiringError if no stage reads any."""
    table = find_table("reviews", read_graph(), [])
    if table is None:
        raise WiringError("no stage in dvc.yaml reads `reviews`: verdicts would change nothing")
    return table


def in_force() -> dict[str, Row]:
    """The verdict in force by sample_id, of all sittings, those of this moment included."""
    return {sample_id: dict(row) for sample_id, row in latest(reviews_table().table().to_pylist()).items()}
