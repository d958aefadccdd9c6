"""Crawl: take a manifest in as a new crawl, take a crawl out, list what there is."""

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands import carried
from tasks.commands.known import known_images
from tasks.commands.output import write_line, write_table
from tasks.commands.params_file import append_name, remove_name
from tasks.core.concepts import load_concepts
from tasks.core.crawls import CrawlSettings, read_manifest, write_crawl
from tasks.core.errors import CrawlError, ParamsError
from tasks.core.graph import PLACEHOLDER, Entry, fill, read_graph
from tasks.core.lineage import FETCHES
from tasks.core.names import check_crawl_name
from tasks.core.params import crawl_names, read_params, sealed_names, section
from tasks.methods import manifests
from tasks.methods.packed_web import Pile
from tasks.methods.safety import read_block_list
from tasks.methods.sources import recognise

STAGE = "ingest"  # the stage that a crawl's folder is made for; its section holds the settings to freeze


def run(arguments: argparse.Namespace) -> None:
    """`sluice crawl` and what to do."""
    if arguments.action == "add":
        overrides = {"allow_hosts": arguments.allow_host, "connect": connections(arguments.connect)}
        columns = pairs_of("--columns", [pair for text in arguments.columns for pair in text.split(",")])
        add(arguments.name, arguments.manifest, limit=arguments.limit, columns=columns, overrides=overrides)
    elif arguments.action == "remove":
        remove(arguments.name, purge=arguments.purge)
    elif arguments.action in ("retry", "refetch"):
        from tasks.commands import again

        again.run(arguments)
    elif arguments.action in ("seal", "unseal"):
        from tasks.commands import seal

        seal.run(arguments)
    elif arguments.action == "extract":
        from tasks.commands import extract

        extract.run(arguments)
    else:
        show()


