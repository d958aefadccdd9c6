"""Command: `sluice`, the words that people type; each command's module is imported when it runs.

Only argparse is imported here, so that `sluice --help` answers at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import SluiceError

EXPORTS = ("datacomp", "webdataset", "huggingface", "clip-retrieval", "croissant", "cleanlab", "fiftyone")
BASELINES = ("basic", "text_based", "image_based", "clip_score", "image_and_clip_score", "clip_margin")
BALANCES = ("uniform", "concepts", "words", "clusters")
RULES = (
    "prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given", "low_self_confidence",
    "low_normalized_margin",
)  # fmt: skip
NO_SPACE = (28, 122)  # errno of a full disk and of a full quota


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 after one line on standard error."""
    arguments = make_parser().parse_args(words)
    from tasks.core.settings import turn_telemetry_off

    turn_telemetry_off()
    try:
        enter_workspace(arguments)
        importlib.import_module(f"tasks.commands.{arguments.command}").run(arguments)
        sys.stdout.flush()
    except SluiceError as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader has gone, as in `sluice query ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return fail(f"no space left on the disk ({error.filename or 'unknown file'}): free some and try again, nothing was changed")
    except KeyboardInterrupt:
        return 130
    return 0


def fail(message: str) -> int:
    """One line on standard error."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 1


def enter_workspace(arguments: argparse.Namespace) -> None:
    """Work in the workspace's top folder, from wherever the command was typed; paths that were typed keep their meaning."""
    from tasks.core.workspace import find_workspace

    top = find_workspace(arguments.workspace)
    if top is None or top == Path.cwd():
        return
    for name, value in vars(arguments).items():
        if isinstance(value, Path):
            setattr(arguments, name, value.absolute())
    os.chdir(top)


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="sluice", description="Turn a noisy web crawl into a clean, queryable image-text training set.")
    parser.add_argument(
        "--workspace", metavar="DIR", help="top folder of the project (default: SLUICE_WORKSPACE, or found upwards from here)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_crawl(commands.add_parser("crawl", help="add, remove, retry, refetch, seal, extract and list crawls"))
    commands.add_parser("plan", help="check everything and estimate rows, hours and GB before any work")
    add_query(commands.add_parser("query", help="ask the catalog in SQL, or by a recipe's name; without either: a shell"))
    explain = commands.add_parser("explain", help="tell one sample's story through all tables")
    explain.add_argument("sample", metavar="URL_OR_ID", help="url, sample_id or image_id; an id may be cut to 8 digits or more")
    add_explore(commands.add_parser("explore", help="search, look and judge in a local web page"))
    add_audit(commands.add_parser("audit", help="measure the kept set's purity by what people say of a sample of it"))
    similar = commands.add_parser("similar", help="find the samples whose images are nearest to a sample's")
    similar.add_argument("sample", metavar="ID", help="sample_id, cut to 8 digits or more, or url")
    by = "nearest pictures (default), or those that neighbours of the same concept lead to: more like this one, in this sense"
    similar.add_argument("--by", choices=("likeness", "diffusion"), default="likeness", help=by)
    search = commands.add_parser("search", help="find the samples whose images fit a text best")
    search.add_argument("text", metavar="TEXT", help='what to look for, such as "a red car"')
    for found in (similar, search):
        found.add_argument("-n", type=int, default=10, metavar="N", help="number of answers (default: 10)")
        add_format(found)
    add_export(commands.add_parser("export", help="write a part of the dataset in another tool's format"))
    add_multilabel(commands.add_parser("multilabel", help="find wrong and missing concepts in a table of images with several each"))
    versions = commands.add_parser("versions", help="list the published versions of the dataset")
    add_format(versions)
    diff = commands.add_parser("diff", help="say what differs between two versions: rows in, rows out, decisions, metrics")
    diff.add_argument("before", metavar="A", help="a version such as v0001, or `workspace`")
    diff.add_argument("after", metavar="B", help="the other one")
    diff.add_argument("--examples", metavar="N", type=int, default=3, help="sample ids shown of each kind of change (default: 3)")
    add_format(diff)
    reproduce = commands.add_parser("reproduce", help="check a version out and prove that its bytes are those that were published")
    reproduce.add_argument("version", metavar="TAG", help="a version such as v0001")
    commands.add_parser("publish", help="publish the commit that is checked out as the next version, if the gates hold")
    prune = commands.add_parser("prune", help="drop old published versions, and free the data that nothing else holds")
    prune.add_argument("--keep", metavar="N", type=int, default=30, help="the latest N versions stay (default: 30)")
    prune.add_argument("--older-than", metavar="DAYS", type=float, default=30.0, help="younger versions stay (default: 30 days)")
    prune.add_argument("--yes", action="store_true", help="do it; without, say what would be dropped")
    prune.add_argument("--remote", action="store_true", help="free the remote too, not the cache alone")
    verify = commands.add_parser("verify", help="hash everything anew, check every table, find what is missing or belongs to nobody")
    verify.add_argument("--repair", action="store_true", help="restore what differs from DVC's cache or the remote")
    add_forget(commands.add_parser("forget", help="remove images and all that was made of them, and keep them out of later crawls"))
    return parser


def add_query(parser: argparse.ArgumentParser) -> None:
    """`sluice query`."""
    parser.add_argument("sql", nargs="?", metavar="SQL|@NAME", help='one SELECT, such as "SELECT * FROM funnel", or @ and a recipe')
    parser.add_argument("--list", action="store_true", help="list the recipes in reports/queries")
    add_format(parser)


def add_explore(parser: argparse.ArgumentParser) -> None:
    """`sluice explore`."""
    parser.add_argument("--port", metavar="N", type=int, default=0, help="port on 127.0.0.1 (default: any that is free)")
    parser.add_argument("--sample", metavar="SAMPLE.csv", type=Path, help="review the rows that `sluice audit` has drawn, in their order")
    parser.add_argument(
        "--budget", metavar="N", type=int, help="review N of the rows in doubt, drawn by what a verdict on them is worth ..."
    )
    parser.add_argument("--wrong", metavar="M", type=int, help="... if M of these verdicts may be wrong (default: a tenth of N)")
    parser.add_argument("--reviewer", metavar="NAME", help="who judges (default: git's user.name, else the account's name)")


def add_audit(parser: argparse.ArgumentParser) -> None:
    """`sluice audit`."""
    parser.add_argument("sample", metavar="SAMPLE.csv", type=Path, help="the sample to measure by, or to draw")
    parser.add_argument("--draw", metavar="N", type=int, help="draw about N kept rows that nobody has judged into that file")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the draw (default: 0)")
    add_format(parser)


def add_export(parser: argparse.ArgumentParser) -> None:
    """`sluice export`."""
    parser.add_argument("kind", choices=EXPORTS, help="the format")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder that isn't there yet")
    parser.add_argument("--where", metavar="SQL", help='a condition on the view samples, such as "confidence > 0.9"')
    parser.add_argument("--all", action="store_true", help="every decodable sample, not the kept ones alone")
    instead = "what a simpler filter keeps of all valid samples, in place of curation; DataComp's rules, but no language is asked for"
    parser.add_argument("--baseline", choices=BASELINES, help=instead)
    parser.add_argument("--size", metavar="N", type=int, help="draw N of these samples ...")
    drawn = "... evenly over rows (default), concepts, words that name one (MetaCLIP), or clusters of pictures (hierarchical k-means)"
    parser.add_argument("--balance", choices=BALANCES, help=drawn)
    parser.add_argument("--seed", metavar="S", type=int, help="of the draw (default: 0)")
    completed = "where a text is missing or says nothing: that of a neighbour of the same concept that fits best, else the concept's name"
    parser.add_argument("--complete-texts", action="store_true", help=completed)


def add_multilabel(parser: argparse.ArgumentParser) -> None:
    """`sluice multilabel`."""
    parser.add_argument("labels", metavar="LABELS.parquet", type=Path, help="a row per image, a column of 1, 0 and -1 or null per concept")
    predictions = "probabilities of a model that never saw the row, rows and columns as in the labels"
    parser.add_argument("predictions", metavar="PREDICTIONS.npy", type=Path, help=predictions)
    parser.add_argument("out", metavar="OUT.parquet", type=Path, help="a file that isn't there yet")
    parser.add_argument("--id", metavar="COLUMN", action="append", default=[], help="a column of whole numbers that is no concept")
    parser.add_argument("--rule", choices=RULES, default=RULES[0], help=f"what counts as an error (default: {RULES[0]})")
    add_format(parser)


def add_forget(parser: argparse.ArgumentParser) -> None:
    """`sluice forget`."""
    parser.add_argument("names", nargs="*", metavar="ID_OR_URL", help="sample_id, image_id (8 digits or more) or url")
    parser.add_argument("--host", metavar="HOST", action="append", default=[], help="all images of a host and of the hosts below it")
    parser.add_argument("--sha256", metavar="HEX", action="append", default=[], help="the image whose download had this SHA-256")
    parser.add_argument("--similar-to", metavar="PICTURE", type=Path, help="images that resemble a picture file ...")
    parser.add_argument("--min-similarity", metavar="S", type=float, help="... by this cosine similarity or more")
    parser.add_argument("--dry-run", action="store_true", help="say how much would be forgotten, change nothing")
    parser.add_argument("--resume", action="store_true", help="end what an interrupted `forget` began")


def add_format(parser: argparse.ArgumentParser) -> None:
    """How an answer is written."""
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table", help="how to write the answer (default: table)")


def add_crawl(parser: argparse.ArgumentParser) -> None:
    """`sluice crawl add|remove|retry|refetch|seal|unseal|extract|list`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="take in a manifest as a new crawl")
    add.add_argument("name", metavar="NAME", help="a-z, 0-9, '_' and '-', 63 at most")
    sources = "csv, tsv, jsonl, txt or parquet (each also .gz) or a folder of them; or images: tars, Hugging Face parquet, a folder"
    add.add_argument("manifest", metavar="SOURCE", type=Path, help=sources)
    add.add_argument("--limit", metavar="N", type=int, help="take the first N rows only")
    add.add_argument(
        "--columns",
        "--column",
        metavar="OURS=THEIRS,...",
        action="append",
        default=[],
        help="names of the manifest's columns, such as url=IMG,alt_text=TXT",
    )
    add.add_argument("--allow-host", metavar="H", action="append", default=[], help="host that may lie in a private network")
    add.add_argument("--connect", metavar="HOST=ADDR:PORT", action="append", default=[], help="where to connect for a host")
    remove = actions.add_parser("remove", help="take a crawl out of the dataset; its data stays on the disk")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--purge", action="store_true", help="delete its data too")
    retry = actions.add_parser("retry", help="fetch the rows again that failed in certain ways")
    retry.add_argument("name", metavar="NAME")
    retry.add_argument("--detail", metavar="A,B", required=True, help="fine classes of failures, such as timeout,http_503")
    refetch = actions.add_parser("refetch", help="fetch a whole crawl again; what has not changed is not sent again")
    refetch.add_argument("name", metavar="NAME")
    for again in (retry, refetch):
        again.add_argument("--later", action="store_true", help="note it, and leave the fetching to `dvc repro`")
    seal = actions.add_parser("seal", help="merge the oldest crawls into one entry of the graph; nothing is fetched or made again")
    unseal = actions.add_parser("unseal", help="give the latest sealed crawls their own stages back")
    for found in (seal, unseal):
        found.add_argument("names", metavar="NAME", nargs="*")
    seal.add_argument("--keep", metavar="N", type=int, help="seal all but the latest N crawls")
    unseal.add_argument("--all", action="store_true", help="every sealed crawl")
    extract = actions.add_parser("extract", help="make a manifest of the pictures in Common Crawl's files")
    extract.add_argument("out", metavar="OUT", type=Path, help="the manifest to write, ending in .parquet")
    extract.add_argument("files", metavar="WARC_OR_WAT", type=Path, nargs="+", help="each also as .gz")
    actions.add_parser("list", help="show the crawls of the dataset")


if __name__ == "__main__":
    raise SystemExit(main())
