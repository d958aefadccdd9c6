"""Desk: what the explorer's pages ask for, out of the catalog, the index, the encoder, the stored pictures and the verdicts."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tasks.commands.pictures import StoredPictures
from tasks.commands.query import VIEWS
from tasks.commands.questions import answer
from tasks.commands.reviews import Sitting, in_force
from tasks.commands.search import open_encoder
from tasks.commands.similar import OpenIndex, open_index
from tasks.commands.story import changes, find_records, lookup, story
from tasks.core.concepts import load_concepts
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import read_params
from tasks.methods.decoding import Bounds, PictureError, decode
from tasks.methods.encoder import Encoder
from tasks.methods.explore_app import Refused, Row
from tasks.methods.pictures import square

QUESTIONS = 2  # of a person's own that are answered at a time
MAX_ROWS, MAX_CELL = 500, 2000  # rows of an answer, characters of a value
OWN = Bounds(  # what a person's own picture may be
    decoders=("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"), max_pixels=50_000_000, max_side=512, shortest=False, memory_mb=1000
)
QUALITY = 90
WIDER = 8  # times as many neighbours are looked at when a filter lets only some through
PICTURED = "status = 'ok' AND NOT list_has_any(reasons, ['forgotten', 'blocked'])"
COLUMNS = f"""sample_id, crawl, shard, key, url, alt_text[:{MAX_CELL}] AS alt_text, concept, curated_concept, suggested_concept, verdict,
    confidence, keep, reason, review_priority, reviewed, sha256, ({PICTURED}) AS pictured"""
STATES = {"all": "true", "kept": "keep", "dropped": "NOT keep", "reviewed": "reviewed IS NOT NULL"}
DRAWN = f"list_contains($drawn, sample_id) AND {PICTURED} AND NOT list_contains($done, sample_id)"
QUEUE = f"review_priority > 0 AND reviewed IS NULL AND {PICTURED} AND NOT list_contains($done, sample_id)"

Opened = TypeVar("Opened")


class ProjectDesk:
    """The desk of the project in the working directory. Every question opens the catalog anew, so that threads never share one.

    With rows `drawn` for an audit the queue holds these in their order, instead of the rows in doubt.
    """

    def __init__(self, reviewer: str, drawn: list[str] | None = None) -> None:
        self.reviewer, self.drawn = reviewer, drawn
        values, graph = read_params(), read_graph()
        folder = next(dep.path(values) for dep in graph["match"].data if dep.name == "concepts")
        self.concepts = [concept.name for concept in load_concepts(folder)]
        self.states = [*STATES, *self._reasons()]
        self.sitting = Sitting(reviewer, self.concepts)
        self.skipped: list[str] = []
        self.pictures = StoredPictures()
        self._opening, self._opened = threading.Lock(), dict[Callable[[], Any], Any]()
        self._asking = threading.BoundedSemaphore(QUESTIONS)
        self._saving = threading.Lock()

    def samples(self, words: str, *, state: str, concept: str, limit: int) -> list[Row]:
        """Samples whose text, address or id holds the words; without words a draw by id, which is a hash."""
        condition, values = self._filter(state, concept)
        if words:
            fields = ("lower(alt_text)", "lower(url)", "sample_id", "image_id")
            condition += f" AND ({' OR '.join(f'contains({field}, lower($words))' for field in fields)})"
            values["words"] = words
        else:
            condition += f" AND {PICTURED}"
        return self._rows(f"SELECT {COLUMNS} FROM samples WHERE {condition} ORDER BY sample_id LIMIT $n", {**values, "n": limit})

    def like_text(self, text: str, *, state: str, concept: str, limit: int) -> list[Row]:
        """Samples whose picture fits the text best."""
        index = self._index  # first: that there is none is known sooner than torch is loaded
        return self._near(index, self._encoder.encode_texts([text])[0], state, concept, limit)

    def like_picture(self, data: bytes, *, limit: int) -> list[Row]:
        """Samples most like a picture of the person's own."""
        try:
            picture = decode(data, OWN, encoding="jpg", quality=QUALITY)
        except PictureError as error:
            raise Refused(f"that is no picture that can be read ({error.detail.replace('_', ' ')})") from None
        index, encoder = self._index, self._encoder
        pixels = np.array(square(picture.data, encoder.image_size))  # a copy: torch wants one that it may write to
        return self._near(index, encoder.encode_images(pixels[None])[0], "all", "", limit)

    def sample(self, sample_id: str) -> Row:
        """One row of the catalog."""
        rows = self._rows(f"SELECT {COLUMNS} FROM samples WHERE sample_id = $id", {"id": sample_id})
        if not rows:
            raise Refused(f"the catalog has no sample {sample_id}", 404)
        return rows[0]

    def pending(self, sample_id: str) -> Row | None:
        """The verdict saved, if the catalog doesn't have it yet."""
        said = in_force().get(sample_id)
        return said if said is not None and said["verdict"] != self.sample(sample_id)["reviewed"] else None

    def about(self, sample_id: str) -> dict[str, Any]:
        """The story, what would change it, and its copies."""
        look = lookup()
        copies = self._rows(
            f"""SELECT {COLUMNS}, found.similarity FROM samples JOIN (
                SELECT CASE sample_id WHEN $id THEN other_id ELSE sample_id END AS other, max(similarity) AS similarity FROM pairs
                WHERE sample_id = $id OR other_id = $id GROUP BY other) AS found ON found.other = samples.sample_id
            ORDER BY found.similarity DESC, sample_id LIMIT 24""",
            {"id": sample_id},
        )
        try:
            curated = look("curated", "sample_id = $id", {"id": sample_id}) or []
            told = story(find_records(sample_id, look), look)
        except SluiceError as error:
            raise Refused(str(error)) from None
        shown = [section for section in told if section[0] != "What would change it"]
        return {"story": shown, "ways": changes(curated[0]) if curated else [], "copies": copies}

    def ranked(self, sample_id: str) -> list[str]:
        """The concepts that match the sample, likeliest first."""
        rows = lookup()("matches", "sample_id = $id", {"id": sample_id}) or []
        return [name for row in rows for name in row["concepts"]]

    def neighbours(self, sample_id: str, *, limit: int) -> list[Row]:
        """The samples whose pictures are most like this one's."""
        return self._rows(
            f"""SELECT {COLUMNS}, near.similarity FROM samples JOIN
            (SELECT neighbor_id, similarity, rank FROM neighbors WHERE sample_id = $id) AS near ON near.neighbor_id = samples.sample_id
            ORDER BY near.rank LIMIT $n""",
            {"id": sample_id, "n": limit},
        )

    def picture(self, sample_id: str) -> tuple[bytes, str]:
        """Bytes and extension of a stored picture that may be shown."""
        row = self.sample(sample_id)
        if not row["pictured"]:
            raise Refused("this sample has no picture to show", 404)
        try:
            return self.pictures.read(row["crawl"], row["shard"], row["key"])
        except SluiceError as error:
            raise Refused(str(error), 404) from None

    def views(self) -> list[tuple[str, str]]:
        """Every view of the catalog with its sentence."""
        return [(row["name"], row["comment"] or "") for row in self._rows(VIEWS, {})]

    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]], bool, float]:
        """Names, rows, whether there are more, and seconds. Values are cut inside DuckDB: an answer can't fill the memory."""
        began = time.monotonic()
        inner = sql.strip().rstrip(";").strip()
        wrapped = f"SELECT left(COLUMNS(*)::VARCHAR, {MAX_CELL}) FROM (\n{inner}\n) LIMIT {MAX_ROWS + 1}"
        with self._asking:
            names, rows = answer(wrapped, {}, asked=inner)
        return names, rows[:MAX_ROWS], len(rows) > MAX_ROWS, time.monotonic() - began

    def next_in_queue(self) -> Row | None:
        """The sample whose verdict is worth most among those that nobody has judged or skipped."""
        condition, values = self._queue()
        order = "list_position($drawn, sample_id)" if self.drawn is not None else "review_priority DESC, sample_id"
        rows = self._rows(f"SELECT {COLUMNS} FROM samples WHERE {condition} ORDER BY {order} LIMIT 1", values)
        return rows[0] if rows else None

    def n_waiting(self) -> int:
        """How many samples the queue still has."""
        condition, values = self._queue()
        return int(self._rows(f"SELECT count(*) AS n FROM samples WHERE {condition}", values)[0]["n"])

    def said(self) -> list[str]:
        """The samples judged in this sitting, the last one last."""
        return self.sitting.standing()

    def say(self, sample_id: str, verdict: str, concept: str | None) -> None:
        """Save a verdict on the picture that the catalog has."""
        row = self.sample(sample_id)
        if not row["pictured"]:
            raise Refused("there is no picture to judge", 404)
        try:
            with self._saving:
                self.sitting.say(sample_id, row["sha256"], verdict, concept)
        except ValueError as error:
            raise Refused(str(error)) from None

    def skip(self, sample_id: str) -> None:
        """Leave a sample for later; forgotten when the explorer ends."""
        self.skipped.append(sample_id)

    def _done(self) -> list[str]:
        return [*in_force(), *self.skipped]

    def _queue(self) -> tuple[str, dict[str, Any]]:
        done = {"done": self._done()}
        return (QUEUE, done) if self.drawn is None else (DRAWN, {**done, "drawn": self.drawn})

    def _reasons(self) -> list[str]:
        return [row["reason"] for row in self._rows("SELECT DISTINCT reason FROM samples WHERE reason IS NOT NULL ORDER BY reason", {})]

    def _filter(self, state: str, concept: str) -> tuple[str, dict[str, Any]]:
        values: dict[str, Any] = {}
        condition = STATES.get(state)
        if condition is None:
            condition, values["state"] = "list_contains(reasons, $state)", state
        if concept:
            condition += " AND coalesce(curated_concept, concept, suggested_concept) = $concept"
            values["concept"] = concept
        return condition, values

    def _near(self, index: OpenIndex, query: np.ndarray, state: str, concept: str, limit: int) -> list[Row]:
        """The nearest samples that pass the filter, looked for among more of them where there is a filter."""
        filtered = state != "all" or bool(concept)
        try:
            near = index.near(query, limit * WIDER if filtered else limit)
        except ValueError as error:
            raise Refused(str(error)) from None
        ids = index.rows["sample_id"].take([place for _, place in near]).to_pylist()
        alike = dict(zip(ids, (similarity for similarity, _ in near), strict=True))
        condition, values = self._filter(state, concept)
        sql = f"SELECT {COLUMNS} FROM samples WHERE sample_id IN (SELECT unnest($ids::VARCHAR[])) AND {condition}"
        rows = [row | {"similarity": alike[row["sample_id"]]} for row in self._rows(sql, {**values, "ids": ids})]
        return sorted(rows, key=lambda row: (-row["similarity"], row["sample_id"]))[:limit]

    @property
    def _index(self) -> OpenIndex:
        return self._once(open_index)

    @property
    def _encoder(self) -> Encoder:
        return self._once(open_encoder)

    def _once(self, open_it: Callable[[], Opened]) -> Opened:
        """What `open_it` gives, opened by the first thread that needs it and kept."""
        with self._opening:
            if open_it not in self._opened:
                self._opened[open_it] = _or_refused(open_it)
            found: Opened = self._opened[open_it]
            return found

    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        names, rows = answer(sql, values)
        return [dict(zip(names, row, strict=True)) for row in rows]


def _or_refused(open_it: Callable[[], Opened]) -> Opened:
    try:
        return open_it()
    except SluiceError as error:
        raise Refused(str(error), 503) from None
    except ImportError as error:
        raise Refused(f"this needs a package that isn't installed ({error.name})", 503) from None
