"""Take in sources that bring their images along: a manifest of reserved addresses, and the packed web that `ingest` serves there.

So these images pass the same decoder, bounds and hashes as any that is fetched.
"""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.core.crawls import EMBEDDED, CrawlSettings
from tasks.core.errors import CrawlError
from tasks.methods.manifests import SCHEMA, image_id
from tasks.methods.packed_web import Pile
from tasks.methods.sources import HOST, read_source

PREFIX = f"http://{HOST}/"


def take_in(source: Path, kind: str, pile: Pile, *, limit: int | None, max_bytes: int) -> tuple[pa.Table, dict[str, int]]:
    """The rows of a source as a manifest, and the number in `pile` of each address. Equal bytes have one address.

    Raises CrawlError for a source that is no honest one, or empty.
    """
    numbers: dict[str, int] = {}
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    try:
        for image in islice(read_source(source, kind, max_bytes=max_bytes), limit):
            url = PREFIX + blake2b(image.data, digest_size=16).hexdigest()
            if url not in numbers:
                numbers[url] = pile.put(image.data)
            for name in SCHEMA.names:
                columns[name].append(url if name == "url" else getattr(image, name))
    except ValueError as error:
        raise CrawlError(str(error)) from None
    if not numbers:
        raise CrawlError(f"{source} is empty: it holds no image")
    return pa.table(columns, schema=SCHEMA), numbers


def web_of(pile: Pile, numbers: dict[str, int]) -> Iterator[pa.Table]:
    """The packed web, in the order in which `ingest` will ask for it."""
    urls = sorted(numbers, key=image_id)
    return pile.tables([url.removeprefix(PREFIX) for url in urls], [numbers[url] for url in urls])


def settings_of(settings: CrawlSettings) -> CrawlSettings:
    """The settings with the source's own host embedded; nobody has to be spared there."""
    change = {"connect": {**settings.connect, HOST: EMBEDDED}, "domain_rate": float("inf"), "per_host_concurrency": settings.concurrency}
    return settings.model_copy(update=change)
