"""Explore: a local web page over the catalog, in which people search, look, and judge."""

import argparse
import getpass
import secrets
import socket
import subprocess

from tasks.commands.output import printable, write_line
from tasks.core.errors import SluiceError

LOOPBACK = "127.0.0.1"
MAX_NAME = 80  # characters of a reviewer's name


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted; the link that is printed first is the only way in."""
    import uvicorn

    from tasks.commands.desk import ProjectDesk
    from tasks.methods.explore_app import Refused, make_app

    try:
        desk = ProjectDesk(reviewer_name(arguments.reviewer), drawn_rows(arguments))
    except Refused as refusal:
        raise SluiceError(str(refusal)) from None
    with listen(arguments.port) as listener:
        port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
        app = make_app(desk, token=token, hosts=[f"{LOOPBACK}:{port}", f"localhost:{port}"])
        write_line(f"http://{LOOPBACK}:{port}/?token={token}", flush=True)
        write_line(f"Verdicts are saved as those of {printable(desk.reviewer)}. Ctrl-C ends it.", flush=True)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=3
        )
        uvicorn.Server(config).run(sockets=[listener])


def drawn_rows(arguments: argparse.Namespace) -> list[str] | None:
    """The rows to review if they were drawn, for an audit or for a budget; None for all that are in doubt."""
    from tasks.commands.audit import sampled
    from tasks.commands.review_budget import drawn_for

    if arguments.wrong is not None and arguments.budget is None:
        raise SluiceError("--wrong says how many verdicts of a budget may be wrong: give the --budget too")
    if arguments.sample and arguments.budget is not None:
        raise SluiceError("--sample and --budget each make the queue: give one of them")
    if arguments.sample:
        return sampled(arguments.sample)
    return None if arguments.budget is None else drawn_for(arguments.budget, arguments.wrong)


def listen(port: int) -> socket.socket:
    """A socket on loopback; port 0 takes any free one. Raises SluiceError if the port can't be had."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()  # before the link is printed, so that a quick reader waits instead of failing
    except (OSError, OverflowError) as error:
        listener.close()
        raise SluiceError(f"port {port} can't be had ({error}): give another one, or none for any that is free") from None
    return listener


def reviewer_name(told: str | None) -> str:
    """Who judges: the name told, else git's, else the account's. Raises SluiceError for a name that is empty or too long."""
    name = (told if told is not None else _git_name() or getpass.getuser()).strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise SluiceError(f"reviewer '{printable(name[:MAX_NAME])}' is no name: give 1 to {MAX_NAME} printable characters")
    return name


def _git_name() -> str:
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