def add(name: str, manifest: Path, *, limit: int | None, columns: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
    """Freeze manifest and settings in the crawl's folder, track it, append it to `crawls`; all of it or nothing."""
    values = read_params()
    folder = folder_of(name, values)
    if name in crawl_names(values):
        raise CrawlError(f"crawl '{name}' is in params.yaml already: pick another name, or remove it first")
    if folder.exists():
        raise CrawlError(
            f"{folder} is there already: append '{name}' to `crawls` in params.yaml to use it as it is, "
            f"or delete it with `sluice crawl remove {name} --purge`"
        )
    if limit is not None and limit < 1:
        raise CrawlError(f"--limit {limit} takes no row: it must be 1 or more")
    settings = crawl_settings(values, overrides)
    with undone_on_failure(folder), Pile(Path.cwd()) as pile:
        table, settings, web, n_repeated = rows_of(manifest, columns, limit, settings, pile)
        check_concepts(table, values)
        known = known_images(table["image_id"], crawl_names(values), values, settings, timedelta(days=settings.max_age_days))
        write_crawl(folder, table, settings, web, known, blocked_by(settings))
        dvc("add", str(folder))
        append_name("crawls", name)
    n_images = pc.count_distinct(table["image_id"]).as_py()
    write_line(f"added crawl '{name}': {table.num_rows:,} rows ({n_repeated:,} repeated ones left out), {n_images:,} images")
    write_line("next: `sluice plan` to see what it costs, `dvc repro` to do it")


def rows_of(
    source: Path, columns: Mapping[str, str], limit: int | None, settings: CrawlSettings, pile: Pile
) -> tuple[pa.Table, CrawlSettings, Iterable[pa.Table] | None, int]:
    """The source's distinct rows with their ids, the settings and the packed web that belong to them, and how many repeated ones were
    left out. Images that come with the source are put into `pile`.
    """
    web = None
    try:
        kind = recognise(source)
        if kind == "manifest":
            rows = manifests.read_manifest(source, columns=columns, limit=limit)
        else:
            rows, numbers = carried.take_in(source, kind, pile, limit=limit, max_bytes=settings.max_bytes)
            settings, web = carried.settings_of(settings), carried.web_of(pile, numbers)
    except ValueError as error:
        raise CrawlError(str(error)) from None
    table, n_repeated = manifests.distinct(rows)
    urls, texts, concepts = (table[key].to_pylist() for key in ("url", "alt_text", "concept"))
    table = table.append_column("sample_id", pa.array(manifests.sample_ids(urls, texts, concepts)))
    return table.append_column("image_id", pa.array(manifests.image_ids(urls))), settings, web, n_repeated


def crawl_settings(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> CrawlSettings:
    """The `ingest` section with a crawl's own hosts added. Raises ParamsError that names a wrong key."""
    settings = section(CrawlSettings, STAGE, values)
    hosts = sorted({*settings.allow_hosts, *overrides["allow_hosts"]})
    return settings.model_copy(update={"allow_hosts": hosts, "connect": {**settings.connect, **overrides["connect"]}})


def blocked_by(settings: CrawlSettings) -> list[str]:
    """The entries of the settings' block lists. Raises CrawlError for a file or a line that can't be read."""
    entries: set[str] = set()
    for name in settings.block_lists:
        try:
            entries.update(read_block_list(Path(name).read_text().splitlines(), name))
        except (OSError, ValueError) as error:
            raise CrawlError(f"block list: {error}") from None
    return sorted(entries)


def check_concepts(table: pa.Table, values: Mapping[str, Any]) -> None:
    """Raise CrawlError for a concept that no concept file defines."""
    given = Counter(concept for concept in table["concept"].to_pylist() if concept is not None)
    if not given:
        return
    folder = concepts_folder(values)
    known = [concept.name for concept in load_concepts(folder)]
    unknown = [f"'{concept}' ({n_rows} rows)" for concept, n_rows in given.most_common() if concept not in known]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise CrawlError(
            f"the manifest names concepts that no file in {folder} defines: {', '.join(unknown[:3])}{more}; "
            f"known: {', '.join(known[:20])}; add them to {folder}/mine.yaml as `- {{name: ..., definition: ...}}` under `concepts:`"
        )


def remove(name: str, *, purge: bool) -> None:
    """Take the crawl out of params.yaml; with `purge`, delete its folder and all that was made from it."""
    check_crawl_name(name)
    values = read_params()
    folder = folder_of(name, values)
    listed = name in crawl_names(values)
    if not listed and not (purge and folder.exists()):
        raise CrawlError(f"there is no crawl '{name}' (crawls: {', '.join(crawl_names(values)) or 'none'})")
    for key in named_by(name, values):
        raise CrawlError(f"crawl '{name}' is what params.yaml says for {key}: name another crawl there first")
    if name in sealed_names(values):
        from tasks.commands.seal import release

        release([name])
    for key in ("demos", "crawls", "sealed"):
        remove_name(key, name)
    write_line(f"removed crawl '{name}' from params.yaml" if listed else f"crawl '{name}' is not in params.yaml")
    if purge:
        purge_crawl(name, folder)
        write_line("deleted its data; `dvc gc --workspace` frees the cache too")
    elif folder.exists():
        write_line(f"its data stays: delete it with `sluice crawl remove {name} --purge`")


def purge_crawl(name: str, folder: Path) -> None:
    """Delete the crawl's folder, its DVC file, and each path that a stage makes for this crawl."""
    tracked = folder.with_name(f"{folder.name}.dvc")
    if tracked.exists():
        dvc("remove", str(tracked))
    for entry in read_graph().values():
        for out in (*entry.outs, *entry.metrics):
            if PLACEHOLDER.findall(out.template) == ["item"]:
                path = Path(fill(out.template, {"item": name}))
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(FETCHES / name, ignore_errors=True)


def show() -> None:
    """One line per crawl of params.yaml."""
    values = read_params()
    rows = []
    for name in crawl_names(values):
        folder, is_demo = folder_of(name, values), name in (values.get("demos") or [])
        if not folder.exists():
            rows.append((name, "", "", "made by `dvc repro`" if is_demo else "missing: `dvc pull` or add it again"))
            continue
        table = read_manifest(folder)
        state = "demo" if is_demo else "sealed" if name in sealed_names(values) else "added"
        rows.append((name, table.num_rows, pc.count_distinct(table["concept"]).as_py(), state))
    write_table(("crawl", "rows", "concepts", "state"), rows)


def folder_of(name: str, values: Mapping[str, Any]) -> Path:
    """Where dvc.yaml has the crawl's folder. Raises CrawlError for a hostile name."""
    check_crawl_name(name)
    return _dep("crawls").path({**values, "item": name})


def concepts_folder(values: Mapping[str, Any]) -> Path:
    """Where dvc.yaml has the concept files."""
    return _dep("concepts").path(values)


def named_by(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The params keys that stand in a path of dvc.yaml and say `name`."""
    for entry in read_graph().values():
        for key in {key for found in entry.deps for key in PLACEHOLDER.findall(found.template) if key.split(".")[0] != "item"}:
            if fill(f"${{{key}}}", values) == name:
                yield key


def pairs_of(option: str, texts: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE arguments as a mapping."""
    pairs = [text.partition("=") for text in texts]
    for (key, _, value), text in zip(pairs, texts, strict=True):
        if not key.strip() or not value.strip():
            raise ParamsError(f"{option} {text!r} is not of the form KEY=VALUE")
    return {key.strip(): value.strip() for key, _, value in pairs}


def connections(texts: Sequence[str]) -> dict[str, str]:
    """HOST=ADDR:PORT arguments as a mapping."""
    pairs = pairs_of("--connect", texts)
    for host, target in pairs.items():
        address, _, port = target.rpartition(":")
        if not address or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ParamsError(f"--connect '{host}={target}' is not of the form HOST=ADDR:PORT")
    return pairs


def dvc(*words: str) -> str:
    """Run DVC of this environment; what it says. Raises CrawlError with the line that says what is wrong."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # stages start `python`: this one
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise CrawlError(f"`dvc {' '.join(words)}` failed: {next((line for line in lines if line.startswith('ERROR')), lines[0])}")
    return done.stdout


@contextmanager
def undone_on_failure(folder: Path) -> Iterator[None]:
    """Leave nothing of a crawl that could not be added as a whole."""
    ignore = folder.with_name(".gitignore")
    before = ignore.read_bytes() if ignore.exists() else None
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.dvc").unlink(missing_ok=True)
        if before is not None:
            ignore.write_bytes(before)
        else:
            ignore.unlink(missing_ok=True)
        raise


def _dep(name: str) -> Entry:
    for entry in read_graph().values():
        for found in entry.deps:
            if found.name == name:
                return found
    raise CrawlError(f"no stage of dvc.yaml takes '{name}'")
