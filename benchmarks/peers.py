"""Install a peer apart from the project, in an environment of its own that is kept in the user's cache folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


def peer_python(requirement: str, python: str, *beside: str) -> Path:
    """The interpreter of an environment that holds `requirement` (NAME==VERSION) and what it forgets to ask for, made once.

    Exits where it can't be made.
    """
    uv = shutil.which("uv")
    if uv is None:
        sys.exit(f"no uv on this machine: {requirement} needs it for an environment of its own (https://docs.astral.sh/uv)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice" / "peers"
    folder = cache / re.sub(r"[^\w.]+", "-", requirement)
    done = folder / ".done"
    if not done.exists():
        print(f"installing {requirement} into {folder}", file=sys.stderr)
        for words in (["venv", "--quiet", "--clear", "--python", python], ["pip", "install", "--quiet", "--python"]):
            wanted = [requirement, *beside] if words[0] == "pip" else []
            made = subprocess.run([uv, *words, str(folder), *wanted], check=False, stdout=sys.stderr)
            if made.returncode:
                sys.exit(f"{requirement} can't be installed into {folder}: the lines above say why")
        done.touch()
    return folder / "bin" / "python"
