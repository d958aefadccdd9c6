"""Ask for permission: a site's robots.txt (RFC 9309), and its ai.txt and tdmrep.json where these are honoured, once per site."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from protego import Protego
from yarl import URL

from tasks.methods.failures import NETWORK_DOWN, Failure
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of
from tasks.methods.optouts import Reservations, parse_reservations

MAX_BYTES = 500 * 1024  # RFC 9309, 2.5: parse at least 500 kibibytes
MAX_REDIRECTS = 5  # RFC 9309, 2.3.1.2: follow at least five
MAX_AGE_S = 24 * 3600.0  # RFC 9309, 2.4: use no copy for longer than a day
MAX_SITES = 20_000  # the oldest is forgotten first
# The site as a whole can't be had, and saying that is truer than "disallowed".
PASSED_ON = NETWORK_DOWN | {"tls", "timeout", "dropped", "blocked_address", "blocked_scheme", "blocked_port"}
# RFC 9309, 2.3.1.2 and 2.3.1.3: unavailable means that everything is allowed.
UNAVAILABLE = frozenset({"redirect_loop", "too_many_redirects", "empty"})
TDM_FILE = ".well-known/tdmrep.json"
Read = Callable[[URL], Awaitable[bytes]]


@dataclass(frozen=True)
class Rules:
    """What a site says. `detail` set: nothing may be asked for, for that reason. Nothing set: everything is allowed."""

    read: float
    robots: Protego | None = None
    ai: Protego | None = None
    reservations: Reservations | None = None
    detail: str | None = None

    def verdict(self, url: URL, agent: str) -> str | None:
        """None if the URL may be asked for, else the detail."""
        if self.detail is not None:
            return self.detail
        if self.robots is not None and not self.robots.can_fetch(str(url), agent):
            return "robots"
        if self.ai is not None and not self.ai.can_fetch(str(url), agent):
            return "ai_txt"
        return "tdm" if self.reservations is not None and self.reservations.reserved(url.raw_path_qs) else None

    def delay(self, agent: str) -> float:
        """Seconds between two requests that robots.txt asks for."""
        delay = self.robots.crawl_delay(agent) if self.robots is not None else None
        return max(0.0, delay or 0.0)


@dataclass
class Robots:
    """The rules of the sites met so far. `honoured`: of optouts.OPT_OUTS."""

    agent: str
    honoured: frozenset[str] = frozenset({"robots"})
    rules: dict[str, Rules] = field(default_factory=dict)

    async def check(self, url: URL, read: Read, asked: dict[str, asyncio.Task[Rules]]) -> float:
        """The site's crawl delay in seconds. Raises Failure unless the URL may be asked for. `asked`: readings under way."""
        site = str(url.origin())
        rules = self.rules.get(site)
        if rules is None or time.monotonic() - rules.read > MAX_AGE_S:
            if site not in asked:
                asked[site] = asyncio.create_task(self._read(site, read))
            # Shielded: another request that waits for the same answer must not lose it when this one ends.
            rules = await asyncio.shield(asked[site])
            asked.pop(site, None)
        detail = rules.verdict(url, self.agent)
        if detail is not None:
            raise Failure(detail, retryable=False)
        return rules.delay(self.agent)

    async def _read(self, site: str, read: Read) -> Rules:
        rules = await self._read_robots(site, read) if "robots" in self.honoured else Rules(time.monotonic())
        if rules.detail is None and not self.honoured.isdisjoint({"ai_txt", "tdm_file"}):
            ai, tdm = await asyncio.gather(
                self._optional("ai_txt", URL(site) / "ai.txt", read), self._optional("tdm_file", tdm_url(site), read)
            )
            reservations = parse_reservations(tdm) if tdm is not None else None
            rules = Rules(rules.read, rules.robots, _parse(ai) if ai is not None else None, reservations)
        while len(self.rules) >= MAX_SITES:
            del self.rules[next(iter(self.rules))]
        self.rules[site] = rules
        return rules

    async def _read_robots(self, site: str, read: Read) -> Rules:
        try:
            return Rules(time.monotonic(), robots=_parse(await read(URL(site) / "robots.txt")))
        except NETWORK_ERRORS as error:
            return _without(failure_of(error))

    async def _optional(self, wish: str, url: URL, read: Read) -> bytes | None:
        """A file that says nothing unless it is there."""
        if wish not in self.honoured:
            return None
        try:
            return await read(url)
        except NETWORK_ERRORS:
            return None


def tdm_url(site: str) -> URL:
    """Where a site's TDM reservations lie."""
    return URL(site).joinpath(*TDM_FILE.split("/"))


def _parse(body: bytes) -> Protego:
    return Protego.parse(body.decode("utf-8", "replace"))


def _without(failure: Failure) -> Rules:
    """What holds for a site whose robots.txt can't be read; 429 is taken as "not now" rather than as "there is none"."""
    status = failure.http_status or 0
    if (400 <= status < 500 and status != 429) or failure.detail in UNAVAILABLE:
        return Rules(time.monotonic())
    return Rules(time.monotonic(), detail=failure.detail if failure.detail in PASSED_ON else "robots_unreachable")
