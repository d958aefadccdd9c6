"""Serve the explorer: pages over whatever desk it is given, behind the guard; a Starlette application.

A desk (`Desk`) is all that the pages need to know of the dataset, so that tests can give a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tasks.methods.explore_guard import Guard, TooLarge
from tasks.methods.explore_pages import asset, choices, is_sample, render

MAX_UPLOAD = 20_000_000  # bytes; larger than nearly all photographs
MAX_SQL = 20_000  # characters
SHOWN = 60  # samples of a sheet
CHOICES = 9  # concepts that have a key
TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
Row = dict[str, Any]


class Desk(Protocol):
    """What the pages ask for. Methods raise `Refused` for what can't be had, with a sentence for the person."""

    reviewer: str
    concepts: list[str]
    states: list[str]

    def samples(self, words: str, *, state: str, concept: str, limit: int) -> list[Row]: ...
    def like_text(self, text: str, *, state: str, concept: str, limit: int) -> list[Row]: ...
    def like_picture(self, data: bytes, *, limit: int) -> list[Row]: ...
    def sample(self, sample_id: str) -> Row: ...
    def pending(self, sample_id: str) -> Row | None: ...
    def about(self, sample_id: str) -> dict[str, Any]: ...
    def ranked(self, sample_id: str) -> list[str]: ...
    def neighbours(self, sample_id: str, *, limit: int) -> list[Row]: ...
    def picture(self, sample_id: str) -> tuple[bytes, str]: ...
    def views(self) -> list[tuple[str, str]]: ...
    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]], bool, float]: ...
    def next_in_queue(self) -> Row | None: ...
    def n_waiting(self) -> int: ...
    def said(self) -> list[str]: ...
    def say(self, sample_id: str, verdict: str, concept: str | None) -> None: ...
    def skip(self, sample_id: str) -> None: ...


class Refused(Exception):
    """What was asked for can't be had, in a sentence; `status` is HTTP's."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class Explorer:
    """The handlers. Those that look anything up are plain functions, so that Starlette runs them beside each other in threads."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def search(self, request: Request) -> Response:
        """Samples by what they show or by their words; without a question those that a person would look at first."""
        asked, by = request.query_params.get("q", "")[:500].strip(), request.query_params.get("by", "picture")
        state, concept = request.query_params.get("state", self.desk.states[0]), request.query_params.get("concept", "")
        state = state if state in self.desk.states else self.desk.states[0]
        rows: list[Row] = []
        fault = None
        try:
            look = self.desk.like_text if asked and by == "picture" else self.desk.samples
            rows = look(asked, state=state, concept=concept, limit=SHOWN)
        except Refused as refusal:
            fault = str(refusal)
        heading = "What fits best" if asked else "A few samples, drawn at random"
        return self._results(rows, heading, fault=fault, asked=asked, by=by, state=state, concept=concept)

    async def like(self, request: Request) -> Response:
        """Samples that look like a picture of the person's own."""
        form = await request.form(max_files=1, max_fields=4, max_part_size=MAX_UPLOAD)
        upload = form.get("picture")
        data = await upload.read() if isinstance(upload, UploadFile) else b""
        await form.close()

        def answer() -> Response:
            try:
                return self._results(self.desk.like_picture(data, limit=SHOWN), "What is most like your picture")
            except Refused as refusal:
                return self._results([], "What is most like your picture", fault=str(refusal), status=refusal.status)

        return await run_in_threadpool(answer)

    def sample(self, request: Request) -> Response:
        """One sample's whole story."""
        sample_id = _sample_id(request)
        row = self.desk.sample(sample_id)
        neighbours = self.desk.neighbours(sample_id, limit=24)
        about = self.desk.about(sample_id)
        return _page("sample", {"page": "search", "row": row, "pending": self.desk.pending(sample_id), "neighbours": neighbours, **about})

    def picture(self, request: Request) -> Response:
        """A stored picture's bytes."""
        data, extension = self.desk.picture(_sample_id(request))
        return Response(data, media_type=TYPES[extension])

    def review(self, request: Request) -> Response:
        """The sample that a verdict helps most, or the one asked for."""
        asked = request.path_params.get("sample_id")
        row = self.desk.sample(_sample_id(request)) if asked else self.desk.next_in_queue()
        if row is not None and not row["pictured"]:
            raise Refused("there is no picture to judge", 404)
        return self._review(row)

    async def judge(self, request: Request) -> Response:
        """Save a verdict (`dropped`, `withdrawn`, `skip`, `confirmed:CONCEPT`, `corrected:CONCEPT`) and go on."""
        form = await request.form(max_files=0, max_fields=4)
        verdict, _, concept = str(form.get("verdict", "")).partition(":")
        sample_id = _sample_id(request)

        def save() -> Response:
            if verdict == "skip":
                self.desk.skip(sample_id)
            else:
                self.desk.say(sample_id, verdict, concept or None)
            back = f"/{quote(sample_id)}" if verdict == "withdrawn" else ""
            return RedirectResponse(f"/review{back}", 303)

        return await run_in_threadpool(save)

    def sql(self, request: Request) -> Response:
        """An answer to one SELECT."""
        asked = request.query_params.get("sql", "")
        context: dict[str, Any] = {
            "page": "sql",
            "asked": asked[:MAX_SQL],
            "fault": None,
            "names": [],
            "rows": [],
            "more": False,
            "seconds": 0.0,
        }
        try:
            context["views"] = self.desk.views()
            if len(asked) > MAX_SQL:
                raise Refused(f"at most {MAX_SQL} characters, not {len(asked)}")
            if asked.strip():
                context["names"], context["rows"], context["more"], context["seconds"] = self.desk.ask(asked)
        except Refused as refusal:
            context["fault"] = str(refusal)
        return _page("sql", {"views": [], "max_sql": MAX_SQL, **context}, 400 if context["fault"] else 200)

    def asset(self, request: Request) -> Response:
        """The style sheet and the script."""
        try:
            text, kind = asset(request.path_params["name"])
        except ValueError as error:
            raise Refused(str(error), 404) from None
        return Response(text, media_type=kind)

    def _results(self, rows: list[Row], heading: str, *, status: int = 200, **changes: Any) -> Response:
        context: dict[str, Any] = {
            "page": "search",
            "rows": rows,
            "heading": heading,
            "fault": None,
            "asked": "",
            "by": "picture",
            "concept": "",
        }
        context |= {"state": self.desk.states[0], "states": self.desk.states, "concepts": self.desk.concepts}
        return _page("search", context | changes, status)

    def _review(self, row: Row | None) -> Response:
        said = self.desk.said()
        context: dict[str, Any] = {"page": "review", "row": row, "reviewer": self.desk.reviewer, "fault": None, "neighbours": []}
        context |= {"n_said": len(said), "last": said[-1] if said else None, "n_waiting": self.desk.n_waiting()}
        context |= {"concepts": self.desk.concepts, "confirmed": None, "choices": []}
        if row is not None:
            with suppress(Refused):  # without neighbours a picture can still be judged
                context["neighbours"] = self.desk.neighbours(row["sample_id"], limit=12)
            confirmed = row["concept"] if row["concept"] is not None else row["suggested_concept"]
            ranked = [*self.desk.ranked(row["sample_id"]), *self.desk.concepts]
            context |= {"confirmed": confirmed if confirmed in self.desk.concepts else None}
            context |= {"choices": choices(row["concept"], row["suggested_concept"], ranked, limit=CHOICES)}
        return _page("review", context)


