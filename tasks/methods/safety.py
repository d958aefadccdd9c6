"""Object to images: by block lists of domains and hashes, by the hash that a manifest promises, and by the scores of a plug-in."""

import hashlib
import importlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")  # MD5 or SHA-256
DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}")
PROMISED = {"sha256": 64, "md5": 32}  # columns of manifests, and their hex digits
Scorer = Callable[[bytes, Mapping[str, Any]], Mapping[str, float]]


def read_block_list(lines: Iterable[str], name: str) -> list[str]:
    """Domains and hashes (MD5, SHA-256), one a line, lower-case and sorted; `#` begins a comment. Raises ValueError that names a line."""
    entries = set()
    for number, line in enumerate(lines, start=1):
        entry = line.partition("#")[0].strip().lower().removesuffix(".")
        if not entry:
            continue
        if not HASH.fullmatch(entry):
            try:
                entry = entry.encode("idna").decode()
            except UnicodeError:
                entry = ""
            if not DOMAIN.fullmatch(entry):
                raise ValueError(
                    f"{name}, line {number}: '{line.strip()[:80]}' is no domain, MD5 or SHA-256 (domains stand without http://)"
                )
        entries.add(entry)
    return sorted(entries)


def is_hash(entry: str) -> bool:
    """Whether an entry of a block list is a hash; it is a domain otherwise."""
    return HASH.fullmatch(entry) is not None


def in_domains(host: str, domains: Collection[str]) -> bool:
    """Whether a host is one of the domains or lies under one."""
    if not domains:
        return False
    labels = host.lower().rstrip(".").split(".")
    return any(".".join(labels[place:]) in domains for place in range(len(labels)))


def promised_hashes(extra: str | None) -> dict[str, str]:
    """The hashes of the download that a manifest's further columns promise, by algorithm: `sha256` and `md5`, in hexadecimal."""
    if extra is None or not any(name in extra.lower() for name in PROMISED):
        return {}
    columns = {name.lower(): value for name, value in json.loads(extra).items()}
    promised = {name: str(columns[name]).strip().lower() for name in PROMISED if columns.get(name)}
    return {name: value for name, value in promised.items() if re.fullmatch(rf"[0-9a-f]{{{PROMISED[name]}}}", value)}


def objection(data: bytes, sha256: str, *, promised: Mapping[str, str], blocked: Collection[str]) -> str | None:
    """What the bytes of a download have against them: `blocked_hash`, `changed` (not what the manifest promised), or None."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if blocked or "md5" in promised else ""
    if sha256 in blocked or md5 in blocked:
        return "blocked_hash"
    found = {"sha256": sha256, "md5": md5}
    return "changed" if any(found[name] != value for name, value in promised.items()) else None


def load_scorer(name: str) -> Scorer:
    """The function that `module:function` names. Raises ValueError that says what is missing."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"scorer '{name}' can't be loaded ({error}): say module:function, of a module that Python can import") from None
    if not callable(found):
        raise ValueError(f"scorer '{name}' is no function")
    scorer: Scorer = found
    return scorer


def safety_of(scorer: Scorer, data: bytes, row: Mapping[str, Any]) -> str:
    """The scores of a stored image as JSON; each is in [0, 1], and 1 is good. Raises ValueError for anything else."""
    scores = {name: float(value) for name, value in scorer(data, row).items()}
    for name, value in scores.items():
        if not 0 <= value <= 1:
            raise ValueError(f"the scorer gives '{name}' {value} for {row.get('url')}: scores are in [0, 1], and 1 is good")
    return json.dumps(scores, sort_keys=True)
