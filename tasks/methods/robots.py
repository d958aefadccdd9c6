"""Ask for permission: robots.txt (RFC 9309) once per site, X-Robots-Tag per answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from protego import Protego
from yarl import URL

from tasks.methods.failures import NETWORK_DOWN, Failure
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of

MAX_BYTES = 500 * 1024  # RFC 9309, 2.5: parse at least 500 kibibytes
MAX_REDIRECTS = 5  # RFC 9309, 2.3.1.2: follow at least five
MAX_AGE_S = 24 * 3600.0  # RFC 9309, 2.4: use no copy for longer than a day
MAX_SITES = 20_000  # the oldest is forgotten first
# The site as a whole can't be had, and saying that is truer than "disallowed".
PASSED_ON = NETWORK_DOWN | {"tls", "timeout", "dropped", "blocked_address", "blocked_scheme", "blocked_port"}
# RFC 9309, 2.3.1.2 and 2.3.1.3: unavailable means that everything is allowed.
UNAVAILABLE = frozenset({"redirect_loop", "too_many_redirects", "empty"})


@dataclass(frozen=True)
class Rules:
    """What a site says. `detail` set: nothing may be asked for, for that reason. Neither set: everything is allowed."""

    read: float
    parser: Protego | None = None
    detail: str | None = None

    def verdict(self, url: URL, agent: str) -> str | None:
        """None if the URL may be asked for, else the detail."""
        if self.detail is not None:
            return self.detail
        return None if self.parser is None or self.parser.can_fetch(str(url), agent) else "robots"


@dataclass
class Robots:
    """The rules of the sites met so far; one lives as long as its process, whatever event loop asks."""

    agent: str
    rules: dict[str, Rules] = field(default_factory=dict)

    async def check(self, url: URL, read: Callable[[URL], Awaitable[bytes]], asked: dict[str, asyncio.Task[Rules]]) -> None:
        """Raise Failure unless the URL may be asked for. `asked` holds the readings under way in this event loop."""
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

    async def _read(self, site: str, read: Callable[[URL], Awaitable[bytes]]) -> Rules:
        try:
            rules = _parse(await read(URL(site) / "robots.txt"))
        except NETWORK_ERRORS as error:
            rules = _without(failure_of(error))
        while len(self.rules) >= MAX_SITES:
            del self.rules[next(iter(self.rules))]
        self.rules[site] = rules
        return rules


def _parse(body: bytes) -> Rules:
    return Rules(time.monotonic(), parser=Protego.parse(body.decode("utf-8", "replace")))


def _without(failure: Failure) -> Rules:
    """What holds for a site whose robots.txt can't be read; 429 is taken as "not now" rather than as "there is none"."""
    status = failure.http_status or 0
    if (400 <= status < 500 and status != 429) or failure.detail in UNAVAILABLE:
        return Rules(time.monotonic())
    return Rules(time.monotonic(), detail=failure.detail if failure.detail in PASSED_ON else "robots_unreachable")


def opted_out(headers: Sequence[str], *, agent: str, directives: Collection[str]) -> bool:
    """Whether X-Robots-Tag headers hold one of the directives, for everyone or for this agent (`agent: directive, directive`)."""
    for header in headers:
        name, colon, rest = header.partition(":")
        addressed = bool(colon) and "," not in name and name.strip().lower() != "unavailable_after"
        if addressed and name.strip().lower() != agent.lower():
            continue
        words = {word.strip().lower() for word in (rest if addressed else header).split(",")}
        if not words.isdisjoint(directives):
            return True
    return False
