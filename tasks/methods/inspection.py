"""Inspect downloads: the columns of an image's record, and what to store of it, out of what was fetched and what the manifest says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tasks.methods.decoding import Bounds, PictureError, decode
from tasks.methods.packing import Outcome
from tasks.methods.requests import Fetched
from tasks.methods.safety import Scorer, objection, promised_hashes, safety_of


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """How the images of a crawl are looked at. `blocked`: hashes; `forgotten`: SHA-256 of what may leave no trace; `scorer`: a plug-in
    that scores the safety of what is stored.
    """

    bounds: Bounds
    encoding: str
    quality: int
    blocked: Collection[str] = ()
    forgotten: Collection[str] = ()
    verify_hash: bool = False
    scorer: Scorer | None = None

    def outcome(self, fetched: Fetched, row: Mapping[str, Any]) -> Outcome:
        """What came of an image; `row` is the manifest's first row of it. Bytes that are refused, or give no picture, are a failure with
        their size and hash known. Raises ValueError for scores that are none.
        """
        if fetched.detail is not None:
            return Outcome({"status": "failed", "detail": fetched.detail})
        digest = sha256(fetched.body).hexdigest()
        if digest in self.forgotten:
            return Outcome({"status": "failed", "detail": "forgotten"})
        columns: dict[str, Any] = {"sha256": digest, "bytes": len(fetched.body)}
        promised = promised_hashes(row.get("extra")) if self.verify_hash else {}
        detail = objection(fetched.body, digest, promised=promised, blocked=self.blocked)
        if detail is not None:
            return Outcome({**columns, "status": "failed", "detail": detail})
        try:
            picture = decode(fetched.body, self.bounds, encoding=self.encoding, quality=self.quality)
        except PictureError as error:
            return Outcome({**columns, "status": "failed", "detail": error.detail})
        columns |= {"status": "ok", "format": picture.format, "width": picture.width, "height": picture.height}
        columns |= {"original_width": picture.original_width, "original_height": picture.original_height}
        columns |= {"phash": picture.phash, "phash_mirrored": picture.phash_mirrored, "thumbnail": picture.thumbnail}
        columns["safety"] = safety_of(self.scorer, picture.data, row) if self.scorer is not None else None
        return Outcome(columns, picture.extension, picture.data)
