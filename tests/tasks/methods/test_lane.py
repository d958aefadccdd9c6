import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.methods.addresses import AddressRules
from tasks.methods.fetch import Fetcher
from tasks.methods.lane import LARGE_BYTES, Lane, OpenShard, Work
from tasks.methods.packing import Outcome, Packing
from tasks.methods.requests import Fetched, Request
from tests.tasks.methods.test_fetch import LIMITS, answer, silence, site


class Log:
    """Shards of URLs run through a lane; what happened, in order."""

    def __init__(self, folder: Path, answers: dict[str, Any], shards: list[list[str]], **changes: Any) -> None:
        self.folder, self.answers, self.shards, self.changes = folder, answers, shards, changes
        self.events: list[str] = []
        self.details: dict[str, list[str | None]] = {}
        self.counted = 0

    def claims(self) -> Iterator[OpenShard]:
        for number, paths in enumerate(self.shards):
            urls = [f"http://demo.test{path}" for path in paths]
            self.events.append(f"open {number}")
            images = {url: url[-3:] for url in urls}
            yield OpenShard(str(number), [Request(url) for url in urls], images, Packing(self.folder))

    def finish(self, shard: OpenShard) -> None:
        self.events.append(f"finish {shard.name}")
        self.details[shard.name] = [fetched.detail for _, fetched in sorted(shard.fetched.items())]

    def count(self, fetched: Fetched, outcome: Outcome) -> None:
        self.counted += 1

    def run(self, **limits: Any) -> None:
        claims = self.claims()

        async def go() -> None:
            async with site(self.answers) as (address, _):
                rules = AddressRules(connect={"demo.test": address})
                chosen = replace(LIMITS, **limits)
                async with Fetcher(limits=chosen, agent="sluice", rules=rules, robots=None, honoured=frozenset()) as fetcher:
                    work = {
                        "claim": lambda: next(claims, None),
                        "outcome": lambda fetched: Outcome({"status": fetched.status}, "jpg", fetched.body),
                        "count": self.count, "finish": self.finish, "closed_s": lambda: 0.0, "rows_per_shard": 3,
                        "concurrency": chosen.concurrency, "shard_deadline_s": 20.0,
                    }  # fmt: skip
                    await Lane(fetcher, Work(**(work | self.changes))).run()

        asyncio.run(go())


def pages(n: int) -> dict[str, Any]:
    return {f"/{place:02d}": [answer()] for place in range(n)}


def test_shards_overlap_and_end_in_order(tmp_path: Path) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(answer())

    shards = [[f"/{3 * shard + n:02d}" for n in range(3)] for shard in range(6)]
    log = Log(tmp_path, pages(18) | {"/01": [slow]}, shards)
    log.run(concurrency=2, per_host_concurrency=2)
    assert [event for event in log.events if event.startswith("finish")] == [f"finish {n}" for n in range(6)]
    assert log.events.index("open 3") < log.events.index("finish 0")
    assert log.counted == 18
    assert all(details == [None] * 3 for details in log.details.values())


def test_open_shards_are_bounded(tmp_path: Path) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(answer())

    shards = [[f"/{3 * shard + n:02d}" for n in range(3)] for shard in range(20)]
    log = Log(tmp_path, pages(60) | {"/00": [slow]}, shards)
    log.run(concurrency=2, per_host_concurrency=2)
    opened = log.events[: log.events.index("finish 0")]
    assert len(opened) <= 13  # four times three images, in shards that may hold one image each


def test_silent_hosts_at_every_shards_end_cost_one_deadline(tmp_path: Path) -> None:
    shards = [[f"/{10 * shard + n:02d}" for n in range(10)] for shard in range(8)]
    silent = {f"/{10 * shard + 9:02d}": [silence] for shard in range(8)}
    log = Log(tmp_path, pages(80) | silent, shards, rows_per_shard=10)
    began = time.monotonic()
    log.run(concurrency=16, deadline_s=1.0, attempts=1)
    assert time.monotonic() - began < 2.5
    assert all(details == [None] * 9 + ["timeout"] for details in log.details.values())


def test_the_watchdog_ends_the_oldest_shard_alone(tmp_path: Path) -> None:
    log = Log(tmp_path, pages(6) | {"/01": [silence]}, [["/00", "/01", "/02"], ["/03", "/04", "/05"]], shard_deadline_s=0.5)
    log.run(deadline_s=20.0, attempts=1)
    assert log.details == {"0": [None, "shard_timeout", None], "1": [None, None, None]}
    assert log.counted == 6


def test_hours_outside_the_windows_are_not_held_against_a_shard(tmp_path: Path) -> None:
    closed = iter([0.6, 0.0])
    log = Log(tmp_path, {"/01": [silence]}, [["/01"]], shard_deadline_s=0.3, closed_s=lambda: next(closed))
    began = time.monotonic()
    log.run(deadline_s=20.0, attempts=1)
    assert 1.1 < time.monotonic() - began < 3.0
    assert log.details == {"0": ["shard_timeout"]}


def test_large_pictures_are_decoded_beside_the_event_loop(tmp_path: Path) -> None:
    import threading

    threads: dict[int, bool] = {}

    def outcome(fetched: Fetched) -> Outcome:
        threads[len(fetched.body)] = threading.current_thread() is threading.main_thread()
        return Outcome({"status": "ok"}, "jpg", fetched.body)

    log = Log(tmp_path, {"/00": [answer(bytes(LARGE_BYTES))], "/01": [answer(bytes(LARGE_BYTES - 1))]}, [["/00", "/01"]], outcome=outcome)
    log.run(max_bytes=2 * LARGE_BYTES)
    assert threads == {LARGE_BYTES: False, LARGE_BYTES - 1: True}


def test_an_error_of_a_callback_is_raised_and_nothing_is_finished(tmp_path: Path) -> None:
    def count(fetched: Fetched, outcome: Outcome) -> None:
        raise RuntimeError("the line is dead")

    log = Log(tmp_path, pages(3), [["/00", "/01", "/02"]], count=count)
    with pytest.raises(RuntimeError, match="the line is dead"):
        log.run()
    assert log.details == {}
