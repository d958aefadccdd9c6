"""Name what is asked for and what came of it: requests, their bounds, and their results."""

from dataclasses import dataclass, replace
from typing import Self

from yarl import URL

from tasks.methods.schedule import Manners


@dataclass(frozen=True, kw_only=True)
class Limits(Manners):
    """Bounds on requests, for one of `share` processes among which the crawl's limits are shared out already.

    `deadline_s` holds for all tries and redirects of a URL; waiting for its turn doesn't count. Bandwidth in bytes per second.
    """

    attempts: int
    deadline_s: float
    max_redirects: int
    max_bytes: int
    backoff_s: float
    bandwidth: float
    windows: tuple[str, ...] = ()
    share: int = 1


@dataclass(frozen=True)
class Request:
    """A URL, and the version that is there already: what it says of itself is sent along, so that the server need not send it again."""

    url: str
    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Fetched:
    """What came of a URL: `body` if `detail` is None, or nothing because it is `unchanged`. `at`: Unix time of the end."""

    url: str
    detail: str | None = None
    body: bytes = b""
    http_status: int | None = None
    attempts: int = 0
    seconds: float = 0.0
    etag: str | None = None
    last_modified: str | None = None
    unchanged: bool = False
    at: float = 0.0

    @property
    def status(self) -> str:
        return "ok" if self.detail is None else "failed"

    @property
    def host(self) -> str:
        return host_of(self.url)

    def without_body(self) -> Self:
        """The same for the books."""
        return replace(self, body=b"")


def host_of(url: str) -> str:
    """The host's name as it is compared, empty for what is no URL."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""
