"""Hold gates: figures of a version to be published against limits, and against the version before it; each refusal is a sentence.

A figure's name is the path of its file under reports/metrics and of its key, with dots: `curate.kept`, `validate.demo-1.n_valid`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tasks.core.errors import ParamsError
from tasks.core.params import Params

METRICS = Path("reports/metrics")
NEW = "{crawl}"  # in a figure's name: each crawl that the published version does not have
MIX = "change.concept_mix"  # is no metric of a stage: it compares with the version before
Share = Annotated[float, Field(ge=0)]


class Gate(Params):
    """The limits of one figure; a limit that isn't named doesn't bound it. `means` says what the figure is and what to look at."""

    figure: Annotated[str, Field(min_length=1)]
    means: Annotated[str, Field(min_length=1)]
    at_least: float | None = None
    at_most: float | None = None
    may_fall: Share | None = None
    may_grow: Share | None = None


class PublishParams(Params):
    """What a version has to hold to be published."""

    gates: list[Gate]


def refusals(figures: Mapping[str, float], before: Mapping[str, float], gates: Sequence[Gate], new_crawls: Sequence[str] = ()) -> list[str]:
    """A sentence for every limit that does not hold; none if the version may be published.

    `may_fall` and `may_grow` are shares of the figure of the version before (0.2: by a fifth), and hold where it has that figure.
    Gates on new crawls, or on what changed, hold where there is a version before. Raises ParamsError for a figure that no metrics file has.
    """
    return [sentence for gate in gates for name in names_of(gate, new_crawls) for sentence in broken(gate, name, figures, before)]


def names_of(gate: Gate, new_crawls: Sequence[str]) -> list[str]:
    """The figures that a gate looks at."""
    return [gate.figure.replace(NEW, crawl) for crawl in new_crawls] if NEW in gate.figure else [gate.figure]


def broken(gate: Gate, name: str, figures: Mapping[str, float], before: Mapping[str, float]) -> Iterator[str]:
    """The limits of one figure that do not hold."""
    if not before and (name == MIX or NEW in gate.figure):
        return  # there is nothing that a first version could differ from
    if name not in figures and NEW in gate.figure:
        yield f"{name} is missing: the crawl has no row that counts for it ({gate.means})"
        return
    if name not in figures:
        raise ParamsError(
            f"params.yaml: publish.gates looks at '{name}', which no file in {METRICS} has (such as: {', '.join(near(name, figures))})"
        )
    value, old = figures[name], before.get(name)
    if gate.at_least is not None and not value >= gate.at_least:
        yield f"{name} is {number(value)}, and must be {number(gate.at_least)} or more ({gate.means})"
    if gate.at_most is not None and not value <= gate.at_most:
        yield f"{name} is {number(value)}, and must be {number(gate.at_most)} or less ({gate.means})"
    if old is None:
        return
    if gate.may_fall is not None and not value >= old - gate.may_fall * abs(old):
        yield f"{name} fell from {number(old)} to {number(value)}, by {change(value, old)}; {gate.may_fall:.0%} is allowed ({gate.means})"
    if gate.may_grow is not None and not value <= old + gate.may_grow * abs(old):
        yield f"{name} grew from {number(old)} to {number(value)}, by {change(value, old)}; {gate.may_grow:.0%} is allowed ({gate.means})"


def change(value: float, old: float) -> str:
    """How far a figure moved, as a share of what it was."""
    return f"{abs(value - old) / abs(old):.0%}" if old else "more than can be told as a share"


def number(value: float) -> str:
    """A figure for a person: counts in full, all else with four digits."""
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def near(name: str, figures: Mapping[str, float]) -> list[str]:
    """Figures of the same file, or any."""
    same = [found for found in figures if found.partition(".")[0] == name.partition(".")[0]]
    return sorted(same or figures)[:5]


def figures_of(files: Mapping[str, str]) -> dict[str, float]:
    """Every number of the metrics files, given by their paths below reports/metrics, under its dotted name."""
    found: dict[str, float] = {}
    for path, text in sorted(files.items()):
        found |= flat(json.loads(text), ".".join(Path(path).with_suffix("").parts))
    return found


def flat(value: Any, name: str) -> dict[str, float]:
    """The numbers in nested mappings; lists, texts and truths are left out."""
    if isinstance(value, Mapping):
        return {key: number for inner, part in value.items() for key, number in flat(part, f"{name}.{inner}").items()}
    return {name: float(value)} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def concept_mix(new: Mapping[str, float], old: Mapping[str, float], prefix: str = "curate.concepts.") -> float:
    """Total variation distance, in [0, 1], between the shares of the kept rows' concepts: 0 = the same mix, 1 = no concept in common."""
    mixes = [{name: value for name, value in figures.items() if name.startswith(prefix)} for figures in (new, old)]
    totals = [sum(mix.values()) for mix in mixes]
    if not all(totals):
        return float(totals[0] != totals[1])
    return sum(abs(mixes[0].get(name, 0) / totals[0] - mixes[1].get(name, 0) / totals[1]) for name in {*mixes[0], *mixes[1]}) / 2
