"""Read params.yaml: one strict section per stage, nothing unknown, nothing defaulted.

The number in force is the one in params.yaml; a misspelt key, a wrong type or a value out of range stops a stage before its work.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.core.errors import ParamsError
from tasks.core.names import check_crawl_name

PARAMS_FILE = Path("params.yaml")


class Params(BaseModel):
    """A stage's section of params.yaml; subclasses declare the keys, closed choices as Literal, ranges with Field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SharedParams(Params):
    """The `shared` section: what several stages must agree on."""

    seed: int


P = TypeVar("P", bound=Params)


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """All of params.yaml as plain values. Raises ParamsError if it can't be read."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ParamsError(f"{path} not found: run this from the top folder of the project") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise ParamsError(f"{path} holds no sections: expected a mapping such as `embed: {{...}}`")
    return dict(content)


def section(model: type[P], name: str, values: Mapping[str, Any]) -> P:
    """Check one section against its model. Raises ParamsError that names key, value and what was expected."""
    if name not in values:
        raise ParamsError(f"params.yaml has no section '{name}': add it (known: {', '.join(sorted(map(str, values)))})")
    try:
        return model.model_validate(values[name])
    except ValidationError as error:
        raise ParamsError("; ".join(_complaint(name, model, item) for item in error.errors())) from None


def _complaint(name: str, model: type[Params], item: Any) -> str:
    key = ".".join([name, *map(str, item["loc"])])
    if item["type"] == "extra_forbidden":
        return f"params.yaml: unknown key '{key}' (known: {', '.join(_fields(model, item['loc'][:-1]))})"
    if item["type"] == "missing":
        return f"params.yaml: key '{key}' is missing"
    if isinstance(item["input"], Mapping):
        return f"params.yaml: '{key}': {item['msg']}"
    return f"params.yaml: '{key}' is {item['input']!r}: {item['msg']}"


def _fields(model: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys that are known at a place inside a section."""
    for part in path:
        kind = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else model
        model = next((inner for inner in get_args(kind) if hasattr(inner, "model_fields")), kind)
    return sorted(getattr(model, "model_fields", {}))


def crawl_names(values: Mapping[str, Any]) -> list[str]:
    """All crawls in order of arrival: the sealed ones, then those that have stages of their own.

    Raises ParamsError for a list with repeats, CrawlError for a hostile name.
    """
    names = values.get("crawls")
    if not isinstance(names, list):
        raise ParamsError("params.yaml: 'crawls' must be a list of crawl names, such as `crawls: [demo-1]`")
    names = [*sealed_names(values), *names]
    for name in names:
        check_crawl_name(name)
    if len(set(names)) != len(names):
        raise ParamsError(f"params.yaml: 'crawls' names a crawl twice: {', '.join(names)}")
    return names


def sealed_names(values: Mapping[str, Any]) -> list[str]:
    """The crawls that `sluice crawl seal` has merged into one entry of the graph. Raises ParamsError if they are no list."""
    names = values.get("sealed") or []
    if not isinstance(names, list):
        raise ParamsError("params.yaml: 'sealed' must be a list of crawl names, as `sluice crawl seal` writes it")
    return names
