"""Serve a folder with nginx on a free loopback port, and read from its log when the first request came."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_START = 10.0
CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {scratch}/nginx.pid;
error_log {scratch}/error.log warn;
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
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running server."""

    port: int
    log: Path

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
def nginx(root: Path, scratch: Path) -> Iterator[Nginx]:
    """nginx for as long as the `with` block lasts. Exits with what to install where there is none."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin")
    if binary is None:
        sys.exit("no nginx on this machine: install it (Debian: apt-get install nginx-light; macOS: brew install nginx) and run again")
    port = free_port()
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""  # or its worker could not read what root alone may
    file = scratch / "nginx.conf"
    file.write_text(CONFIGURATION.format(user=user, scratch=scratch, root=root, port=port))
    server = subprocess.Popen([binary, "-e", str(scratch / "error.log"), "-p", str(scratch), "-c", str(file)], stdout=sys.stderr)
    try:
        wait_for(port, server, scratch / "error.log")
        yield Nginx(port, scratch / "access.log")
    finally:
        server.terminate()
        server.wait(timeout=10)


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
