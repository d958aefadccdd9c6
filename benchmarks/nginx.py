"""Serve a folder with nginx on a free loopback port, at once or late, and read from its log when the first request came; serve silence."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_START = 10.0
CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {scratch}/nginx.pid;
error_log {scratch}/error.log {level};
events {{ worker_connections 4096; }}
http {{
    log_format times '$msec $request_time $status';
    access_log {scratch}/access.log times;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    types {{ image/jpeg jpg jpeg; }}
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    open_file_cache max=10000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
        {late}
    }}
}}
"""
# nginx has no sleep: it waits for an upstream that never answers, gives up, and sends the file itself.
LATE = """
        location / {{
            proxy_pass http://unix:{scratch}/silent.sock;
            proxy_read_timeout {milliseconds}ms;
            proxy_next_upstream off;
            error_page 504 = @file;
        }}
        location @file {{ }}
"""
HELD = 700  # connections to a silent listener that stay open: more than a run has at a time, fewer than files a process may open


@dataclass(frozen=True)
class Nginx:
    """A running server."""

    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def first_request(self) -> float:
        """When the first request of the log arrived, in seconds since 1970."""
        starts = [float(end) - float(took) for end, took, _ in map(str.split, self.log.read_text().splitlines())]
        return min(starts)

    def count(self) -> int:
        """Requests that were answered with 200."""
        return sum(line.endswith(" 200") for line in self.log.read_text().splitlines())

    def forget(self) -> None:
        """Empty the log."""
        os.truncate(self.log, 0)


@contextmanager
def nginx(root: Path, scratch: Path, latency_ms: int = 0) -> Iterator[Nginx]:
    """nginx for as long as the `with` block lasts; every answer comes `latency_ms` late. Exits with what to install where there is none."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin")
    if binary is None:
        sys.exit("no nginx on this machine: install it (Debian: apt-get install nginx-light; macOS: brew install nginx) and run again")
    port = free_port()
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""  # or its worker could not read what root alone may
    file = scratch / "nginx.conf"
    late = LATE.format(scratch=scratch, milliseconds=latency_ms) if latency_ms else ""
    level = "crit" if latency_ms else "warn"  # each answer given up is an error to nginx
    file.write_text(CONFIGURATION.format(user=user, scratch=scratch, root=root, port=port, late=late, level=level))
    with silence(str(scratch / "silent.sock"), socket.AF_UNIX):
        server = subprocess.Popen([binary, "-e", str(scratch / "error.log"), "-p", str(scratch), "-c", str(file)], stdout=sys.stderr)
        try:
            wait_for(port, server, scratch / "error.log")
            yield Nginx(port, scratch / "access.log")
        finally:
            server.terminate()
            server.wait(timeout=10)


@contextmanager
def silence(address: str | tuple[str, int], family: socket.AddressFamily = socket.AF_INET) -> Iterator[None]:
    """A listener that takes every connection and never says a word."""
    with socket.socket(family) as listener:
        listener.bind(address)
        if isinstance(address, str):
            Path(address).chmod(0o666)  # nginx's worker may be another user
        listener.listen(HELD)
        threading.Thread(target=hold_connections, args=(listener,), daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread


def hold_connections(listener: socket.socket) -> None:
    """Accept until the listener ends, and keep the newest connections open."""
    held: deque[socket.socket] = deque()
    with suppress(OSError):
        while True:
            held.append(listener.accept()[0])
            if len(held) > HELD:
                held.popleft().close()
    for connection in held:
        connection.close()


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes], errors: Path) -> None:
    """Return when the port answers. Exits with the server's own words if it doesn't."""
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"nginx does not answer on port {port}: {errors.read_text() if errors.exists() else 'no error log'}")
