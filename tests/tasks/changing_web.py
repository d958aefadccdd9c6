"""A web site on loopback whose pages can be changed, which names versions and counts what is asked for."""

import threading
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).resize((40, 30), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


class ChangingWeb:
    """`pages`: by path; `failing`: paths that answer with that status instead; `asked`: (path, status) of every answer."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.failing: dict[str, int] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body, tag = web.pages.get(self.path), ""
                status = web.failing.get(self.path, 200 if body is not None else 404)
                if status == 200 and body is not None:
                    tag = f'"{zlib.crc32(body):08x}"'
                    status = 304 if self.headers.get("If-None-Match") == tag else 200
                web.asked[self.path, status] += 1
                self.send_response(status)
                if tag:
                    self.send_header("ETag", tag)
                if status != 304:
                    self.send_header("Content-Length", str(len(body or b"") if status == 200 else 0))
                self.end_headers()
                if status == 200 and body:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def statuses(self) -> Counter[int]:
        """How often each status was answered since the last time, robots.txt left out."""
        found: Counter[int] = Counter()
        for (path, status), n in self.asked.items():
            if path != "/robots.txt":
                found[status] += n
        self.asked.clear()
        return found

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
