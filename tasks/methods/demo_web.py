"""Make the demo's crawls: manifest, the web behind it, and the truth about every row, out of a name, a seed and a size.

Which row is what is planned first, by shares; then every row is made on its own, from its place and the crawl's name and seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from tasks.methods.demo_clean import CONCEPTS, make_leak
from tasks.methods.demo_files import Damage, alter, damage, encode
from tasks.methods.demo_pictures import make_picture, seed_of
from tasks.methods.demo_texts import TextKind, draw_kind, make_text

Kind = Literal["clean", "label_noise", "ood", "exact_dup", "near_dup", "broken"]
# Rows per row of the crawl; what is left over is clean. The long tail runs over the concepts in this order, 8 to 1.
TAIL = ("cat", "motorcycle", "rocket", "flower", "coffee", "horse", "moon", "pagoda", "coin", "astronaut")
LONGEST_TO_SHORTEST = 8.0
SHARES: dict[Kind, float] = {"label_noise": 0.13, "ood": 0.13, "exact_dup": 0.03, "near_dup": 0.05, "broken": 0.05}
SECOND_TEXTS = 0.01  # of all rows: exact copies that are a second text for the same address
POPULAR, POPULAR_PICTURES = 0.04, 240  # share of rows that show one of so many pictures that every crawl meets
# The word with two senses: so much of what is filed under it, and is there at all, shows the other one.
WORD, OTHER_SENSE, OTHER_SENSE_SHARE = "rocket", "salad", 0.55
OFF_TOPIC = {
    "eye scan": 0.25,
    "chart": 0.13,
    "letter": 0.12,
    "texture": 0.13,
    "page": 0.09,
    "pattern": 0.1,
    "badge": 0.08,
    "logo": 0.05,
    "noise": 0.05,
}
BREAKS: dict[Damage | Literal["gone", "private"], float] = {
    "truncated": 0.2, "html": 0.14, "random": 0.1, "empty": 0.04, "small": 0.2, "gone": 0.25, "private": 0.07,
}  # fmt: skip
# What careless people take for one another; the other mistakes are anybody's.
CONFUSED = {
    "astronaut": "rocket", "cat": "horse", "coffee": "coin", "coin": "moon", "flower": "coffee",
    "horse": "cat", "moon": "coin", "motorcycle": "horse", "pagoda": "rocket", "rocket": "pagoda",
}  # fmt: skip
CONFUSED_SHARE = 0.5
ROWS_PER_PAGE = 24
TRUTH = pa.schema([(name, pa.string()) for name in ("url", "kind", "text_kind", "true_concept", "origin")] + [("other_sense", pa.bool_())])


@dataclass(frozen=True)
class DemoCrawl:
    """A crawl as three tables: `manifest` (url, alt_text, concept, page_url), `web` (path, bytes), `truth` (one row per manifest row)."""

    name: str
    manifest: pa.Table
    web: pa.Table
    truth: pa.Table


@dataclass(frozen=True)
class _Row:
    """One row to be: what it shows (`subject`), under which concept it is filed, and what is wrong with it."""

    kind: Kind
    concept: str
    subject: str
    picture_id: str
    broken: str = ""
    copy_of: int = -1  # place of the copied row
    url: str = ""
    text_kind: TextKind = "specific"
    alt_text: str = ""
    body: bytes | None = field(default=None, repr=False)


def make_crawl(*, name: str, seed: int, n_rows: int, host: str = "demo.test", n_leaks: int = 0, clean_seed: int = 0) -> DemoCrawl:
    """A noisy crawl of `n_rows` rows, `n_leaks` of them copies of pictures of the clean test set that `clean_seed` makes.

    A copy's truth has its own picture's origin and concept. Leaks and pictures that several crawls show are `clean`: their origin
    tells. Rows under /private/ (which robots.txt disallows), gone ones and icons are `broken`. An address with two texts has two rows
    in both tables. Raises ValueError for fewer than 100 rows, or more leaks than a tenth of them.
    """
    if n_rows < 100 or n_leaks > n_rows // 10:
        raise ValueError(f"crawl '{name}' of {n_rows} rows with {n_leaks} leaks: make 100 rows or more, a tenth of them leaks at most")
    rows: list[_Row] = []
    planned = plan(name=name, seed=seed, n_rows=n_rows - n_leaks)
    for place, row in enumerate(planned):
        rng = np.random.default_rng(seed_of(name, seed, place))
        rows.append(_made(row, rows, f"http://{host}", f"{name}/img/{place:06d}", rng))
    for number in range(n_leaks):
        rng = np.random.default_rng(seed_of(name, seed, "leak", number))
        concept, picture_id, body, extension = make_leak(number=number, clean_seed=clean_seed, rng=rng)
        text = make_text(kind="specific", subject=concept, rng=rng)
        url = f"http://{host}/{name}/img/{n_rows - n_leaks + number:06d}.{extension}"
        rows.append(_Row("clean", concept, concept, picture_id, url=url, alt_text=text, body=body))
    return _tables(name, rows, f"http://{host}")


def plan(*, name: str, seed: int, n_rows: int) -> list[_Row]:
    """What every row will be, originals before their copies; no pixel is made yet."""
    rng = np.random.default_rng(seed_of(name, seed, "plan"))
    n_popular, counts = round(POPULAR * n_rows), {kind: round(share * n_rows) for kind, share in SHARES.items()}
    n_copies = counts["exact_dup"] + counts["near_dup"]
    filed = _filed(rng, n_rows - n_popular - n_copies)
    n_salads = round(OTHER_SENSE_SHARE * (1 - SHARES["broken"]) * filed.count(WORD))
    kinds: list[Kind] = [kind for kind in ("label_noise", "broken") for _ in range(counts[kind])]
    kinds += ["ood"] * max(0, counts["ood"] - n_salads)
    kinds += ["clean"] * (len(filed) - n_salads - len(kinds))
    rng.shuffle(kinds)
    originals = []
    for concept in filed:
        sense = concept == WORD and n_salads > 0
        n_salads -= sense
        originals.append(_original(rng, "ood" if sense else kinds.pop(), concept, OTHER_SENSE if sense else ""))
    popular = [popular_row(int(number)) for number in rng.choice(POPULAR_PICTURES, min(n_popular, POPULAR_PICTURES), replace=False)]
    originals += [_shown(rng, row) for row in popular]
    order = [originals[place] for place in rng.permutation(len(originals))]
    ids = [replace(row, picture_id=row.picture_id or f"{name}/{seed}/{place}") for place, row in enumerate(order)]
    return ids + list(_copies(rng, ids, counts["exact_dup"], counts["near_dup"], round(SECOND_TEXTS * n_rows)))


def popular_row(number: int) -> _Row:
    """The row of a picture that every crawl meets, at its own address and with one text, the same in every crawl."""
    rng = np.random.default_rng(seed_of("popular", number))
    concept = CONCEPTS[int(rng.integers(len(CONCEPTS)))]
    text = make_text(kind="specific", subject=concept, rng=rng)
    return _Row("clean", concept, concept, f"popular/{number}", url=f"popular/{number:04d}", alt_text=text)


def _filed(rng: np.random.Generator, n_rows: int) -> list[str]:
    """The concepts that rows are filed under: a long tail, exact, in random order."""
    weights = LONGEST_TO_SHORTEST ** -(np.arange(len(TAIL)) / (len(TAIL) - 1))
    ends = np.round(np.cumsum(weights) / weights.sum() * n_rows).astype(int)
    filed = [concept for concept, n in zip(TAIL, np.diff(ends, prepend=0), strict=True) for _ in range(n)]
    return [filed[place] for place in rng.permutation(n_rows)]


def _original(rng: np.random.Generator, kind: Kind, concept: str, subject: str) -> _Row:
    if kind == "broken":
        return _Row(kind, concept, concept, "", broken=str(rng.choice(list(BREAKS), p=_normed(BREAKS.values()))))
    if kind == "ood":
        return _Row(kind, concept, subject or str(rng.choice(list(OFF_TOPIC), p=_normed(OFF_TOPIC.values()))), "")
    if kind == "label_noise":
        others = [other for other in CONCEPTS if other != concept]
        mistaken = CONFUSED[concept] if rng.random() < CONFUSED_SHARE else others[int(rng.integers(len(others)))]
        return _Row(kind, concept, mistaken, "")
    return _Row(kind, concept, concept, "")


def _shown(rng: np.random.Generator, row: _Row) -> _Row:
    """A popular row as it is, or, every second time, its picture encoded anew at an address of the crawl's own."""
    return row if rng.random() < 0.5 else replace(row, url="", alt_text="")


