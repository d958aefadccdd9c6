"""Run shards through one fetcher, several open at a time: the slow end of one is the busy beginning of the next, and they end in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.methods.fetch import Fetcher
from tasks.methods.packing import Outcome, Packing, Stored
from tasks.methods.requests import Fetched, Request

OPEN_FACTOR = 4  # images of open shards, in shards or slots, whichever is more: bounds memory while slow hosts hold shards open
LARGE_BYTES = 1 << 19  # from here on pictures are decoded beside the event loop; for smaller ones the change of threads costs more


@dataclass(eq=False)
class OpenShard:
    """A shard under way. `images`: by URL, those without an outcome; `held`: what is stored of a version that the server may confirm."""

    name: str
    requests: list[Request]
    images: dict[str, str]
    packing: Packing
    held: dict[str, Stored] = field(default_factory=dict)
    fetched: dict[str, Fetched] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a lane does with shards and images. `claim` opens the next shard, None if there is none; `outcome` may run in a thread, as
    `finish` does. `closed_s`: seconds for which nothing may be fetched now.
    """

    claim: Callable[[], OpenShard | None]
    outcome: Callable[[Fetched], Outcome]
    count: Callable[[Fetched, Outcome], None]
    finish: Callable[[OpenShard], None]
    closed_s: Callable[[], float]
    rows_per_shard: int
    concurrency: int
    shard_deadline_s: float


class Lane:
    """Shards in the order in which they were claimed; the oldest one ends at most `shard_deadline_s` after it became the oldest."""

    def __init__(self, fetcher: Fetcher, work: Work) -> None:
        self._fetcher, self._work = fetcher, work
        self._open: deque[OpenShard] = deque()
        self._shards: dict[str, OpenShard] = {}
        self._more = True
        self._since = 0.0

    async def run(self) -> None:
        """Until no shard is left to claim. Raises what the callbacks raise; nothing of an unfinished shard is kept then."""
        try:
            while True:
                self._claim()
                if self._open and not self._open[0].images:
                    await self._finish()
                elif self._open:
                    await self._take()
                elif not self._more:
                    return
        finally:
            for shard in self._open:
                shard.packing.close()

    def _claim(self) -> None:
        most = OPEN_FACTOR * max(self._work.rows_per_shard, self._work.concurrency)
        while self._more and self._fetcher.hungry and self._fetcher.waiting < most and len(self._open) < most:
            shard = self._work.claim()
            if shard is None:
                self._more = False
                return
            if not self._open:
                self._since = asyncio.get_running_loop().time()
            self._open.append(shard)
            self._shards |= dict.fromkeys(shard.images, shard)
            self._fetcher.add(shard.requests)

    async def _take(self) -> None:
        fetched = await self._fetcher.next(until=self._since + self._work.shard_deadline_s)
        if fetched is None:
            self._expire()
            return
        shard = self._shards.pop(fetched.url, None)
        if shard is not None:  # it may have expired while this result was on its way
            image = shard.images[fetched.url]
            await self._settle(shard, image, fetched)
            del shard.images[fetched.url]

    async def _settle(self, shard: OpenShard, image: str, fetched: Fetched) -> None:
        if fetched.unchanged:
            stored = shard.held[image]
            shard.packing.restore(image, stored)
            outcome = Outcome(stored.columns)
        else:
            large = len(fetched.body) >= LARGE_BYTES
            outcome = await asyncio.to_thread(self._work.outcome, fetched) if large else self._work.outcome(fetched)
            shard.packing.put(image, outcome)
        self._note(shard, image, fetched, outcome)

    def _note(self, shard: OpenShard, image: str, fetched: Fetched, outcome: Outcome) -> None:
        shard.fetched[image] = fetched.without_body()
        self._work.count(fetched, outcome)

    def _expire(self) -> None:
        """End what is left of the oldest shard, unless the crawl's hours are over: then its clock starts again."""
        self._since = asyncio.get_running_loop().time()
        closed = self._work.closed_s()
        if closed > 0:
            self._since += closed
            return
        shard = self._open[0]
        self._fetcher.drop(shard.images)
        for url, image in shard.images.items():
            del self._shards[url]
            fetched = Fetched(url, "shard_timeout", seconds=self._work.shard_deadline_s)
            outcome = self._work.outcome(fetched)
            shard.packing.put(image, outcome)
            self._note(shard, image, fetched, outcome)
        shard.images.clear()

    async def _finish(self) -> None:
        await asyncio.to_thread(self._work.finish, self._open[0])
        self._open.popleft().packing.close()
        self._since = asyncio.get_running_loop().time()
