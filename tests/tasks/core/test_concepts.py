import pytest

from tasks.core.concepts import load_concepts
from tasks.core.errors import ParamsError


def test_concepts_are_sorted_over_all_files(tmp_path):
    (tmp_path / "b.yaml").write_text("concepts: [{name: ant, definition: an insect, synonyms: [emmet]}]")
    (tmp_path / "a.yaml").write_text("concepts: [{name: zebra, definition: a striped horse, parent: animal}]")
    concepts = load_concepts(tmp_path)
    assert [concept.name for concept in concepts] == ["ant", "zebra"]
    assert concepts[0].synonyms == ("emmet",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "concepts: [{name: ant, definition: x}, {name: ant, definition: y}]",
            "concept 'ant' stands twice, in {file} and {file}: remove or rename one",
        ),
        ("concepts: [{name: ant}]", "{file}: concepts.0.definition: Field required"),
        ("concepts: [{name: ant, definition: x, synonim: [y]}]", "{file}: concepts.0.synonim: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        load_concepts(tmp_path)
    assert str(caught.value) == message.format(file=tmp_path / "c.yaml")


def test_no_concept_at_all(tmp_path):
    with pytest.raises(ParamsError, match="defines no concept"):
        load_concepts(tmp_path)
