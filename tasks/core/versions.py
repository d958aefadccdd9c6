"""Name versions of the dataset: each is a commit with an annotated tag that holds the facts about it, and a folder for analysts.

Tags count up: v0001, v0002, ...; `v0002+forgotten.1` stands for v0002 without what was forgotten since. The symlink `current` in the
folder of versions leads to the one that is published.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks.core.errors import VersionError
from tasks.core.files import write_atomically
from tasks.core.git import contains, git, holds, main_workspace
from tasks.core.tables import to_json

TAG = re.compile(r"v(\d{4,})(?:\+forgotten\.(\d+))?")
BRANCH = "refs/heads/published"
CURRENT = "current"
FACTS = "version.json"
VARIABLE = "SLUICE_VERSIONS"
FIELDS = ("%(refname:strip=2)", "%(objecttype)", "%(*objectname)", "%(contents)")


@dataclass(frozen=True)
class Version:
    """A published version. `metrics` has the figures that its gates looked at; `receipt` names what was forgotten in it."""

    tag: str
    commit: str
    parent: str | None
    published: str
    rows: int
    kept: int
    crawls: list[str]
    crawls_added: list[str]
    metrics: dict[str, float] = field(default_factory=dict)
    receipt: str | None = None

    @property
    def message(self) -> str:
        """What the tag says: a sentence, then the facts as JSON."""
        added = f"; came in: {', '.join(self.crawls_added)}" if self.crawls_added else ""
        without = f"; without what {self.receipt} names" if self.receipt else ""
        return f"{self.tag}: {self.kept:,} of {self.rows:,} rows kept, {len(self.crawls)} crawls{added}{without}\n\n{to_json(asdict(self))}"


def check_tag(name: str) -> str:
    """The name itself if it is a version's; raises VersionError otherwise."""
    if not TAG.fullmatch(name):
        raise VersionError(f"'{name[:80]}' is no version: say a tag such as v0001 (`sluice versions` lists them)")
    return name


def order_of(tag: str) -> tuple[int, int]:
    """Number of the version, and how often it was issued again."""
    match = TAG.fullmatch(check_tag(tag))
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def next_tag(folder: Path = Path()) -> str:
    """The tag of the version to come."""
    taken = [order_of(tag)[0] for tag in git("tag", "--list", "v[0-9]*", folder=folder).split() if TAG.fullmatch(tag)]
    return f"v{max(taken, default=0) + 1:04d}"


def list_versions(folder: Path = Path()) -> list[Version]:
    """Every version that a tag speaks of, in order of their tags."""
    listed = git("for-each-ref", f"--format={'%00'.join(FIELDS)}%00%01", "refs/tags/v[0-9]*", folder=folder)
    found = []
    for entry in listed.split("\x01"):
        parts = entry.strip("\n").split("\x00")
        if len(parts) > len(FIELDS) - 1 and TAG.fullmatch(parts[0]) and parts[1] == "tag":
            found += [version] if (version := read_message(parts[0], parts[2], parts[3])) else []
    return sorted(found, key=lambda version: order_of(version.tag))


def read_message(tag: str, commit: str, message: str) -> Version | None:
    """The facts of a tag's message; None for a tag that somebody else has set."""
    try:
        facts = json.loads(message.partition("\n\n")[2])
        return Version(**{**facts, "tag": tag, "commit": commit})
    except (ValueError, TypeError):
        return None


def find_version(tag: str, folder: Path = Path()) -> Version:
    """The version of a tag. Raises VersionError if there is none."""
    versions = list_versions(folder)
    for version in versions:
        if version.tag == check_tag(tag):
            return version
    raise VersionError(f"there is no version {tag} (versions: {', '.join(version.tag for version in versions[-5:]) or 'none yet'})")


def published_version(folder: Path = Path()) -> Version | None:
    """The last version on the branch `published`; None before the first one."""
    if not holds("show-ref", "--verify", "--quiet", BRANCH, folder=folder):
        return None
    return next((version for version in reversed(list_versions(folder)) if contains(BRANCH, version.commit, folder)), None)


def versions_folder(folder: Path = Path()) -> Path:
    """Where the folders of the versions lie: SLUICE_VERSIONS, else `versions` in the main checkout."""
    told = os.environ.get(VARIABLE)
    return Path(told).absolute() if told else main_workspace(folder) / "versions"


def current_tag(place: Path) -> str | None:
    """The version that `current` leads to; None without one."""
    try:
        return os.readlink(place / CURRENT)
    except FileNotFoundError:
        return None


def point_to(place: Path, tag: str) -> None:
    """Let `current` lead to another version, at once: who has the old one open keeps it."""
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".{CURRENT}.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(check_tag(tag), target_is_directory=True)
    temporary.replace(place / CURRENT)


def write_facts(folder: Path, version: Version) -> None:
    """Write version.json."""
    with write_atomically(folder / FACTS) as path:
        path.write_text(to_json(asdict(version)))


def set_refs(version: Version, before: str | None, folder: Path = Path()) -> None:
    """Set the tag, and move the branch from the commit `before` to the version's, both or neither.

    Raises VersionError if somebody else has moved the branch or taken the tag. The branch stays where it is with `before` = None.
    """
    who = git("var", "GIT_COMMITTER_IDENT", folder=folder)
    body = f"object {version.commit}\ntype commit\ntag {version.tag}\ntagger {who}\n\n{version.message}\n"
    made = git("mktag", folder=folder, typed=body)
    lines = [f"create refs/tags/{version.tag} {made}"]
    if before is not None:
        lines.append(f"update {BRANCH} {version.commit} {before}")
    git("update-ref", "--stdin", folder=folder, typed="start\n" + "\n".join(lines) + "\nprepare\ncommit\n")