def _copies(rng: np.random.Generator, originals: list[_Row], n_exact: int, n_near: int, n_second: int) -> Iterator[_Row]:
    """Copies of sound rows, filed like them; the first `n_second` exact ones share even the address."""
    sound = [place for place, row in enumerate(originals) if row.kind != "broken" and not row.picture_id.startswith("popular/")]
    chosen = [int(place) for place in rng.choice(sound, n_exact + n_near, replace=False)]
    for number, place in enumerate(chosen):
        kind: Kind = "exact_dup" if number < n_exact else "near_dup"
        yield replace(originals[place], kind=kind, copy_of=place, url="same" if number < n_second else "")


def _made(row: _Row, rows: list[_Row], site: str, path: str, rng: np.random.Generator) -> _Row:
    """The row with address, text and body."""
    text_kind = "specific" if row.alt_text else draw_kind(rng)
    text = row.alt_text or make_text(kind=text_kind, subject=row.subject, rng=rng)
    row = replace(row, text_kind=text_kind, alt_text=text)
    if row.kind == "exact_dup":
        source = rows[row.copy_of]
        url = source.url if row.url else f"{site}/{path}.{source.url.rpartition('.')[2]}"
        return replace(row, url=url, body=source.body)
    if row.url:
        rng = np.random.default_rng(seed_of(row.url))  # the same bytes in every crawl
    pixels = make_picture(subject=row.subject, picture_id=row.picture_id)
    if row.broken in ("", "gone", "private"):
        body, extension = encode(alter(pixels, rng=rng) if row.kind == "near_dup" else pixels, rng=rng)
    else:
        body, extension = damage(pixels, kind=row.broken, rng=rng)  # type: ignore[arg-type]
    place = row.url or (f"private/{path}" if row.broken == "private" else path)
    return replace(row, url=f"{site}/{place}.{extension}", body=None if row.broken == "gone" else body)


