"""Tell what the figures say: the funnel, given against suggested, and the nutrition label's facts in words.

The label's modules are those of Holland et al. 2018, The Dataset Nutrition Label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.methods.report_page import count, percent

Facts = list[tuple[str, str]]
SPREADS = {
    "label_score": "1: the given concept is surely right.",
    "ood_score": "1: the picture surely shows one of the concepts.",
    "text_score": "1: the text surely belongs to the picture; 0.5 without text.",
    "near_duplicate_score": "1: no copy is known; 0: an exact copy.",
}


def metadata(*, totals: Mapping[str, Any], crawls: Sequence[str], concepts: Sequence[str], splits: Sequence[Mapping[str, Any]]) -> Facts:
    """What it is, how large, of what."""
    return [
        ("Kind", "images with texts and concepts" if totals["n_concepts"] else "images with texts"),
        ("Crawls", ", ".join(crawls)),
        ("Rows", f"{count(totals['n_rows'])}, of which {count(totals['n_kept'])} are kept"),
        ("Downloaded", f"{totals['n_bytes'] / 1e6:,.1f} MB"),
        ("Texts", f"{percent(totals['n_texts'] / totals['n_rows'] if totals['n_rows'] else None)} of the rows have one"),
        ("Concepts", f"{count(len(concepts))}: {', '.join(concepts)}"),
        ("Splits of the kept", ", ".join(f"{row['split']} {count(row['n'])}" for row in splits) or "none"),
        ("Licence", "that of each picture's owner: it was not looked at"),
    ]


def provenance(*, totals: Mapping[str, Any], n_hosts: int, reasons: Mapping[str, Mapping[str, int]]) -> Facts:
    """Where it came from, and what was left alone."""
    refused = reasons.get("disallowed", {}).get("n_any", 0)
    return [
        ("Source", f"the open web, {count(n_hosts)} host{'s' if n_hosts != 1 else ''}, fetched by address"),
        ("Fetched", f"{percent(totals['n_decoded'] / totals['n_rows'] if totals['n_rows'] else None)} of the rows gave a whole picture"),
        ("Left alone", f"{count(refused)} rows whose site does not want to be crawled"),
        ("People", "were not asked, and faces were not looked for"),
    ]


def truth(*, totals: Mapping[str, Any], n_clean: int) -> Facts:
    """What is known from outside about how right it is."""
    judged = f"{count(totals['n_wrong'])} rows under a wrong concept, {count(totals['n_off_topic'])} showing none"
    reviewed = f"{count(totals['n_reviewed'])} rows looked at; Sluice alone says the same of {count(totals['n_agreed'])}"
    return [
        ("Estimated noise", judged if totals["n_concepts"] else f"{count(totals['n_off_topic'])} rows showing none of the concepts"),
        ("People's verdicts", reviewed if totals["n_reviewed"] else "none yet"),
        ("Clean test pictures", f"{count(n_clean)}, never in the training set" if n_clean else "none were used"),
    ]


def funnel(reasons: Mapping[str, Mapping[str, int]], meanings: Sequence[tuple[str, str]], *, n_rows: int) -> list[dict[str, Any]]:
    """Rows per first reason in the funnel's order, as shares of all rows; `left` is the share that is left after the reason."""
    left, found = n_rows, []
    for reason, meaning in meanings:
        if reason in reasons:
            left -= reasons[reason]["n"]
            share = reasons[reason]["n"] / n_rows
            found.append({"reason": reason, "meaning": meaning, "share": share, "left": left / n_rows, **reasons[reason]})
    return found


def matrix(rows: Sequence[Mapping[str, Any]], *, limit: int) -> dict[str, Any]:
    """Given against suggested concept for the `limit` largest given ones; the last columns gather other concepts and off-topic rows.

    `share` is the square root of the share of the row: rare confusions stay visible.
    """
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["given"]] = sizes.get(row["given"], 0) + row["n"]
    shown = sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:limit])
    counts = {(row["given"], row["suggested"]): row["n"] for row in rows}
    others = len(sizes) > len(shown) or any(row["suggested"] not in (None, *shown) for row in rows)
    columns = [*shown, *(["another"] if others else []), "off topic"]
    found = []
    for given in shown:
        cells = [counts.get((given, name), 0) for name in shown]
        off_topic = counts.get((given, None), 0)
        cells += ([sizes[given] - sum(cells) - off_topic] if others else []) + [off_topic]
        same = shown.index(given)
        found.append(
            {
                "given": given,
                "cells": [{"n": n, "share": (n / sizes[given]) ** 0.5, "same": place == same} for place, n in enumerate(cells)],
            }
        )
    return {"columns": columns, "rows": found}


def machine(runs: Sequence[Mapping[str, Any]]) -> Facts:
    """Where and with what the last run was made; nothing without runs."""
    if not runs:
        return []
    last = runs[-1]
    return [
        ("Python", last["python"]),
        ("System", last["platform"]),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(last["versions"].items()))),
        ("Settings", ", ".join(f"{name} {value}" for name, value in last["settings"].items())),
        ("Last run", f"{last['started'][:16].replace('T', ' ')} UTC"),
        ("All stages", f"{sum(run['seconds'] for run in runs):.0f} s"),
    ]
