"""Check names from outside before they reach a path or a shell."""

import re

from tasks.core.errors import CrawlError

CRAWL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_crawl_name(name: object) -> str:
    """The name itself if it is safe in a path and on a command line; raises CrawlError otherwise."""
    if not isinstance(name, str) or not CRAWL_NAME.fullmatch(name):
        raise CrawlError(
            f"crawl name {str(name)[:80]!r} is not allowed: use 1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or digit"
        )
    return name
