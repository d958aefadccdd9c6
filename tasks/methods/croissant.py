"""Describe an export in Croissant 1.1: files, columns, provenance (PROV) and responsible-AI fields (RAI), as JSON-LD."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORMAT = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "prov": "http://www.w3.org/ns/prov#",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{
        word: f"cr:{word}"
        for word in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty", "fileObject"),
            *("fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
}
TYPES = {"string": "sc:Text", "int32": "sc:Integer", "float": "sc:Float", "image": "sc:ImageObject"}
PARQUET = "application/x-parquet"


@dataclass(frozen=True)
class File:
    """A file of the distribution: its path from the folder of the description, its sha256, its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Activity:
    """A run of a stage: when it began and ended, ISO 8601."""

    name: str
    started: str
    ended: str


@dataclass(frozen=True)
class Facts:
    """What the description says beyond the files. `published` is a date; `crawls` are names with their numbers of rows."""

    name: str
    description: str
    version: str
    published: str
    crawls: Mapping[str, int]
    activities: Sequence[Activity]
    rai: Mapping[str, Any]


def describe(files: Sequence[File], columns: Mapping[str, tuple[str, str]], facts: Facts) -> dict[str, Any]:
    """The JSON-LD document. `columns` gives each column's type (string, int32, float, image) and sentence; the images are structs with
    bytes. One record set per file, named like it, so that every file can be read alone.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": FORMAT,
        "name": facts.name,
        "description": facts.description,
        "version": facts.version,
        "datePublished": facts.published,
        "license": "The images belong to their owners; the column `url` says where each was found.",
        "citeAs": f"{facts.name}, version {facts.version}, curated by Sluice",
        "creator": {"@type": "sc:Organization", "name": "Sluice", "url": "https://github.com/sluice-data/sluice"},
        "distribution": [file_object(file) for file in files],
        "recordSet": [record_set(file, columns) for file in files],
        **provenance(facts),
        **{f"rai:{name}": value for name, value in facts.rai.items()},
    }


def file_object(file: File) -> dict[str, Any]:
    """One file of the distribution."""
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": PARQUET,
        "sha256": file.sha256,
    }


def record_set(file: File, columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The records of one file."""
    name = file.path.rsplit("/", 1)[-1].removesuffix(".parquet")
    fields = []
    for column, (kind, sentence) in columns.items():
        source: dict[str, Any] = {"fileObject": {"@id": file.path}, "extract": {"column": column}}
        if kind == "image":
            source["transform"] = {"jsonPath": "bytes"}
        identity = {"@type": "cr:Field", "@id": f"{name}/{column}", "name": column, "description": sentence}
        fields.append({**identity, "dataType": TYPES[kind], "source": source})
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/sample_id"}, "field": fields}


def provenance(facts: Facts) -> dict[str, Any]:
    """Crawls as entities, runs of stages as activities, Sluice as the agent."""
    crawls = [
        {"@type": "prov:Entity", "@id": f"crawl/{crawl}", "prov:label": f"crawl {crawl}, {rows} rows"}
        for crawl, rows in facts.crawls.items()
    ]
    runs = [
        {
            "@type": "prov:Activity",
            "@id": f"run/{number}-{run.name.replace(' ', '/')}",  # no spaces in ids
            "prov:label": run.name,
            "prov:startedAtTime": run.started,
            "prov:endedAtTime": run.ended,
        }
        for number, run in enumerate(facts.activities)
    ]
    agent = {"@type": "prov:SoftwareAgent", "@id": "sluice", "prov:label": "Sluice"}
    return {"prov:wasDerivedFrom": crawls, "prov:wasGeneratedBy": runs, "prov:wasAttributedTo": agent}