def _tables(name: str, rows: list[_Row], site: str) -> DemoCrawl:
    mixed = [rows[place] for place in np.random.default_rng(seed_of(name, len(rows), "order")).permutation(len(rows))]
    urls, filed = [row.url for row in mixed], [row.concept for row in mixed]
    pages = [f"{site}/{name}/page/{place // ROWS_PER_PAGE}" for place in range(len(mixed))]
    web = {row.url.removeprefix(f"{site}/"): row.body for row in mixed if row.body is not None}
    truth = {
        "url": urls,
        "kind": [row.kind for row in mixed],
        "text_kind": [row.text_kind for row in mixed],
        "true_concept": [row.subject for row in mixed],
        "origin": [f"{row.subject}/{row.picture_id}" for row in mixed],
        "other_sense": [row.subject == OTHER_SENSE for row in mixed],
    }
    return DemoCrawl(
        name=name,
        manifest=pa.table({"url": urls, "alt_text": [row.alt_text for row in mixed], "concept": filed, "page_url": pages}),
        web=pa.table({"path": pa.array(web, pa.string()), "bytes": pa.array(web.values(), pa.binary())}),
        truth=pa.table(truth, schema=TRUTH),
    )


def _normed(shares: object) -> np.ndarray:
    values = np.array(list(shares))  # type: ignore[call-overload]
    return np.asarray(values / values.sum())
