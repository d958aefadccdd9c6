import hashlib
import json

import pytest

from tasks.methods.safety import in_domains, load_scorer, objection, promised_hashes, read_block_list, safety_of

DATA = b"the bytes"
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()


def scorer(data: bytes, row) -> dict[str, float]:
    return {"harmless": 0.25, "faceless": 1}


def broken(data: bytes, row) -> dict[str, float]:
    return {"harmless": 1.5}


def test_a_block_list_holds_domains_and_hashes() -> None:
    lines = ["# a list", "", "Bad.Test.  # why", SHA256.upper(), MD5, "bücher.test", "bad.test"]
    assert read_block_list(lines, "list.txt") == sorted(["bad.test", SHA256, MD5, "xn--bcher-kva.test"])
    for wrong in ("http://bad.test/", "localhost", "bad test", SHA256[:-1], "a" * 300 + ".test"):
        with pytest.raises(ValueError, match=r"list.txt, line 2: .* is no domain, MD5 or SHA-256"):
            read_block_list(["ok.test", wrong], "list.txt")


def test_a_domain_stands_for_all_under_it() -> None:
    domains = {"bad.test", "deep.down.example"}
    assert all(in_domains(host, domains) for host in ("bad.test", "www.BAD.test", "a.b.bad.test.", "deep.down.example"))
    assert not any(in_domains(host, domains) for host in ("notbad.test", "test", "down.example", "bad.test.example", ""))
    assert not in_domains("bad.test", ())


def test_promises_are_read_from_the_manifests_other_columns() -> None:
    assert promised_hashes(json.dumps({"SHA256": SHA256.upper(), "md5": MD5, "hash": 7})) == {"sha256": SHA256, "md5": MD5}
    assert promised_hashes(json.dumps({"sha256": "not hexadecimal", "md5": None})) == {}
    assert promised_hashes('{"width": 3}') == promised_hashes(None) == {}


def test_objections() -> None:
    assert objection(DATA, SHA256, promised={}, blocked=()) is None
    assert objection(DATA, SHA256, promised={"sha256": SHA256, "md5": MD5}, blocked={"0" * 64}) is None
    assert objection(DATA, SHA256, promised={"md5": "0" * 32}, blocked=()) == "changed"
    assert objection(DATA, SHA256, promised={"sha256": "0" * 64}, blocked=()) == "changed"
    for entry in (SHA256, MD5):
        assert objection(DATA, SHA256, promised={"sha256": "0" * 64}, blocked={entry}) == "blocked_hash"


def test_scores_come_from_any_function_and_are_checked() -> None:
    found = load_scorer(f"{__name__}:scorer")
    assert safety_of(found, DATA, {"url": "u"}) == '{"faceless": 1.0, "harmless": 0.25}'
    with pytest.raises(ValueError, match="the scorer gives 'harmless' 1.5 for u: scores are in"):
        safety_of(broken, DATA, {"url": "u"})
    for name in ("no_such_module:f", f"{__name__}:gone", "", "no colon"):
        with pytest.raises(ValueError, match=f"scorer '{name}' can't be loaded"):
            load_scorer(name)
    with pytest.raises(ValueError, match="is no function"):
        load_scorer(f"{__name__}:DATA")
