"""Draw, judge, measure: on a small catalog."""

import csv
import json
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.commands.audit import sampled
from tasks.commands.desk import ProjectDesk
from tasks.commands.reviews import Sitting
from tasks.contracts.curated import CONTRACT as CURATED
from tests.tasks import test_catalog
from tests.tasks.conftest import write_table
from tests.tasks.test_catalog import make_sample

SAMPLE = Path("sample.csv")


@pytest.fixture
def audited(project: Path) -> Path:
    """Sixty kept rows, every third relabelled, two of them judged before; and two dropped ones."""
    test_catalog.build()
    rows = [
        make_sample(number, curated_concept="dog" if number % 3 == 0 else "cat", confidence=0.5 + number / 128, review_priority=0.1,
                    reviewed="confirmed" if number < 2 else None)
        for number in range(60)
    ] + [make_sample(60, reason="duplicate"), make_sample(61, reason="label_noise")]  # fmt: skip
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    test_catalog.rebuild()
    with Path("params.yaml").open("a") as file:
        file.write("curate: {target_purity: 0.95}\n")
    return project


def rows_of(path: Path = SAMPLE) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def judge(rows: list[dict[str, str]], wrong: int) -> None:
    sitting = Sitting("ada", ["cat", "dog"])
    for number, row in enumerate(rows):
        if number < wrong:
            sitting.say(row["sample_id"], row["sha256"], "dropped", None)
        else:
            sitting.say(row["sample_id"], row["sha256"], "confirmed", row["curated_concept"])


def test_a_sample_is_drawn_from_every_stratum(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "sample.csv", "--draw", "48"]) == 0
    assert "48 of 58 kept rows drawn into" in capsys.readouterr().out
    rows = rows_of()
    sizes = {row["stratum"]: int(row["stratum_rows"]) for row in rows}
    assert sum(sizes.values()) == 58
    assert sorted(sizes) == [f"{kind} {band}" for kind in ("as given", "relabelled") for band in range(1, 5)]
    assert len({row["sample_id"] for row in rows}) == 48
    kept = {make_sample(number)["sample_id"] for number in range(2, 60)}
    assert {row["sample_id"] for row in rows} <= kept
    assert main(["audit", "again.csv", "--draw", "48"]) == 0
    assert Path("again.csv").read_bytes() == SAMPLE.read_bytes()
    assert main(["audit", "other.csv", "--draw", "48", "--seed", "1"]) == 0
    assert sampled(Path("other.csv")) != sampled(SAMPLE)


def test_verdicts_become_a_purity(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "sample.csv", "--draw", "58"]) == 0
    judge(rows_of(), wrong=4)
    capsys.readouterr()
    assert main(["audit", "sample.csv", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["purity"] == found["low"] == found["high"] == pytest.approx(54 / 58)  # everything was judged
    assert (found["judged"], found["waiting"], found["target"]) == (58, 0, 0.95)
    assert found["promised"] == pytest.approx(sum(0.5 + number / 128 for number in range(2, 60)) / 58, abs=1e-6)
    assert found["within"] is False
    assert main(["audit", "sample.csv"]) == 0
    told = capsys.readouterr().out
    assert "measured purity         0.9310 (0.9310 to 0.9310, 95%)" in told
    assert "the promise is too low" in told


def test_another_concept_and_other_bytes_are_not_right(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "sample.csv", "--draw", "58"]) == 0
    rows = rows_of()
    judge(rows[3:], wrong=0)
    sitting = Sitting("bo", ["cat", "dog"])
    other = "dog" if rows[0]["curated_concept"] == "cat" else "cat"
    sitting.say(rows[0]["sample_id"], rows[0]["sha256"], "corrected", other)
    sitting.say(rows[1]["sample_id"], "0" * 64, "confirmed", rows[1]["curated_concept"])
    capsys.readouterr()
    assert main(["audit", "sample.csv", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert (found["judged"], found["waiting"]) == (56, 2)
    assert 0.9 < found["purity"] < 1


def test_the_explorers_queue_is_the_sample(audited: Path) -> None:
    assert main(["audit", "sample.csv", "--draw", "45"]) == 0
    desk = ProjectDesk("ada", sampled(SAMPLE))
    assert desk.n_waiting() == 45
    assert desk.next_in_queue()["sample_id"] == sampled(SAMPLE)[0]
    desk.say(sampled(SAMPLE)[0], "dropped", None)
    assert desk.n_waiting() == 44
    assert desk.next_in_queue()["sample_id"] == sampled(SAMPLE)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample.csv", "--draw", "0"], "0 rows are no sample: draw at least 1"),
        (["params.yaml", "--draw", "5"], "params.yaml is there already: measure with"),
        (["params.yaml"], "params.yaml is no sample"),
        (["nothing.csv"], "draw one with `sluice audit"),
    ],
)
def test_errors_say_the_way_out(audited: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["audit", *words]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_without_verdicts_it_says_how_many_wait(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "sample.csv", "--draw", "40"]) == 0
    assert main(["audit", "sample.csv"]) == 1
    assert "8 of 8 strata have no verdict: judge at least one row of each (40 of 40 wait in" in capsys.readouterr().err
