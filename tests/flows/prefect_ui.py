"""Look at a flow run in Prefect's own pages, as somebody does who was told that it ended."""

from pathlib import Path
from typing import Any

from tests.browser import open_tab

SHOWN = "document.body.innerText.includes({text!r})"
CHOSEN = "(document.querySelector('li#{tab}.p-tab__active') || (document.querySelector('li#{tab}').click(), null)) !== null"
DRAWN = "[...document.querySelectorAll('canvas')].some(canvas => canvas.width > 300 && canvas.height > 100)"
HTTP = ("http:", "https:")
PATIENCE_SECONDS = 90.0  # pages of some megabytes of script, on a machine at work


async def look(address: str, run: str, stages: list[str], shots: Path) -> dict[str, Any]:
    """Graph, tasks and artifacts of a completed run that had these stages; leaves two screenshots, and says what was there."""
    async with open_tab(PATIENCE_SECONDS) as tab:
        await tab.go(f"{address}/runs/flow-run/{run}")
        found = {"state": await tab.find(SHOWN.format(text="Completed")), "graph": await tab.find(DRAWN)}
        await tab.find(CHOSEN.format(tab="task-runs"))
        found["tasks"] = [stage for stage in stages if await tab.find(SHOWN.format(text=stage))]
        await tab.shoot(shots / "prefect-run.png", 1000)
        await tab.find(CHOSEN.format(tab="artifacts"))
        found["progress"] = await tab.find(SHOWN.format(text="PROGRESS"))
        found["table"] = await tab.find(SHOWN.format(text="What ran, in order of its end"))
        await tab.shoot(shots / "prefect-artifacts.png", 1000)
        found["foreign"] = [request for request in tab.seen().requests if request.startswith(HTTP) and not request.startswith(address)]
        return found
