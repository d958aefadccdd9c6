"""Every limit refuses with a sentence that an on-call person understands, and lets through what holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ParamsError
from tasks.core.gates import MIX, Gate, PublishParams, concept_mix, figures_of, refusals
from tasks.core.params import read_params, section
from tests.conftest import REPO


def gate(**limits):
    return Gate(figure="curate.kept", means="rows kept", **limits)


@pytest.mark.parametrize(
    ("limits", "value", "sentence"),
    [
        ({"at_least": 5}, 3.0, "curate.kept is 3, and must be 5 or more (rows kept)"),
        ({"at_most": 0.5}, 0.51234, "curate.kept is 0.5123, and must be 0.5 or less (rows kept)"),
        ({"may_fall": 0.1}, 1200.0, "curate.kept fell from 2,000 to 1,200, by 40%; 10% is allowed (rows kept)"),
        ({"may_grow": 0.5}, 9000.0, "curate.kept grew from 2,000 to 9,000, by 350%; 50% is allowed (rows kept)"),
    ],
)
def test_a_limit_that_does_not_hold_says_so(limits, value, sentence):
    assert refusals({"curate.kept": value}, {"curate.kept": 2000.0}, [gate(**limits)]) == [sentence]


def test_limits_hold_at_their_edge():
    gates = [gate(at_least=10, at_most=10, may_fall=0.5, may_grow=0.0)]
    assert refusals({"curate.kept": 10.0}, {"curate.kept": 20.0}, gates) == []
    assert refusals({"curate.kept": 10.0}, {"curate.kept": 10.0}, gates) == []


def test_the_first_version_is_compared_with_nothing():
    assert refusals({"curate.kept": 10.0}, {}, [gate(may_fall=0.0, may_grow=0.0), Gate(figure=MIX, means="mix", at_most=0.0)]) == []


def test_a_figure_that_is_not_a_number_holds_no_limit():
    assert len(refusals({"curate.kept": float("nan")}, {}, [gate(at_least=0.0, at_most=1.0)])) == 2
    assert len(refusals({"curate.kept": float("nan")}, {"curate.kept": 1.0}, [gate(may_fall=0.5, may_grow=0.5)])) == 2


def test_a_gate_on_new_crawls_looks_at_each_of_them():
    gates = [Gate(figure="drift.{crawl}.distance", means="drift", at_most=1.0)]
    figures = {"drift.a.distance": 3.0, "drift.b.distance": 2.0, "drift.old.distance": 9.0}
    before = {"curate.kept": 1.0}
    assert len(refusals(figures, before, gates, ["a", "b"])) == 2
    assert refusals(figures, before, gates, ["c"]) == ["drift.c.distance is missing: the crawl has no row that counts for it (drift)"]
    assert refusals(figures, before, gates, []) == refusals(figures, {}, gates, ["a"]) == []


def test_an_unknown_figure_is_named_with_those_that_are_there():
    with pytest.raises(
        ParamsError, match=r"publish.gates looks at 'curate.kept', which no file in reports/metrics has \(such as: curate.rows\)"
    ):
        refusals({"curate.rows": 1.0, "score.words": 2.0}, {}, [gate(at_least=1)])


def test_figures_are_named_by_file_and_key():
    files = {"curate.json": '{"kept": 3, "good": true, "name": "x", "list": [1]}', "validate/a-1.json": '{"reasons": {"broken": 2}}'}
    assert figures_of(files) == {"curate.kept": 3.0, "validate.a-1.reasons.broken": 2.0}


def test_the_mix_of_concepts_by_hand():
    old = {"curate.concepts.cat": 50.0, "curate.concepts.dog": 50.0, "curate.kept": 100.0}
    new = {"curate.concepts.cat": 30.0, "curate.concepts.dog": 50.0, "curate.concepts.cow": 20.0}
    assert concept_mix(new, old) == pytest.approx(0.2)
    assert concept_mix({"curate.concepts.cow": 1.0}, old) == pytest.approx(1.0)
    assert concept_mix({}, old) == 1.0
    assert concept_mix({}, {}) == 0.0


counts = st.dictionaries(st.sampled_from(["curate.concepts.a", "curate.concepts.b", "curate.concepts.c"]), st.integers(1, 1000), min_size=1)


@given(counts, counts)
def test_the_mix_is_a_distance(one, other):
    assert 0 <= concept_mix(one, other) <= 1
    assert concept_mix(one, other) == pytest.approx(concept_mix(other, one))
    assert concept_mix(one, {name: 3 * value for name, value in one.items()}) == pytest.approx(0)


def test_the_projects_gates_hold_for_the_projects_metrics():
    files = {str(path.relative_to(REPO / "reports/metrics")): path.read_text() for path in (REPO / "reports/metrics").rglob("*.json")}
    figures = figures_of(files)
    gates = section(PublishParams, "publish", read_params(REPO / "params.yaml")).gates
    assert refusals(figures, {}, gates) == []
    assert refusals(figures | {MIX: 0.0}, figures, gates) == []
    halved = figures | {MIX: 0.0, "curate.kept": figures["curate.kept"] / 2}
    assert "curate.kept fell from" in refusals(halved, figures, gates)[0]
