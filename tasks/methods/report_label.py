"""Fill the nutrition label: facts in words out of figures, module by module (Holland et al. 2018, The Dataset Nutrition Label)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.methods.report_gain import Comparison
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


def truth(*, totals: Mapping[str, Any], comparisons: Sequence[Comparison]) -> Facts:
    """What is known from outside about how right it is."""
    judged = f"{count(totals['n_wrong'])} rows under a wrong concept, {count(totals['n_off_topic'])} showing none"
    reviewed = f"{count(totals['n_reviewed'])} rows looked at; Sluice agrees on {count(totals['n_agreed'])}"
    sets = [f"{one.clean_set} ({count(one.n_pictures)} pictures)" for one in comparisons]
    return [
        ("Estimated noise", judged if totals["n_concepts"] else f"{count(totals['n_off_topic'])} rows showing none of the concepts"),
        ("People's verdicts", reviewed if totals["n_reviewed"] else "none yet"),
        ("Clean test sets", ", ".join(sets) or "none were used"),
    ]


def matrix(rows: Sequence[Mapping[str, Any]], *, limit: int) -> dict[str, Any]:
    """Given against suggested concept for the `limit` largest given ones; the last columns gather other concepts and off-topic rows."""
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
                "cells": [{"n": n, "share": n / sizes[given], "same": place == same} for place, n in enumerate(cells)],
            }
        )
    return {"columns": columns, "rows": found}
