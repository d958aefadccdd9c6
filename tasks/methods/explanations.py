"""Tell what would change a decision: for every reason against a sample, the value or the verdict that would lift it."""

from collections.abc import Mapping
from typing import Any

from tasks.methods.reasons import Reason

LIFTS = {
    Reason.FORGOTTEN: "nothing: it was forgotten on request and stays so",
    Reason.UNREACHABLE: "its address would have to answer when it is fetched again",
    Reason.TIMEOUT: "its server would have to answer in time when it is fetched again",
    Reason.DISALLOWED: "its site would have to allow crawling (robots.txt, noai)",
    Reason.BLOCKED: "nothing, unless the crawl allows its host (`--allow-host`): the address leads into a private network",
    Reason.TOO_LARGE: "a larger ingest.max_bytes or ingest.max_pixels when it is fetched again",
    Reason.BROKEN: "its address would have to give a whole picture when it is fetched again",
    Reason.LEAK: "nothing while the clean test sets hold this picture: it would spoil the evaluation",
    Reason.REJECTED: "another verdict in `sluice explore`: a person dropped it",
    Reason.PRUNED: "a larger curate.max_imbalance, or a verdict that confirms it in `sluice explore`",
}
VERDICT = "or a verdict that confirms or corrects it in `sluice explore`"
Row = Mapping[str, Any]


def ways(sample: Row, *, threshold: float | None, target: float | None, min_text_score: float, validation: Row) -> list[str]:
    """One sentence per reason against a sample, or what would drop a kept one.

    `threshold` is the confidence from which rows are kept, None if it isn't known; `target` the target_purity that would move it to this
    row's confidence. `validation` holds min_side and max_aspect_ratio.
    """
    if sample["keep"]:
        return _against(sample, threshold=threshold, target=target)
    found = []
    for name in sample["reasons"]:
        reason = Reason(name)
        if reason == Reason.DUPLICATE:
            other = sample["duplicate_of"]
            found.append(
                f"{name}: it is a copy of {other}, which is kept in its place" if other else f"{name}: it is a copy of another row"
            )
        elif reason in (Reason.OUT_OF_DISTRIBUTION, Reason.LABEL_NOISE):
            found.append(f"{name}: {_doubt(sample, threshold=threshold, target=target)}")
        elif reason == Reason.MISMATCHED_TEXT:
            found.append(f"{name}: curate.min_text_score of at most {sample['text_score']:.4g} (now {min_text_score:g}), {VERDICT}")
        elif reason in (Reason.TOO_SMALL, Reason.INVALID):
            found.append(f"{name}: {_size(sample, reason, validation)}")
        else:
            found.append(f"{name}: {LIFTS[reason]}")
    return found


def _against(sample: Row, *, threshold: float | None, target: float | None) -> list[str]:
    if sample["reviewed"]:
        return ["a person settled it: another verdict in `sluice explore`"]
    confidence, limit = sample["confidence"], _at(threshold)
    higher = f"; a curate.target_purity above {target:.4f} would" if target is not None and target < 1 else ""
    return [f"a threshold above its confidence of {confidence:.4f}{limit}{higher} drop it", "a verdict that drops it in `sluice explore`"]


def _doubt(sample: Row, *, threshold: float | None, target: float | None) -> str:
    lower = f"curate.target_purity of at most {target:.4f}" if target is not None else "a lower curate.target_purity"
    return f"{lower}, for its confidence is {sample['confidence']:.4f}{_at(threshold)}, {VERDICT}"


def _at(threshold: float | None) -> str:
    return f" (rows are kept from {threshold:.4f} on)" if threshold is not None else ""


def _size(sample: Row, reason: Reason, validation: Row) -> str:
    width, height = sample["original_width"], sample["original_height"]
    if not width or not height:
        return "its record would have to give a size"
    shorter, longer = sorted((width, height))
    if reason == Reason.TOO_SMALL:
        return f"validate.min_side of at most {shorter} (now {validation['min_side']})"
    ratio = longer / shorter
    if ratio > validation["max_aspect_ratio"]:
        return f"validate.max_aspect_ratio of at least {ratio:.3g} (now {validation['max_aspect_ratio']:g})"
    return "the stages before would have to give it scores: it passed the door and none came"
