"""Run a stage: bind its arguments by name to its entry in dvc.yaml, call it, write its metrics.

A stage's signature is its declaration. `main` refuses to start when signature and dvc.yaml disagree.
"""

import errno
import importlib
import inspect
import logging
import os
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from tasks.core.arrow import spare_pandas
from tasks.core.errors import SluiceError, WiringError
from tasks.core.files import write_atomically
from tasks.core.graph import Entry, StageEntry, read_graph
from tasks.core.lineage import record_run
from tasks.core.names import check_crawl_name
from tasks.core.params import Params, SharedParams, crawl_names, read_params, section
from tasks.core.processes import die_with_parent
from tasks.core.sealed import check_seal
from tasks.core.settings import Settings, prepare_environment, read_settings
from tasks.core.shards import ShardPool, make_pool
from tasks.core.tables import Artifact, Contract, Sink, Source, to_json

Metrics = dict[str, Any]
Stage = Callable[..., Metrics]
ITEM_ARGUMENTS = {"item": "crawl"}  # ${item.arm} becomes `arm`
ALL_CRAWLS = ("crawls", "sealed")  # the lists of params.yaml that together name every crawl
LISTS = ("arms", "seeds")  # top-level lists of params.yaml that a stage may ask for by name, as for `crawls`
log = logging.getLogger(__name__)


