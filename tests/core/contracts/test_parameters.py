from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, strategies as st
from pydantic import Field

from datachef.core import Filter, corpus_size, document, input_file, threshold
from datachef.core.api import check_recipe, run_recipe
from datachef.core.contracts.task import BenchmarkFile, Budget
from datachef.core.recipe.contributions import without_each
from datachef.core.registry.host import Host
from datachef.core.registry.vocabulary import RegisteredClass, Vocabulary, recipe_schema
from datachef.plugins.sources.files import FileSource

PLUGIN = '''
from pathlib import Path
from typing import Literal
import polars as pl
from datachef.core import Filter, document, hookimpl, input_file

class WordList(Filter):
    """Drops rows with a word of a file."""

    op: Literal["word_list"] = "word_list"
    words: str = input_file(..., max_length=500, description="One word a line.")

    def check(self, context):
        assert "secret" not in Path(self.words).read_text()
        return ()

    def signals(self):
        words = Path(self.words).read_text().split()
        return {"listed": pl.col("text").str.contains_any(words)}

    def rules(self):
        return {"listed_word": pl.col("listed")}

@hookimpl
def datachef_operators():
    return [WordList]
'''
RECIPE = """
name: r
sources:
  web:
    path: web.jsonl
    steps: [{op: word_list, words: WORDS}]
"""


@pytest.fixture
def host(workspace: Path) -> Host:
    (workspace / "words.py").write_text(PLUGIN)
    (workspace / "words.txt").write_text("7")
    return Host([str(workspace / "words.py")], only={"sources", "engines"})


@pytest.fixture
def recipe(workspace: Path) -> Callable[[str], Path]:
    def write(words: str) -> Path:
        path = workspace / "recipe.yaml"
        path.write_text(RECIPE.replace("WORDS", words))
        return path

    return write


def test_a_changed_file_changes_the_result(
    workspace: Path, host: Host, recipe: Callable[[str], Path], tmp_path_factory: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "words.txt").write_text("page")
    monkeypatch.chdir(elsewhere)  # paths are meant from the recipe's folder, not from here

    def rows() -> int:
        made = run_recipe(
            recipe("words.txt"), elsewhere / "out", host=host, workers=1, cache=elsewhere / "cache"
        )
        return made.rows

    assert rows() == 27  # of 30 pages 7, 17 and 27 have a seven
    assert rows() == 27
    (workspace / "words.txt").write_text("7\n8")
    assert rows() == 24


def test_a_file_that_is_not_there_is_a_problem(host: Host, recipe: Callable[[str], Path]) -> None:
    (problem,) = check_recipe(recipe("other.txt"), host).problems
    assert problem.code == "no_file"
    assert problem.message.startswith("word_list: no file ")


def test_a_bound_recipe_names_no_file(
    workspace: Path, host: Host, recipe: Callable[[str], Path]
) -> None:
    (workspace / "words.txt").write_text("secret")  # its check would break on it
    path = recipe("words.txt")
    path.write_text(path.read_text().replace("    path: web.jsonl\n", ""))
    (problem,) = check_recipe(path, host, workspace / "pool.yaml").problems
    assert (problem.code, problem.path) == ("not_in_pool", "sources.web.steps[0]")


MIX = '''
from typing import Literal
from datachef.core import MixOperator, hookimpl, source_weights

class ByParts(MixOperator):
    """Takes every row, whatever the parts."""

    op: Literal["by_parts"] = "by_parts"
    parts: dict[str, int] = source_weights(description="Parts of each source.")

    def resolve(self, summaries, context):
        return summaries.select("id", "source").head(0).collect().with_columns(copies=1)

@hookimpl
def datachef_operators():
    return [ByParts]
'''


