"""A web site on loopback that speaks TLS, and HTTP/2 if it is told to."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

HOST = "a.test"
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Site:
    """`folder` holds its key and certificate (`certify`); `asked`: the protocol, the client's port and the path of every request."""

    folder: Path
    protocols: Sequence[str] = ("h2", "http/1.1")
    body: bytes = bytes(range(256)) * 40
    asked: list[tuple[str, int, str]] = field(default_factory=list)
    address: str = ""

    async def app(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        self.asked.append((scope["http_version"], scope["client"][1], path))
        if path == "/silent":
            await asyncio.sleep(30)
        headers = [(b"etag", b'"1"'), (b"content-length", str(len(self.body)).encode())]
        if path == "/moved":
            headers = [(b"location", b"/x")]
        if path == "/reserved":
            headers.append((b"x-robots-tag", b"noai"))
        await send({"type": "http.response.start", "status": 302 if path == "/moved" else 200, "headers": headers})
        await send({"type": "http.response.body", "body": {"/moved": b"", "/torn": self.body[:100]}.get(path, self.body)})

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        end = asyncio.Event()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            config = Config()
            config.bind = [f"fd://{listener.fileno()}"]
            config.certfile, config.keyfile = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
            config.alpn_protocols = list(self.protocols)
            config.graceful_timeout = 0.1
            config.errorlog = None
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"
            listener.detach()
            server = asyncio.create_task(serve(self.app, config, shutdown_trigger=end.wait))  # type: ignore[arg-type]
            try:
                yield
            finally:
                end.set()
                await asyncio.wait([server], timeout=5)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Up in a thread of its own."""
        ready, end = threading.Event(), threading.Event()

        async def stay() -> None:
            async with self.up():
                ready.set()
                await asyncio.to_thread(end.wait)

        thread = threading.Thread(target=asyncio.run, args=(stay(),))
        thread.start()
        try:
            assert ready.wait(10)
            yield
        finally:
            end.set()
            thread.join()


def certify(folder: Path) -> Path:
    """Make a key and a certificate for HOST; the file of the authority that is to be trusted."""
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return folder / "authority.pem"
