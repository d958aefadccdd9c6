"""Verify: hash everything anew, check every table against its contract, look for what is missing and for what belongs to nobody.

`--repair` restores what differs from DVC's cache, and damaged objects of the cache from the remote.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.commands.crawl import dvc
from tasks.commands.forget import workspace_alone
from tasks.commands.output import write_line, write_table
from tasks.commands.tables import find_table
from tasks.core.errors import ContractError, CrawlError, ShardError, SluiceError, WiringError
from tasks.core.files import write_atomically
from tasks.core.graph import StageEntry, read_graph
from tasks.core.inventory import Fault, changed_files, md5_of, strays, tracked_outs
from tasks.core.params import crawl_names, read_params
from tasks.core.snapshots import READ_ONLY, cache_of

SHOWN = 50
Graph = Mapping[str, StageEntry]


class NotWhole(SluiceError):
    """The workspace is not what DVC and the contracts say."""


def run(arguments: argparse.Namespace) -> None:
    """Say what is wrong; with --repair, mend first what can be. Raises NotWhole if anything is left."""
    with workspace_alone():
        faults = find_faults()
        if faults and arguments.repair:
            n_before = len(faults)
            complaints = repair(faults)
            faults = find_faults()
            write_line(f"mended {n_before - len(faults)} of {n_before} faults")
            for complaint in complaints:
                write_line(complaint)
    if not faults:
        return write_line(f"whole: {len(tracked_outs()):,} outs hashed, every table checked against its contract")
    write_table(("path", "fault", "way out"), [(fault.path, fault.what, fault.way_out) for fault in faults[:SHOWN]])
    more = f", of which {SHOWN} are shown" if len(faults) > SHOWN else ""
    raise NotWhole(f"{len(faults)} faults{more}: see the way out of each")


def find_faults() -> list[Fault]:
    """Every fault of the workspace; a file that differs is not looked into again."""
    graph, values, cache = read_graph(), read_params(), cache_of(Path())
    crawls = crawl_names(values)
    faults = list(changed_files(tracked_outs(), cache, graph))
    known = {fault.path for fault in faults}
    faults += [fault for fault in table_faults(graph, crawls) if fault.path not in known]
    faults += [fault for fault in missing_shards(graph, crawls, values) if fault.path not in known]
    return [*faults, *strays(graph, crawls)]


def table_names(graph: Graph) -> list[str]:
    """The tables that stages make."""
    names = dict.fromkeys(out.name for stage in graph.values() for out in stage.outs)
    found = []
    for name in names:
        with suppress(WiringError):
            if find_table(name, graph, []) is not None:
                found.append(name)
    return found


def table_faults(graph: Graph, crawls: list[str]) -> Iterator[Fault]:
    """Shards that can't be read, or are not what the contract says."""
    for table in filter(None, (find_table(name, graph, crawls) for name in table_names(graph))):
        for shard in table.shards():
            path = str(table.path(shard))
            try:
                table.contract.check(table.read(shard), path)
            except (ContractError, ShardError) as error:
                yield Fault(path, " ".join(str(error).split()), "run its stage again: `dvc repro --force --single-item STAGE`")


def missing_shards(graph: Graph, crawls: list[str], values: Mapping[str, Any]) -> Iterator[Fault]:
    """Tars and shards of tables that a crawl's records speak of and that are not there."""
    records = find_table("records", graph, crawls)
    outs = [out for stage in graph.values() if stage.placeholders() == ["item"] for out in stage.outs]
    for shard in records.shards() if records is not None else ():
        for out in outs:
            ending = ".tar" if out.name == "images" else ".parquet" if out.name in table_names(graph) else None
            folder = out.path({**values, "item": shard.crawl})
            if ending and folder.is_dir() and not (folder / f"{shard.name}{ending}").exists():
                yield Fault(f"{folder}/{shard.name}{ending}", "missing: the crawl's records have this shard", "run `dvc repro` again")


def repair(faults: list[Fault]) -> list[str]:
    """Make damaged objects of the cache good, then check out what differs. What could not be had, in sentences."""
    lost = {fault.out for fault in faults for path in fault.objects if fault.out and not restored(path, Path(fault.path))}
    complaints = []
    for out in sorted({fault.out for fault in faults if fault.out}):
        for fault in faults:
            if fault.out == out and Path(fault.path).is_file():
                Path(fault.path).unlink()  # DVC knows a file by size and time, and would leave one that rotted in place
        try:
            if out in lost:
                dvc("fetch", out)
            dvc("checkout", "--force", out)
        except CrawlError as error:
            complaints.append(f"{out} can't be restored ({error}): make it again with `dvc repro --force` of its stage")
    return complaints


def restored(stored: Path, file: Path) -> bool:
    """Put an object of the cache in place again from the workspace's own file, if that is whole; else it is deleted."""
    name = stored.parent.name + stored.name
    stored.unlink(missing_ok=True)
    if not file.is_file() or md5_of(file) != name:
        return False
    with write_atomically(stored) as temporary:
        shutil.copyfile(file, temporary)
    stored.chmod(READ_ONLY)
    return True