def test_weights_are_where_the_mix_says(workspace: Path) -> None:
    (workspace / "mix.py").write_text(MIX)
    host = Host([str(workspace / "mix.py")], only={"sources"})
    sources = {"web": {"path": "web.jsonl"}, "chat": {"path": "odd.jsonl"}}
    recipe: dict[str, Any] = {
        "name": "r", "sources": sources, "mix": {"op": "by_parts", "parts": {"web": 1, "wed": 2}}
    }  # fmt: skip
    (workspace / "recipe.yaml").write_text(document.dump(recipe))
    problems = check_recipe(workspace / "recipe.yaml", host).problems
    (unknown,) = (problem for problem in problems if problem.code == "unknown_source")
    assert (unknown.path, unknown.hint) == ("mix.parts.wed", "did you mean web?")
    variants = {part.path: part.data for part in without_each(recipe, host.vocabulary)}
    assert variants["sources.web"]["mix"]["parts"] == {"wed": 2}


class Marked(Filter):
    """Has a parameter of every kind."""

    op: Literal["marked"] = "marked"
    one: str | None = input_file(max_length=100, description="A file.")
    several: tuple[str, ...] = input_file((), max_length=5, description="Files.")
    items: BenchmarkFile | None = input_file(description="A file with options.")
    rows: int | None = corpus_size(ge=1, le=10**9, description="Rows.")
    budget: Budget | None = corpus_size(description="Rows or tokens.")
    threshold: int = threshold(3, ge=0, le=10, description="Has the name of its mark.")
    discriminator: int = Field(3, ge=0, le=10, description="Has the name of a key of schemas.")

    @cached_property
    def loaded(self) -> str | None:
        return self.one

    def signals(self) -> Mapping[str, pl.Expr]:
        return {}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {}


names = st.text("ab./~", min_size=1, max_size=8)
counts = st.integers(1, 10**6)
operators = st.builds(
    Marked,
    op=st.just("marked"),
    one=st.none() | names,
    several=st.lists(names, max_size=3).map(tuple),
    items=st.none() | st.builds(BenchmarkFile, path=names),
    rows=st.none() | counts,
    budget=st.none()
    | counts.map(lambda n: Budget(rows=n))
    | counts.map(lambda n: Budget(tokens=n)),
)


@given(operators)
def test_files_are_those_of_the_parameters(operator: Marked) -> None:
    expected = [operator.one, *operator.several, operator.items and operator.items.path]
    assert list(operator.files()) == [path for path in expected if path is not None]
    placed = operator.located(Path("/recipes"))
    assert all(Path(file).is_absolute() for file in placed.files())
    assert placed.located(Path("/elsewhere")) == placed
    assert len(placed.files()) == len(operator.files())
    assert (placed.rows, placed.budget) == (operator.rows, operator.budget)


@given(operators, st.floats(1e-6, 10))
def test_sizes_go_along_with_the_corpus(operator: Marked, factor: float) -> None:
    assert operator.scaled(1.0) is operator
    scaled = operator.scaled(factor)
    assert scaled.files() == operator.files()
    for before, after in (
        (operator.rows, scaled.rows),
        (operator.budget and operator.budget.rows, scaled.budget and scaled.budget.rows),
        (operator.budget and operator.budget.tokens, scaled.budget and scaled.budget.tokens),
    ):
        assert after == (None if before is None else max(1, round(before * factor)))


def test_a_changed_operator_makes_its_state_anew() -> None:
    operator = Marked(one="a.txt")
    assert operator.loaded == "a.txt"
    assert operator.located(Path("/recipes")).loaded == "/recipes/a.txt"


def test_marks_are_no_part_of_the_schema_and_parameters_may_have_any_name() -> None:
    assert Marked.thresholds() == {"threshold"}
    schema = recipe_schema(
        Vocabulary([RegisteredClass(Marked, "tests")], [RegisteredClass(FileSource, "tests")])
    )
    parameters = schema["$defs"]["Marked"]["properties"]
    assert set(parameters) == set(Marked.model_fields)
    assert "x-" not in repr(schema)
