"""Find recipes: questions that analysts ask often, one SQL file each, with the question as a comment on top."""

from dataclasses import dataclass
from pathlib import Path

from tasks.commands.output import printable
from tasks.core.errors import SluiceError

FOLDER = Path("reports/queries")


@dataclass(frozen=True)
class Recipe:
    """A question in words and in SQL."""

    name: str
    question: str
    sql: str


def read_recipes(folder: Path = FOLDER) -> list[Recipe]:
    """All recipes by name. Raises SluiceError for a file that doesn't begin with its question."""
    recipes = []
    for path in sorted(folder.glob("*.sql")):
        sql = path.read_text()
        comments = [line.removeprefix("--").strip() for line in sql.splitlines()[:1] if line.startswith("--")]
        if not comments or not comments[0]:
            raise SluiceError(f"{path} doesn't say what it asks: begin it with a line such as `-- How many ...?`")
        recipes.append(Recipe(path.stem, comments[0], sql))
    return recipes


def statement_of(text: str, folder: Path = FOLDER) -> str:
    """The SQL that `@name` stands for; any other text is SQL already. Raises SluiceError for a name that no recipe has."""
    if not text.lstrip().startswith("@"):
        return text
    name = text.strip().removeprefix("@").rstrip("; \t")
    recipes = {recipe.name: recipe.sql for recipe in read_recipes(folder)}
    if name not in recipes:
        raise SluiceError(f"no recipe is called '{printable(name)}': {', '.join(recipes) or f'there are none in {folder}'}")
    return recipes[name]
