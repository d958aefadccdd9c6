"""Seal: merge old crawls into few entries of the graph, so that a year of nightly crawls costs DVC no more than a handful; or open them.

Nothing is moved, made or fetched: only params.yaml, dvc.lock and the entries in `sealed` change. A killed run is ended by the next one.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.commands.crawl import folder_of
from tasks.commands.forget import workspace_alone
from tasks.commands.output import write_line
from tasks.commands.params_file import move_names
from tasks.core.files import write_atomically
from tasks.core.graph import Entry, StageEntry, read_graph
from tasks.core.params import crawl_names, read_params, sealed_names
from tasks.core.sealed import ENTRIES, LOCK, SealError, entries
from tasks.core.stage import ALL_CRAWLS

PARAMS_KEY = "params.yaml"
PER_ENTRY = 10  # crawls: DVC compares every path of an entry with every other one when it locks them
Yaml = dict[str, Any]


def run(arguments: argparse.Namespace) -> None:
    """`sluice crawl seal` or `unseal`."""
    with workspace_alone():
        if arguments.action == "seal":
            seal(arguments.names, arguments.keep)
        else:
            unseal(arguments.names, everything=arguments.all)


def seal(names: Sequence[str], keep: int | None) -> None:
    """Seal the oldest open crawls: those named, or all but the latest `keep`. Raises SealError for crawls that can't be."""
    values = read_params()
    settle(values)
    chosen = chosen_names(names, keep, values)
    if not chosen:
        return write_line("nothing to seal")
    check_sealable(chosen, values)
    move_names(chosen, source="crawls", target="sealed", place=len(sealed_names(values)))
    settle(read_params())
    write_line(f"sealed {len(chosen)} crawls, {chosen[0]} to {chosen[-1]}: `dvc repro` has nothing to do for them any more")
    return write_line(f"next: commit params.yaml, dvc.lock and {ENTRIES} with git, and `dvc push` where there is a remote")


def unseal(names: Sequence[str], *, everything: bool) -> None:
    """Open the latest sealed crawls again. Their stages run once more, and find their shards done. Raises SealError for others."""
    values = read_params()
    settle(values)
    there = sealed_names(values)
    chosen = there if everything else [name for name in there if name in names]
    for name in names:
        if name not in there:
            raise SealError(f"crawl '{name}' is not sealed (sealed: {', '.join(there) or 'none'})")
    if chosen != there[len(there) - len(chosen) :]:
        raise SealError(f"the order of arrival has to stay: open the latest sealed crawls, {', '.join(there[there.index(chosen[0]) :])}")
    if not chosen:
        return write_line("nothing to open")
    restore_folders(chosen, values)
    move_names(chosen, source="sealed", target="crawls", place=0)
    release(chosen)
    update_lists(LOCK, read_params())
    return write_line(f"opened {len(chosen)} crawls: `dvc repro` looks at their stages again, and fetches and embeds nothing that is there")


def chosen_names(names: Sequence[str], keep: int | None, values: Mapping[str, Any]) -> list[str]:
    """The crawls to seal, oldest first. Raises SealError unless they are the oldest open ones."""
    open_names = crawl_names(values)[len(sealed_names(values)) :]
    if (keep is None) == (not names):
        raise SealError("say which crawls to seal: their names, or --keep N for all but the latest N")
    if keep is not None:
        if keep < 0:
            raise SealError(f"--keep {keep}: it must be 0 or more")
        return open_names[: max(len(open_names) - keep, 0)]
    for name in names:
        if name not in open_names:
            raise SealError(f"there is no open crawl '{name}' (open: {', '.join(open_names) or 'none'})")
    chosen = open_names[: len(set(names))]
    if set(chosen) != set(names):
        raise SealError(f"the order of arrival has to stay: seal the oldest open crawls, {', '.join(chosen)}")
    return chosen


def check_sealable(names: Sequence[str], values: Mapping[str, Any]) -> None:
    """Raise SealError for demos, and for crawls that DVC would make again: what is sealed has to be whole."""
    from dvc.repo import Repo

    for name in names:
        if name in (values.get("demos") or []):
            raise SealError(f"crawl '{name}' is a demo, which `generate` makes: take it out of `demos` in params.yaml first")
    locked = (load(LOCK).get("stages") or {}) if LOCK.exists() else {}
    addresses = [f"{stage.name}@{name}" for name in names for stage in own_stages()]
    missing = [address for address in addresses if address not in locked]
    if missing:
        raise SealError(f"{missing[0]} was never made: run `dvc repro` first")
    with Repo() as repo:  # of the whole graph: DVC walks through it anew for every target
        changed = sorted(set(repo.status()) & set(addresses))
    if changed:
        raise SealError(f"{', '.join(changed[:3])} would be made again: run `dvc repro` first, so that what is sealed is whole")


def settle(values: Mapping[str, Any]) -> None:
    """Bring the entry and dvc.lock in line with the names under `sealed`; what is in line already stays as it is."""
    names = sealed_names(values)
    if not LOCK.exists() or not names:
        return
    lock = load(LOCK)
    stages = lock.get("stages") or {}
    moving = {address: stages[address] for name in names for stage in own_stages() if (address := f"{stage.name}@{name}") in stages}
    if moving:
        fresh = [*tracked_folders(names, values), *(out for stage in moving.values() for out in stage["outs"])]
        take(names, fresh, meta={"deps": shared_deps(moving), "params": shared_params(moving)})
        for name in names:
            folder_of(name, values).with_suffix(".dvc").unlink(missing_ok=True)
        lock["stages"] = {address: stage for address, stage in stages.items() if address not in moving}
        save(LOCK, lock)
    update_lists(LOCK, values)


