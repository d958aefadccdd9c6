"""The description's shape; mlcroissant judges a whole one in tests/tasks/commands/test_export_kinds.py."""

from tasks.methods.croissant import FORMAT, Activity, Facts, File, describe

FACTS = Facts(
    name="set",
    description="A set",
    version="1.0.0",
    published="2026-01-02",
    crawls={"alpha": 7},
    activities=[Activity("ingest alpha", "2026-01-01T00:00:00", "2026-01-01T01:00:00")],
    rai={"dataCollection": "Fetched."},
)


def test_files_columns_and_provenance() -> None:
    found = describe([File("data/train-0.parquet", "00", 9)], {"image": ("image", "It"), "sample_id": ("string", "Id")}, FACTS)
    assert found["conformsTo"] == FORMAT
    assert found["distribution"][0]["contentSize"] == "9 B"
    records = found["recordSet"][0]
    assert (records["@id"], records["key"]) == ("train-0", {"@id": "train-0/sample_id"})
    image, sample = records["field"]
    assert image["source"]["transform"] == {"jsonPath": "bytes"}
    assert sample["dataType"] == "sc:Text"
    assert found["prov:wasDerivedFrom"][0]["prov:label"] == "crawl alpha, 7 rows"
    assert found["prov:wasGeneratedBy"][0]["prov:endedAtTime"] == "2026-01-01T01:00:00"
    assert found["rai:dataCollection"] == "Fetched."
