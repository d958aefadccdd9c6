"""Edit params.yaml: append a name to one of its lists, or take one out, with all comments kept."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tasks.core.files import write_atomically
from tasks.core.params import PARAMS_FILE


def append_name(key: str, name: str, path: Path = PARAMS_FILE) -> None:
    """Append `name` to the list at `key`; the file changes in one step."""
    content, editor = _read(path)
    content.setdefault(key, []).append(name)
    _write(content, editor, path)


def remove_name(key: str, name: str, path: Path = PARAMS_FILE) -> None:
    """Take `name` out of the list at `key`; nothing happens if it isn't there."""
    content, editor = _read(path)
    if name in (content.get(key) or []):
        content[key].remove(name)
        _write(content, editor, path)


def move_names(names: Sequence[str], *, source: str, target: str, place: int, path: Path = PARAMS_FILE) -> None:
    """Move names from one list to another, to `place` there and on; the file changes in one step."""
    content, editor = _read(path)
    if content.get(target) is None:
        content[target] = []
    for offset, name in enumerate(names):
        content[source].remove(name)
        content[target].insert(place + offset, name)
    _write(content, editor, path)


def _read(path: Path) -> tuple[Any, YAML]:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 1 << 16  # never wrap a line that someone wrote
    editor.indent(mapping=2, sequence=4, offset=2)
    return editor.load(path.read_text()), editor


def _write(content: Any, editor: YAML, path: Path) -> None:
    text = io.StringIO()
    editor.dump(content, text)
    with write_atomically(path) as temporary:
        temporary.write_text(text.getvalue())
