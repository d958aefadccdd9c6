"""A desk of a few rows in memory, for the explorer's pages."""

from typing import Any

from tasks.methods.explore_app import Refused, Row

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f0005000201a5f6456b0000000049454e44ae426082"
)


def row(number: int, **changes: Any) -> Row:
    sample_id = f"{number:032x}"
    found = {"sample_id": sample_id, "crawl": "alpha", "shard": "00000", "key": f"{number:09d}", "url": f"http://demo.test/{number}.jpg"}
    found |= {
        "alt_text": f"text {number}",
        "concept": "cat",
        "curated_concept": None,
        "suggested_concept": "dog",
        "verdict": "wrong_concept",
    }
    found |= {"confidence": 0.5, "keep": False, "reason": "label_noise", "review_priority": 0.9, "reviewed": None, "pictured": True}
    return found | {"sha256": "0" * 64, "similarity": 0.5} | changes


class FakeDesk:
    """Keeps what was said in a list."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = {found["sample_id"]: found for found in rows}
        self.reviewer, self.concepts, self.states = "ada", ["cat", "dog", "emu"], ["all", "kept"]
        self.heard: list[tuple[str, str, str | None]] = []
        self.skipped: list[str] = []

    def samples(self, words: str, *, state: str, concept: str, limit: int) -> list[Row]:
        return [found for found in self.rows.values() if words in found["alt_text"] and (state == "all" or found["keep"])][:limit]

    def like_text(self, text: str, *, state: str, concept: str, limit: int) -> list[Row]:
        raise Refused("no index in data/index: run `dvc repro index` first", 503)

    def like_picture(self, data: bytes, *, limit: int) -> list[Row]:
        if data != PNG:
            raise Refused("that is no picture that can be read (not an image)")
        return list(self.rows.values())[:limit]

    def sample(self, sample_id: str) -> Row:
        if sample_id not in self.rows:
            raise Refused(f"the catalog has no sample {sample_id}", 404)
        return self.rows[sample_id]

    def pending(self, sample_id: str) -> Row | None:
        said = [one for one in self.heard if one[0] == sample_id]
        return {"verdict": said[-1][1], "concept": said[-1][2]} if said else None

    def about(self, sample_id: str) -> dict[str, Any]:
        story = [("Sample", [("url", self.rows[sample_id]["url"]), ("alt_text", self.rows[sample_id]["alt_text"])])]
        return {"story": story, "ways": ["label_noise: a lower target"], "copies": []}

    def ranked(self, sample_id: str) -> list[str]:
        return ["emu", "dog"]

    def neighbours(self, sample_id: str, *, limit: int) -> list[Row]:
        return [found for found in self.rows.values() if found["sample_id"] != sample_id][:limit]

    def picture(self, sample_id: str) -> tuple[bytes, str]:
        if not self.sample(sample_id)["pictured"]:
            raise Refused("this sample has no picture to show", 404)
        return PNG, "png"

    def views(self) -> list[tuple[str, str]]:
        return [("samples", "one row per sample")]

    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]], bool, float]:
        if "boom" in sql:
            raise Refused("Parser Error: no")
        return ["sample_id", "text"], [(found["sample_id"], found["alt_text"]) for found in self.rows.values()], True, 0.01

    def next_in_queue(self) -> Row | None:
        done = {one[0] for one in self.heard} | set(self.skipped)
        return next((found for name, found in self.rows.items() if name not in done and found["pictured"]), None)

    def n_waiting(self) -> int:
        return len(self.rows) - len(self.heard)

    def said(self) -> list[str]:
        return [one[0] for one in self.heard]

    def say(self, sample_id: str, verdict: str, concept: str | None) -> None:
        if verdict not in ("confirmed", "corrected", "dropped", "withdrawn"):
            raise Refused(f"verdict {verdict!r} is unknown")
        self.heard.append((sample_id, verdict, concept))

    def skip(self, sample_id: str) -> None:
        self.skipped.append(sample_id)
