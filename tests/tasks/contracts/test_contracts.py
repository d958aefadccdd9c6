"""Every contract: its key is in its schema, every column has a sentence, an empty table goes round."""

import importlib
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.tables import Shard, Sink, Source

NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "tasks" / "contracts").glob("[!_]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, tmp_path):
    contract = importlib.import_module(f"tasks.contracts.{name}").CONTRACT
    assert contract.doc
    assert set(contract.key) <= set(contract.schema.names)
    assert all(field.metadata and len(field.metadata[b"comment"]) > 3 for field in contract.schema)
    shard = Shard("c" if contract.partitioned else "", "00000")
    Sink(contract=contract, root=tmp_path, crawls=["c"]).write(shard, contract.schema.empty_table())
    assert Source(contract=contract, root=tmp_path, crawls=["c"]).table().schema.equals(contract.schema, check_metadata=False)


def test_there_are_contracts():
    assert {"records", "curated"} <= set(NAMES)
    assert pa.types.is_boolean(importlib.import_module("tasks.contracts.curated").CONTRACT.schema.field("keep").type)
