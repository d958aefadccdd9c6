"""Know what is forgotten: the images and hosts that no crawl may fetch or keep again.

One list for all crawls lies beside their folders and is git's, so that it goes where the project goes. It holds hashes of addresses and
of bytes, never the addresses themselves; hosts by name. It is no dependency of `ingest`: what it names is removed when it is named, and a
shard's recipe changes only if the shard has such rows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.core.errors import CrawlError
from tasks.core.files import write_atomically
from tasks.core.tables import to_json

FILE = "forgotten.json"
DETAIL = "forgotten"
ANONYMOUS = ("sample_id", "image_id")  # what is left of a row of a manifest


@dataclass(frozen=True)
class Forgotten:
    """`images` are image_ids, `digests` SHA-256 of bytes as downloaded, `hosts` names that stand for their subdomains too."""

    images: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def hides(self, image_id: str, url: str) -> bool:
        """Whether an address is not to be fetched."""
        return image_id in self.images or (bool(self.hosts) and on_host(url, self.hosts))

    def masked(self, rows: pa.Table) -> tuple[pa.Table, frozenset[str]]:
        """The rows of a manifest with those that are forgotten emptied, and their image_ids."""
        places = [self.hides(*row) for row in zip(rows["image_id"].to_pylist(), rows["url"].to_pylist(), strict=True)]
        if not any(places):
            return rows, frozenset()
        empty = {"url": "", "alt_text": ""}
        masked = [
            row if not hidden else {name: row[name] if name in ANONYMOUS else empty.get(name) for name in rows.schema.names}
            for row, hidden in zip(rows.to_pylist(), places, strict=True)
        ]
        hidden_images = frozenset(str(row["image_id"]) for row, hidden in zip(masked, places, strict=True) if hidden)
        return pa.Table.from_pylist(masked, schema=rows.schema), hidden_images

    def union(self, other: "Forgotten") -> "Forgotten":
        """What either forgets."""
        return Forgotten(self.images | other.images, self.digests | other.digests, self.hosts | other.hosts)


def on_host(url: str, hosts: frozenset[str]) -> bool:
    """Whether the address lies on one of the hosts, or below it."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # no address at all
        return False
    parts = host.split(".")
    return any(".".join(parts[start:]) in hosts for start in range(len(parts)))


def read_forgotten(folder: Path) -> Forgotten:
    """The list in the folder of the crawls; nothing if there is none. Raises CrawlError for one that can't be read."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text())
        return Forgotten(*(frozenset(map(str, content[name])) for name in ("images", "digests", "hosts")))
    except FileNotFoundError:
        return Forgotten()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CrawlError(f"{path} can't be read ({error}): restore it with git, for it keeps images out that must not come back") from None


def write_forgotten(folder: Path, forgotten: Forgotten) -> None:
    """Write the list as a whole."""
    content = {name: sorted(getattr(forgotten, name)) for name in ("images", "digests", "hosts")}
    with write_atomically(folder / FILE) as path:
        path.write_text(to_json(content))
