"""Serve a packed web: the files of a Parquet table (path, bytes) over HTTP on loopback, from inside this process."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.methods.packed_web import PackedFiles

ROBOTS = b"User-agent: *\nDisallow: /private/\n"
TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
HEADERS = b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"


class EmbeddedWeb:
    """A web site for as long as the `with` block lasts, on a free port of 127.0.0.1; `requests` counts what was asked for, by path.

    Raises ValueError if the file is not a packed web.
    """

    def __init__(self, packed: Path) -> None:
        self._files = PackedFiles(packed)
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self._files, self._count))
        self._thread = threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.05), daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self._server.server_address[1])

    def _count(self, path: str) -> None:
        with self._lock:
            self.requests[path] += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._files.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    block_on_close = False  # idle keep-alive connections would hold the end up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every keep-alive answer waits for the client's delayed acknowledgement

    def __init__(self, files: PackedFiles, count: Callable[[str], None], *connection: object) -> None:
        self.files, self.count = files, count
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.count(path)
        if path == "/robots.txt":
            self._answer(200, b"OK", "text/plain", ROBOTS)
        elif (body := self.files.get(path.removeprefix("/"))) is not None:
            self._answer(200, b"OK", TYPES.get(path.rpartition(".")[2], "application/octet-stream"), body)
        else:
            self._answer(404, b"Not Found", "text/plain", b"no such page\n")

    do_HEAD = do_GET

    def _answer(self, code: int, phrase: bytes, kind: str, body: bytes) -> None:
        head = HEADERS % (code, phrase, kind.encode(), len(body))
        self.wfile.write(head if self.command == "HEAD" else head + body)  # one write, one packet

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: `requests` is the log."""
