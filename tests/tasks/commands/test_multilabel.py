"""The command on a table of labels and predictions, the example of the docs, and every refusal in one line."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import cli
from tasks.cli import main
from tasks.methods.label_filters import RULES
from tasks.methods.multilabel_issues import entry_issues, entry_scores, image_scores
from tests.conftest import REPO
from tests.tasks.methods.test_multilabel_issues import table

NAMES = ["cat", "dog", "sofa"]
PAGE = (REPO / "docs" / "how-to" / "multilabel.md").read_text()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """labels.parquet with ids, three concepts (one of booleans, one with nulls) and a text, and predictions.npy; (pred_probs, labels)."""
    monkeypatch.chdir(tmp_path)
    pred_probs, labels, _ = table(400, 3, 0)
    labels[:20, 2] = -1
    columns = {
        "image": pa.array(range(100, 500)), "cat": pa.array(labels[:, 0] == 1), "dog": pa.array(labels[:, 1], pa.int8()),
        "sofa": pa.array([None if value < 0 else int(value) for value in labels[:, 2]], pa.int64()),
        "url": pa.array(["http://a.test"] * 400),
    }  # fmt: skip
    pq.write_table(pa.table(columns), "labels.parquet")
    np.save("predictions.npy", pred_probs)
    return pred_probs, labels


def run(*words: str) -> int:
    return main(["multilabel", "labels.parquet", "predictions.npy", "out.parquet", "--id", "image", *words])


def test_the_table_says_what_the_method_says(files, capsys: pytest.CaptureFixture[str]) -> None:
    pred_probs, labels = files
    assert run() == 0
    found = pq.read_table("out.parquet")
    issues = entry_issues(pred_probs, labels, rule="prune_by_noise_rate")
    scores = entry_scores(pred_probs, labels, quality="self_confidence")
    assert found.column_names == ["image", "url", "label_score", "is_label_issue", "wrong", "missing", "entry_scores"]
    assert found["image"].to_pylist() == list(range(100, 500))
    assert found["is_label_issue"].to_pylist() == issues.any(1).tolist()
    assert found["label_score"].to_pylist() == pytest.approx(image_scores(scores).tolist(), abs=1e-6)
    for row, flags in enumerate(issues):
        for name, state in (("wrong", 1), ("missing", 0)):
            assert found[name][row].as_py() == [NAMES[k] for k in range(3) if flags[k] and labels[row, k] == state]
    assert found["entry_scores"][0].as_py()[2] is None
    assert found["entry_scores"][30].as_py() == pytest.approx(scores[30].tolist(), abs=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["concept", "given", "unknown", "wrong", "missing", "wrong_estimated", "missing_estimated"]
    assert lines[4].split()[:3] == ["sofa", str((labels[:, 2] == 1).sum()), "20"]
    assert lines[-1] == f"{issues.any(1).sum()} of 400 images have a wrong or a missing concept; out.parquet says which."


def test_every_rule_of_the_method_can_be_asked_for(files, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(cli.RULES) == sorted(RULES)
    assert run("--rule", "both", "--format", "json") == 0
    assert capsys.readouterr().out.startswith('[\n{"concept": "cat", "given": ')


def test_an_image_of_which_nothing_is_known_has_no_score(files) -> None:
    _, labels = files
    columns = {name: np.where(np.arange(400) == 7, -1, labels[:, k]) for k, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns), "labels.parquet")
    assert main(["multilabel", "labels.parquet", "predictions.npy", "out.parquet"]) == 0
    row = pq.read_table("out.parquet").slice(7, 1).to_pylist()[0]
    assert row == {"label_score": None, "is_label_issue": False, "wrong": [], "missing": [], "entry_scores": [None] * 3}


def test_bad_input_is_one_line_and_leaves_nothing(files, capsys: pytest.CaptureFixture[str]) -> None:
    pred_probs, _ = files
    np.save("short.npy", pred_probs[:7])
    np.save("wide.npy", pred_probs * 2)
    np.save("whole.npy", np.ones((400, 3), int))
    Path("text.npy").write_text("0.5")
    pq.write_table(pa.table({"url": ["a"]}), "none.parquet")
    pq.write_table(pa.table({"cat": [1] * 400, "dog": [0] * 400, "wrong": ["x"] * 400, "sofa": [0] * 400}), "taken.parquet")
    for words, message in [
        (["labels.parquet", "predictions.npy", "out.parquet"], "column image of labels.parquet holds 100, a concept's holds 1, 0 and -1"),
        (["gone.parquet", "predictions.npy", "out.parquet"], "gone.parquet can't be read as Parquet"),
        (["text.npy", "predictions.npy", "out.parquet"], "text.npy can't be read as Parquet"),
        (["none.parquet", "predictions.npy", "out.parquet"], "none.parquet has 1 rows and 0 concepts"),
        (["taken.parquet", "predictions.npy", "out.parquet"], "columns that the answer needs (wrong): rename them"),
        (["labels.parquet", "predictions.npy", "out.parquet", "--id", "place"], "--id place: labels.parquet has no such column"),
        (["labels.parquet", "gone.npy", "out.parquet", "--id", "image"], "gone.npy can't be read as .npy"),
        (["labels.parquet", "text.npy", "out.parquet", "--id", "image"], "text.npy can't be read as .npy"),
        (["labels.parquet", "short.npy", "out.parquet", "--id", "image"], "holds float64 (7, 3), the labels have 400 rows and 3 concepts"),
        (["labels.parquet", "whole.npy", "out.parquet", "--id", "image"], "(cat, dog, sofa): give floats of shape (400, 3)"),
        (["labels.parquet", "wide.npy", "out.parquet", "--id", "image"], "wide.npy: pred_probs hold 1."),
        (["labels.parquet", "predictions.npy", "labels.parquet", "--id", "image"], "labels.parquet is there already: name another file"),
    ]:
        assert main(["multilabel", *words]) == 1, words
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert not Path("out.parquet").exists()


def test_the_commands_of_the_docs_run(files) -> None:
    commands = re.findall(r"^    sluice (multilabel .*)$", PAGE, re.MULTILINE)
    assert commands
    for command in commands:
        assert main(command.split()) == 0


def test_the_python_of_the_docs_runs() -> None:
    rng = np.random.default_rng(0)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    texts = np.linalg.qr(rng.normal(size=(32, 3)))[0].T.astype(np.float32)
    truth = (rng.random((300, 3)) < 0.4).astype(int)
    images = truth @ texts + rng.normal(size=(300, 32)) / 15
    images = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
    labels = np.where((truth == 1) & (rng.random(truth.shape) < 0.2), 0, truth)
    names = {"images": images, "captions": images, "labels": labels, "texts": texts, "folds": np.arange(300) % 3}
    exec(code, names)
    states = names["found"].states
    assert (labels != truth).mean() > 0.05
    assert (states != truth)[states >= 0].mean() < 0.02
