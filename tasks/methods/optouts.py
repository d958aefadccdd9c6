"""Read opt-outs: which wish of a site's owner applies to an image, out of headers, ai.txt and tdmrep.json."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

# What a crawl may honour. The directives are those of X-Robots-Tag.
DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex", "none")
OPT_OUTS = ("robots", *DIRECTIVES, "ai_txt", "tdm_header", "tdm_file")
VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})  # `name: value`, and no agent
AGENT = re.compile(r"[a-z*][\w.*+-]*")


def header_opt_out(headers: Mapping[str, Sequence[str]], *, agent: str, honoured: Collection[str]) -> str | None:
    """The detail of the first honoured wish in an answer's X-Robots-Tag and TDM-Reservation headers. `headers`: all values by name."""
    for value in headers.get("X-Robots-Tag", ()):
        for directive in directives_for(value, agent):
            if directive in DIRECTIVES and directive in honoured:
                return directive
    if "tdm_header" in honoured and any(value.strip() == "1" for value in headers.get("TDM-Reservation", ())):
        return "tdm"
    return None


def directives_for(value: str, agent: str) -> Iterator[str]:
    """The directives of one X-Robots-Tag header that are meant for everyone, or for `agent` (`agent: directive, directive, ...`).

    Lines may have been joined on the way: a name with a colon begins the part of another agent, wherever it stands.
    """
    addressed = ""
    for part in value.lower().split(","):
        name, colon, rest = (text.strip() for text in part.partition(":"))
        if colon and name not in VALUED and AGENT.fullmatch(name):
            addressed, name = name, rest
        if addressed in ("", "*", agent.lower()):
            yield name


@dataclass(frozen=True)
class Reservations:
    """What a site's /.well-known/tdmrep.json says: (pattern of paths, reserved or not)."""

    rules: tuple[tuple[str, bool], ...]

    def reserved(self, path: str) -> bool:
        """Whether mining is reserved for a path. Of the patterns that match, the longest counts, and a reservation among equals."""
        matching = [(len(pattern), reserved) for pattern, reserved in self.rules if _matches(pattern, path)]
        return max(matching, default=(0, False))[1]


def parse_reservations(body: bytes) -> Reservations:
    """Read a tdmrep.json (W3C TDM Reservation Protocol); rules that can't be read are left out."""
    try:
        content = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return Reservations(())
    entries = [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []
    rules = [(entry.get("location"), entry.get("tdm-reservation")) for entry in entries]
    return Reservations(tuple((place, said in (1, "1")) for place, said in rules if isinstance(place, str) and place))


def _matches(pattern: str, path: str) -> bool:
    """As in robots.txt: `*` stands for anything, `$` for the end, and a pattern is a beginning."""
    anchored = pattern.endswith("$")
    parts = pattern.removesuffix("$").split("*")
    if not path.startswith(parts[0]):
        return False
    place = len(parts[0])
    for part in parts[1:]:
        found = path.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    if not anchored:
        return True
    return place == len(path) or (len(parts) > 1 and path.endswith(parts[-1]))
