"""Read concept files: what each word means here, and what else it could mean on the web."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.core.errors import ParamsError


class Concept(BaseModel):
    """One concept. `distractors` are other senses of the word, which off-topic images of this name may show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    definition: str = Field(min_length=1)
    synonyms: tuple[str, ...] = ()
    parent: str | None = None
    distractors: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    concepts: list[Concept]


def load_concepts(folder: Path) -> list[Concept]:
    """The concepts of all *.yaml files of a folder, sorted by name. Raises ParamsError naming file, concept and fault."""
    seen: dict[str, Path] = {}
    concepts: list[Concept] = []
    for path in sorted(folder.glob("*.yaml")):
        for concept in _read(path):
            if concept.name in seen:
                raise ParamsError(f"concept '{concept.name}' stands twice, in {seen[concept.name]} and {path}: remove or rename one")
            seen[concept.name] = path
            concepts.append(concept)
    if not concepts:
        raise ParamsError(f"{folder} defines no concept: add a file such as {folder}/mine.yaml with `concepts: [{{name:, definition:}}]`")
    return sorted(concepts, key=lambda concept: concept.name)


def _read(path: Path) -> list[Concept]:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text())).concepts
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ParamsError(f"{path}: {faults}") from None
