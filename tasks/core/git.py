"""Ask git: commits, tags and worktrees of the repository that a workspace lies in.

No hook runs and nothing asks for a password or a signature: these calls are made at night, with nobody there.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import VersionError

ALONE = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "advice.detachedHead=false", "-c", "gc.auto=0")
NOBODY = {
    name: value
    for who in ("AUTHOR", "COMMITTER")
    for name, value in ((f"GIT_{who}_NAME", "Sluice"), (f"GIT_{who}_EMAIL", "sluice@localhost"))
}


def git(*words: str, folder: Path = Path(), typed: str | None = None) -> str:
    """What git says, without the last line break. Raises VersionError with git's own message."""
    done = run(words, folder, typed)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"ended with {done.returncode}"
        raise VersionError(f"`git {' '.join(words[:3])}` failed in {folder.resolve()}: {said[:500]}")
    return done.stdout.removesuffix("\n")


def holds(*words: str, folder: Path = Path()) -> bool:
    """Whether a question to git is answered by yes, that is by exit status 0."""
    return run(words, folder).returncode == 0


def run(words: Sequence[str], folder: Path, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """Call git."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    if words[0] in ("commit", "var") and not named(folder):
        environment |= NOBODY
    command = ["git", *ALONE, *words]
    return subprocess.run(command, cwd=folder, input=typed, capture_output=True, text=True, check=False, env=environment)


def named(folder: Path) -> bool:
    """Whether git knows in whose name to commit: in a container it often doesn't."""
    return holds("config", "user.email", folder=folder) or "GIT_COMMITTER_EMAIL" in os.environ


def main_workspace(folder: Path = Path()) -> Path:
    """The main checkout of the repository, seen from any of its worktrees.

    Raises VersionError without a commit, or if the workspace is not the top of its repository.
    """
    if not holds("rev-parse", "--verify", "--quiet", "HEAD", folder=folder):
        raise VersionError(
            f"{folder.resolve()} has no git commit: versions are commits, so run `git init`, `git add .` and `git commit` first"
        )
    if git("rev-parse", "--show-prefix", folder=folder):
        raise VersionError(f"{folder.resolve()} is not the top folder of its git repository: versions need a workspace of their own")
    return Path(git("rev-parse", "--path-format=absolute", "--git-common-dir", folder=folder)).parent


def head(folder: Path = Path()) -> str:
    """The commit that is checked out."""
    return git("rev-parse", "HEAD", folder=folder)


def contains(commit: str, ancestor: str, folder: Path = Path()) -> bool:
    """Whether a commit is another one or comes after it."""
    return holds("merge-base", "--is-ancestor", ancestor, commit, folder=folder)


def text_at(commit: str, path: str, folder: Path = Path()) -> str | None:
    """A file as a commit has it; None if it has no such file."""
    done = run(["show", f"{commit}:{path}"], folder)
    return done.stdout if done.returncode == 0 else None


def run_bytes(*words: str, folder: Path = Path()) -> bytes:
    """The same as `git`, for what is no text."""
    done = subprocess.run(["git", *ALONE, *words], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise VersionError(f"`git {' '.join(words[:3])}` failed in {folder.resolve()}: {done.stderr.decode(errors='replace')[:500]}")
    return done.stdout