def main(stage: Stage) -> None:
    """Run `stage` as dvc.yaml says, with the items given on the command line; ends with 1 on a SluiceError, with 75 on a full disk."""
    die_with_parent()
    prepare_environment()
    spare_pandas()
    configure_logging()
    name = stage.__name__.rstrip("_")
    try:
        run(importable(stage), name, sys.argv[1:])
    except (SluiceError, ValueError, FileNotFoundError, tarfile.TarError) as error:
        log.debug("", exc_info=True)  # methods raise ValueError for input that they can't take; SLUICE_LOG=DEBUG shows where
        fail(f"{name}: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" ({error.filename})" if error.filename else ""
        fail(f"{name}: no space left on the disk{place}: free some and run `dvc repro` again, it resumes", os.EX_TEMPFAIL)


def importable(stage: Stage) -> Stage:
    """The stage out of its own module, not out of `__main__`: Ray would send what lies there by value.

    What is cached beside it, such as an encoder, would then be loaded for every shard.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if stage.__module__ != "__main__" or spec is None:
        return stage
    found: Stage = getattr(importlib.import_module(spec.name), stage.__name__)
    return found


def run(stage: Stage, name: str, words: Sequence[str]) -> None:
    """Bind, call, write metrics; the run is recorded in the lineage."""
    graph = read_graph()
    if name not in graph:
        raise WiringError(f"stage '{name}' is not in dvc.yaml (there are: {', '.join(graph)})")
    entry, values, settings = graph[name], read_params(), read_settings()
    items = _items(entry, words)
    check_seal(entry, values)
    arguments = bind(stage, entry, values, items, settings)
    with record_run(name, "-".join(items.values()), settings) as record:
        metrics = stage(**arguments)
        record["metrics"] = metrics
    for target in entry.metrics:
        with write_atomically(target.path({**values, **items})) as path:
            path.write_text(to_json(metrics))


def bind(stage: Stage, entry: StageEntry, values: Mapping[str, Any], items: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """The stage's arguments by name. Raises WiringError where signature and dvc.yaml disagree."""
    check_wiring(stage, entry)
    crawls = crawl_names(values)
    named = {ITEM_ARGUMENTS.get(key, key.removeprefix("item.")): value for key, value in items.items()}
    paths = {found.name: found for found in (*entry.data, *entry.outs)}
    lists = {name: values[name] for name in LISTS if name in values}
    fixed: dict[str, Any] = {"crawls": crawls, "settings": settings, **lists, **named}
    arguments: dict[str, Any] = {}
    for argument, kind in annotations(stage).items():
        if argument in paths and argument not in named:
            arguments[argument] = _bind_path(argument, kind, paths[argument], {**values, **items}, crawls)
        elif argument in fixed:
            arguments[argument] = fixed[argument]
        elif kind is ShardPool:
            arguments[argument] = make_pool(settings)
        else:
            arguments[argument] = section(kind, "shared" if kind is SharedParams else entry.name, values)
    return arguments


def check_wiring(stage: Stage, entry: StageEntry) -> None:
    """Raise WiringError unless the signature's tables, artefacts and params are dvc.yaml's, no more and no less."""
    where = f"stage '{entry.name}'"
    kinds = annotations(stage)
    deps, outs = {found.name for found in entry.data}, {found.name for found in entry.outs}
    for argument, kind in kinds.items():
        allowed = {Source: deps, Sink: outs, Artifact: deps | outs}.get(kind)
        if allowed is not None and argument not in allowed:
            side = "outs" if kind is Sink else "deps" if kind is Source else "deps or outs"
            raise WiringError(f"{where} takes '{argument}' as {kind.__name__}, but dvc.yaml has nothing of that name under {side}")
    unknown = (deps | outs) - {argument for argument, kind in kinds.items() if kind in (Source, Sink, Artifact)}
    if unknown:
        raise WiringError(f"{where}: dvc.yaml lists {', '.join(sorted(unknown))}, but the function takes no such argument")
    wanted = expected_params(stage, entry)
    if set(entry.params) != wanted:
        raise WiringError(f"{where}: dvc.yaml says params: {sorted(entry.params)}, the signature needs {sorted(wanted)}")


def expected_params(stage: Stage, entry: StageEntry) -> set[str]:
    """The params sections that a signature stands for; tables over all crawls need the lists of crawls too."""
    kinds = annotations(stage)
    sections = {"shared" if kind is SharedParams else entry.name for kind in kinds.values() if issubclass(kind, Params)}
    bound = {found.name for found in (*entry.data, *entry.outs) if found.bound}
    over_all = any(kind in (Source, Sink) and name not in bound and contract_of(name).partitioned for name, kind in kinds.items())
    listed = {name for name in LISTS if name in kinds}
    return sections | listed | (set(ALL_CRAWLS) if over_all or kinds.get("crawls", Artifact) is not Artifact else set())


def annotations(stage: Stage) -> dict[str, type]:
    """Argument names and types of a stage function."""
    return {name: _plain(found.annotation) for name, found in inspect.signature(stage, eval_str=True).parameters.items()}


def contract_of(name: str) -> Contract:
    """The contract of the table that an argument of this name is bound to."""
    try:
        contract: Contract = importlib.import_module(f"tasks.contracts.{name}").CONTRACT
    except ModuleNotFoundError:
        raise WiringError(f"table '{name}' has no contract: add tasks/contracts/{name}.py") from None
    return contract


def configure_logging() -> None:
    """One format for all stages, on standard error."""
    level = os.environ.get("SLUICE_LOG", "INFO").upper()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for name in ("tasks", "flows"):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("__main__").setLevel(level)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the process with one line."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    raise SystemExit(code)


def _bind_path(name: str, kind: type, entry: Entry, values: Mapping[str, Any], crawls: list[str]) -> Any:
    path = entry.path(values)
    if kind is Artifact:
        return Artifact(path)
    crawl = path.name if entry.bound else None
    return kind(contract=contract_of(name), root=path, crawls=crawls, per_crawl=_made_per_crawl(name), bound_crawl=crawl)


def _made_per_crawl(name: str) -> bool:
    """Whether the stage that makes this table runs once per crawl."""
    return any(out.name == name and out.bound for entry in read_graph().values() for out in entry.outs)


def _items(entry: StageEntry, words: Sequence[str]) -> dict[str, str]:
    names = entry.placeholders()
    if len(names) != len(words):
        raise WiringError(f"stage '{entry.name}' needs {len(names)} arguments ({', '.join(names) or 'none'}), got {list(words)}")
    return {name: check_crawl_name(word) for name, word in zip(names, words, strict=True)}


def _plain(annotation: Any) -> type:
    return annotation if isinstance(annotation, type) else type(annotation)