def take(names: Sequence[str], outs: Sequence[Yaml], *, meta: Yaml) -> None:
    """Write the outs of crawls that are in no entry yet into the last entries, PER_ENTRY crawls in each."""
    contents = {path: load(path) for path in entries()}
    held = {out["path"] for content in contents.values() for out in content["outs"]}
    for name in names:
        own = sorted((out for out in outs if crawl_of(out) == name and out["path"] not in held), key=lambda out: str(out["path"]))
        if not own:
            continue
        last = max(contents, default=None)
        crawls = {crawl_of(out) for out in contents[last]["outs"]} if last else set()
        if last is None or len(crawls | {name}) > PER_ENTRY:
            last = ENTRIES / f"{int(last.stem) + 1 if last else 0:04d}.dvc"
            contents[last] = {"wdir": Path(*[".."] * len(ENTRIES.parts)).as_posix(), "outs": []}
        contents[last]["outs"] = [*contents[last]["outs"], *own]
    for path, content in contents.items():
        held_crawls = list(dict.fromkeys(crawl_of(out) for out in content["outs"]))
        save(path, content | {"desc": f"Sealed crawls: {held_crawls[0]} to {held_crawls[-1]}", "meta": meta})


def crawl_of(out: Yaml) -> str:
    """The crawl whose path this is: data/records/NAME, reports/metrics/embed/NAME.json."""
    return Path(out["path"]).name.partition(".")[0]


def own_stages() -> list[StageEntry]:
    """The stages that run once per crawl, but for the one that makes demos."""
    return [stage for stage in read_graph().values() if set(stage.placeholders()) == {"item"} and any(found.bound for found in stage.data)]


def tracked_folders(names: Sequence[str], values: Mapping[str, Any]) -> Iterator[Yaml]:
    """What the crawls' own .dvc files track, with paths from the top."""
    for name in names:
        file = folder_of(name, values).with_suffix(".dvc")
        if file.exists():
            for out in load(file)["outs"]:
                yield {**out, "path": (file.parent / out["path"]).as_posix()}


def restore_folders(names: Sequence[str], values: Mapping[str, Any]) -> None:
    """Write the .dvc files anew that crawls' folders had before they were sealed."""
    outs = {out["path"]: out for path in entries() for out in load(path)["outs"]}
    for name in names:
        folder = folder_of(name, values)
        if folder.as_posix() in outs:
            save(folder.with_suffix(".dvc"), {"outs": [{**outs[folder.as_posix()], "path": folder.name}]})


def release(names: Sequence[str]) -> None:
    """Take what belongs to the crawls out of the entries; an empty entry goes."""
    for path in entries():
        entry = load(path)
        kept = [out for out in entry["outs"] if crawl_of(out) not in names]
        if not kept:
            path.unlink()
        elif len(kept) < len(entry["outs"]):
            save(path, entry | {"outs": kept})


def shared_deps(stages: Mapping[str, Yaml]) -> dict[str, str]:
    """The md5 of what the crawls' stages read that belongs to no crawl and is no code. Raises SealError if they read different states."""
    wanted = {entry.template for stage in own_stages() for entry in stage.data if is_shared(entry)}
    found = [(dep["path"], dep["md5"]) for stage in stages.values() for dep in stage.get("deps", ()) if dep["path"] in wanted]
    if len(set(found)) > len({path for path, _ in found}):
        raise SealError("the crawls were made from different states of an input: run `dvc repro` first")
    return {str(path): str(md5) for path, md5 in sorted(set(found))}


def is_shared(entry: Entry) -> bool:
    """Whether a path is the same for every crawl."""
    return "${" not in entry.template


def shared_params(stages: Mapping[str, Yaml]) -> Yaml:
    """The params that the crawls' stages were run with, by section."""
    return {name: value for stage in stages.values() for name, value in ((stage.get("params") or {}).get(PARAMS_KEY) or {}).items()}


def update_lists(path: Path, values: Mapping[str, Any]) -> None:
    """Note the lists of crawls as they are now where a stage was last run with the same crawls: to seal them changes no result."""
    lock = load(path)
    changed = False
    for stage in (lock.get("stages") or {}).values():
        params = (stage.get("params") or {}).get(PARAMS_KEY) or {}
        now = {key: list(values.get(key) or []) for key in ALL_CRAWLS}
        before = [*(params.get("sealed") or []), *(params.get("crawls") or [])]
        if "crawls" in params and before == crawl_names(values) and any(params.get(key) != now[key] for key in ALL_CRAWLS):
            params.update(now)
            changed = True
    if changed:
        save(path, lock)


def load(path: Path) -> Yaml:
    """A file of DVC's, read as DVC reads it."""
    from dvc.utils.serialize import load_yaml

    return dict(load_yaml(str(path)) or {})


def save(path: Path, content: Yaml) -> None:
    """Write such a file as DVC writes it, in one step."""
    from dvc.utils.serialize import dump_yaml

    with write_atomically(path) as temporary:
        dump_yaml(str(temporary), content)
