"""Balance pairs by the words of their texts: which entries each text names, how often each entry is named, and which pairs stay.

Frequent entries are cut down to about the same number, rare ones stay whole. It balances, it doesn't clean: run it last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.methods.draws import draws

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Matches:
    """What n texts name of e entries: `texts`, `entries` (m,) int64, each pair of numbers once, in order; `counts` (e,) int64 of texts
    that name an entry; `draws` (m,) float64 in [0, 1), one for each match."""

    n_texts: int
    texts: np.ndarray
    entries: np.ndarray
    counts: np.ndarray
    draws: np.ndarray


def match_entries(texts: Sequence[str], entries: Sequence[str], ids: Sequence[str], *, seed: int) -> Matches:
    """Find the entries that stand in each text as whole words, in upper or lower case, whatever lies between the words.

    A match's draw depends on `seed`, the pair's id and the entry alone: other texts don't change it, nor does their order. Raises
    ValueError for an entry without a word, for one that stands twice, and unless there are as many ids as texts.
    """
    if len(ids) != len(texts):
        raise ValueError(f"{len(ids)} ids can't name {len(texts)} texts")
    numbers: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(entries):
        words = words_of(entry)
        if not words or words in numbers:
            fault = f"is the same as {entries[numbers[words]]!r}" if words else "has no word"
            raise ValueError(f"entry {entry!r} {fault}: leave it out")
        numbers[words] = number
    lengths = sorted({len(words) for words in numbers})
    found = [_named(words_of(text), numbers, lengths) for text in texts]
    rows = np.repeat(np.arange(len(texts)), [len(named) for named in found])
    columns = np.array([number for named in found for number in named], np.int64)
    names = (f"{ids[row]}\0{entries[column]}" for row, column in zip(rows.tolist(), columns.tolist(), strict=True))
    return Matches(len(texts), rows, columns, np.bincount(columns, minlength=len(entries)), draws(names, salt=f"entries {seed}"))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case; signs between them don't count."""
    return tuple(WORD.findall(text.lower()))


def least_limits(matches: Matches) -> np.ndarray:
    """(n,) float64: the limit above which each pair stays; infinite for pairs that name no entry.

    MetaCLIP (Xu et al. 2024), algorithm 1, keeps a pair if one of its entries draws less than limit / count. So the n smallest limits are
    what it keeps at some limit: a subset of an exact size by the same rule, and a smaller one is part of a larger one.
    """
    limits = np.full(matches.n_texts, np.inf)
    np.minimum.at(limits, matches.texts, matches.draws * matches.counts[matches.entries])
    return limits


def _named(words: tuple[str, ...], numbers: dict[tuple[str, ...], int], lengths: Sequence[int]) -> list[int]:
    runs = (words[start : start + length] for length in lengths for start in range(len(words) - length + 1))
    return sorted({numbers[run] for run in runs if run in numbers})