def make_app(desk: Desk, *, token: str, hosts: Sequence[str]) -> Starlette:
    """The application over a desk; it answers to browsers that have the token, under these values of the Host header."""
    own = Explorer(desk)
    routes = [
        Route("/", own.search),
        Route("/like", own.like, methods=["POST"]),
        Route("/sample/{sample_id}", own.sample),
        Route("/picture/{sample_id}", own.picture),
        Route("/review", own.review),
        Route("/review/{sample_id}", own.review, methods=["GET"]),
        Route("/review/{sample_id}", own.judge, methods=["POST"]),
        Route("/sql", own.sql),
        Route("/asset/{name}", own.asset),
    ]
    faults: Mapping[Any, Callable[[Request, Any], Response]] = {Refused: _refused, TooLarge: _too_large, HTTPException: _fault}
    guard = Middleware(Guard, token=token, hosts=hosts, max_bytes=MAX_UPLOAD + 100_000)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=dict(faults))


def _page(name: str, context: Mapping[str, Any], status: int = 200) -> Response:
    return HTMLResponse(render(name, context), status)


def _sample_id(request: Request) -> str:
    found = request.path_params["sample_id"]
    if not is_sample(found):
        raise Refused("a sample_id has 32 digits of 0-9 and a-f", 404)
    return str(found)


def _refused(_: Request, refusal: Refused) -> Response:
    return _page("fault", {"page": "", "title": "That can't be had", "fault": str(refusal)}, refusal.status)


def _too_large(_: Request, __: TooLarge) -> Response:
    return _page("fault", {"page": "", "title": "Too large", "fault": f"At most {MAX_UPLOAD} bytes can be sent."}, 413)


def _fault(_: Request, error: HTTPException) -> Response:
    return _page("fault", {"page": "", "title": "That can't be had", "fault": str(error.detail)}, error.status_code)
