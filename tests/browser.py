"""Drive a headless Chromium through its debugging protocol: open a file, watch what it asks for and complains about."""

import asyncio
import base64
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
WIDTH, HEIGHT = 1280, 900
AXE = """axe.run(document).then(found => ["", ...found.violations.filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)])"""
KEYS = {"ArrowRight": {"code": "ArrowRight", "windowsVirtualKeyCode": 39}}
EAGER = """(async () => {
  const pictures = [...document.images];
  pictures.forEach(picture => { picture.loading = "eager"; });
  await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
  return {title: document.title, pictures: pictures.length, broken: pictures.filter(picture => !picture.naturalWidth).length,
          width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
          without_alt: pictures.filter(picture => !picture.alt).length, headings: [...document.querySelectorAll("h1,h2,h3,h4")].map(
          heading => Number(heading.tagName[1])), scripts: document.scripts.length,
          outside: [...document.querySelectorAll("a[href]")].filter(link => !link.getAttribute("href").startsWith("#")).length};
})()"""


@dataclass
class Visit:
    """What a page did: requests that left the file, what the console said, and what the script found."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)


def visit(page: Path, *, shots: dict[Path, dict[str, Any]] | None = None, width: int = WIDTH) -> Visit:
    """Open the page, load every picture, take the screenshots asked for: path -> {dark, height}."""
    return asyncio.run(_visit(page, shots or {}, width))


async def _visit(page: Path, shots: dict[Path, dict[str, Any]], width: int) -> Visit:
    seen = Visit()
    async with _tab() as (call, events):
        for domain in ("Page", "Network", "Log", "Runtime"):
            await call(f"{domain}.enable")
        await _size(call, width, HEIGHT)
        await call("Page.navigate", url=page.resolve().as_uri())
        seen.found = (await call("Runtime.evaluate", expression=_loaded(EAGER), awaitPromise=True, returnByValue=True))["result"]["value"]
        for path, wanted in shots.items():
            media = [{"name": "prefers-color-scheme", "value": "dark" if wanted.get("dark") else "light"}]
            await call("Emulation.setEmulatedMedia", features=media)
            await _size(call, width, wanted.get("height", HEIGHT))
            path.write_bytes(base64.b64decode((await call("Page.captureScreenshot", format="png"))["data"]))
        await asyncio.sleep(0.2)
        for event in events:
            _note(event, seen)
    return seen


def _loaded(script: str) -> str:
    return f"new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done)).then(() => {script})"


async def _size(call: Any, width: int, height: int) -> None:
    await call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


def _note(event: dict[str, Any], seen: Visit) -> None:
    parameters = event.get("params", {})
    if event["method"] == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:")):
        seen.requests.append(parameters["request"]["url"])
    elif event["method"] == "Log.entryAdded":
        seen.complaints.append(parameters["entry"]["text"])
    elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
        seen.complaints.append(json.dumps(parameters)[:300])


class Tab:
    """A tab of a fresh browser that goes to pages, presses keys and looks."""

    def __init__(self, call: Any, events: list[dict[str, Any]], patience_s: float) -> None:
        self.call, self.events, self.patience_s = call, events, patience_s

    async def go(self, address: str) -> None:
        """Open an address and wait until it is loaded."""
        await self.call("Page.navigate", url=address)
        await self.find("document.readyState === 'complete' && document.body !== null")

    async def find(self, expression: str) -> Any:
        """The value of an expression as soon as it is something. Raises TimeoutError when the patience is at its end."""
        for _ in range(int(10 * self.patience_s)):
            with contextlib.suppress(RuntimeError):  # the page may just be changing
                answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
                if value := answer["result"].get("value"):
                    return value
            await asyncio.sleep(0.1)
        raise TimeoutError(f"never true on this page: {expression}")

    async def press(self, key: str) -> None:
        """Press and let go of one key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else KEYS.get(key, {})
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def choose_file(self, selector: str, file: Path) -> None:
        """Put a file into a file input."""
        top = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.call("DOM.querySelector", nodeId=top, selector=selector))["nodeId"]
        await self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    async def shoot(self, path: Path, height: int = HEIGHT) -> None:
        """Save a screenshot once every picture is there."""
        await self.call("Runtime.evaluate", expression=EAGER, awaitPromise=True)
        await _size(self.call, WIDTH, height)
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"]))

    async def barriers(self) -> list[str]:
        """What axe finds on this page that keeps people out: its serious and critical rules, with the first place of each."""
        import axe_core_python

        script = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
        await self.call("Runtime.evaluate", expression=script)
        found = await self.find(AXE)
        return [line for line in found if line]

    def seen(self) -> Visit:
        """Requests and complaints so far."""
        seen = Visit()
        for event in self.events:
            _note(event, seen)
        return seen


@contextlib.asynccontextmanager
async def open_tab(patience_s: float = 10.0) -> AsyncIterator[Tab]:
    """A tab that watches requests and the console, and waits so long for what it looks for."""
    async with _tab() as (call, events):
        for domain in ("Page", "Network", "Log", "Runtime", "DOM"):
            await call(f"{domain}.enable")
        await _size(call, WIDTH, HEIGHT)
        yield Tab(call, events, patience_s)


@contextlib.asynccontextmanager
async def _tab() -> AsyncIterator[tuple[Any, list[dict[str, Any]]]]:
    """A tab of a fresh browser: a function that calls the protocol, and the list of events so far."""
    profile = tempfile.mkdtemp(prefix="chromium-")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars")
    command = [str(CHROMIUM), *quiet, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        port = await _port(Path(profile) / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json()
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                events: list[dict[str, Any]] = []
                yield _caller(socket, events), events
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _port(file: Path) -> int:
    for _ in range(300):
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(file.read_text().splitlines()[0])
        await asyncio.sleep(0.1)
    raise TimeoutError("Chromium did not open its debugging port in 30 s")


def _caller(socket: aiohttp.ClientWebSocketResponse, events: list[dict[str, Any]]) -> Any:
    number = 0

    async def call(method: str, **parameters: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        await socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await asyncio.wait_for(socket.receive_json(), 60)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            if "method" in message:
                events.append(message)

    return call
