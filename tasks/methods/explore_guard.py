"""Guard a local page: only the browser that was given the token gets in, and nothing it shows can reach out.

Other programs and other pages of the same machine can send requests to a loopback port, so the address proves nothing: a request needs
the token (a cookie, set by the link that the command prints), the right Host (else a foreign name that resolves to 127.0.0.1 would do)
and, to change anything, the right Origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = ("GET", "HEAD")
TOKEN = "token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make the browser send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. `hosts` are the values of the Host header that are ours; bodies of more than `max_bytes` are refused."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], max_bytes: int) -> None:
        self.app, self.token, self.hosts, self.max_bytes = app, token, frozenset(hosts), max_bytes
        self.cookie = f"sluice_{secrets.token_hex(4)}"  # cookies don't know ports: two pages on one machine must not share one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            raise ValueError(f"this page speaks HTTP, not {scope['type']}")
        answer = self._refusal(scope)
        counted = _Counted(receive, self.max_bytes)
        await (answer or self.app)(scope, counted, _with_headers(send))
        return None

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; None lets it in."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return PlainTextResponse("This page answers under its own address only.", 421)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("Another page may not use this one.", 403)
        if scope["method"] not in SAFE_METHODS and origin != f"http://{host}":
            return PlainTextResponse("A change must come from this page itself.", 403)
        if _length(headers) > self.max_bytes:
            return PlainTextResponse(f"At most {self.max_bytes} bytes can be sent.", 413)
        return self._stranger(scope, headers)

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a browser without the cookie: the right link gives it one."""
        if self._same(_cookie(headers.get("cookie", ""), self.cookie)):
            return None
        words = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] not in SAFE_METHODS or not self._same(dict(words).get(TOKEN, "")):
            return PlainTextResponse("Open the whole link that `sluice explore` printed.", 403)
        rest = urlencode([word for word in words if word[0] != TOKEN])
        path = "/" + scope["path"].lstrip("/")  # `//host` would lead elsewhere
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return answer

    def _same(self, word: str) -> bool:
        return secrets.compare_digest(word.encode(), self.token.encode())


class TooLarge(Exception):
    """More bytes came than are allowed."""


class _Counted:
    """Passes a body on and counts it: a chunked one announces no length."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.left = receive, limit

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise TooLarge
        return message


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return guarded


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""
