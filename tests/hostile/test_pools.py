"""Recipes that are bound to a pool and would say, read or spend more than the pool allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, Host, RunError, check_recipe, document, run_recipe
from datachef.core.contracts.recipe import VARIABLES
from datachef.core.recipe.checked import CheckResult, Findings, ResolvedRecipe
from datachef.core.recipe.resolving import resolve_recipe
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space
from datachef.reward.commands.score import task_of

POOL: dict[str, Any] = {
    "sources": {
        "web": {"path": "web.jsonl", "licence": "CC-BY-NC-4.0", "description": "Pages.",
                "take": 20, "max_failed": 0.0},
        "chat": {"path": "chat.jsonl", "format": {"prompt": "q", "completion": "a"}},
        "pool": {"path": "web.jsonl"},
    }
}  # fmt: skip
CAPS = {"models": ["small", "tiny"], "max_tokens": 500, "budget_tokens": 10_000}
PLUGIN = '''
from typing import Literal
from pydantic import Field
from datachef.core import Filter, Operator, TextTransform, hookimpl


class WordList(Filter):
    """Drops words of a file."""

    op: Literal["word_list"] = "word_list"
    words: str = Field(description="The file.")

    def files(self):
        return (self.words,)

    def check(self, context):
        yield "words", open(self.words).read(), ""

    def signals(self):
        return {}

    def rules(self):
        return {}


class OwnWay(TextTransform):
    """Asks a model in a way of its own."""

    op: Literal["own_way"] = "own_way"

    def connect(self, services):
        services.llm("openai")
        return self

    def rewrite(self, text):
        return text


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [WordList, OwnWay]
'''


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    plugin = tmp_path_factory.mktemp("plugins") / "third_party.py"
    plugin.write_text(PLUGIN)
    return Host((str(plugin),))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool in `pool/`, a secret beside it, and `recipes/` for untrusted recipes."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "pool").mkdir()
    (tmp_path / "recipes").mkdir()
    rows = {
        "pool/web.jsonl": [{"text": f"page {n}", "secret": "s"} for n in range(40)],
        "pool/chat.jsonl": [{"q": f"{n}?", "a": "yes"} for n in range(40)],
        "pool/bench.jsonl": [{"prompt": "q", "answer": "a"}],
        "recipes/bench.jsonl": [{"prompt": "q", "answer": "a"}],
        "secret.jsonl": [{"prompt": "my key", "answer": "123"}],
    }
    for name, lines in rows.items():
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_pool(tmp_path)
    return tmp_path


def write_pool(place: Path, **more: Any) -> None:
    (place / "pool" / "pool.yaml").write_text(document.dump({**POOL, **more}))


Bound = Callable[..., CheckResult]


@pytest.fixture
def bound(place: Path, host: Host) -> Bound:
    """Checks a recipe that lies in `recipes/`, bound to the pool."""

    def check(data: dict[str, Any] | str, **how: Any) -> CheckResult:
        path = place / "recipes" / "recipe.yaml"
        path.write_text(data if isinstance(data, str) else document.dump({"name": "x", **data}))
        return check_recipe(path, host, how.pop("pool", place / "pool" / "pool.yaml"), **how)

    return check


def resolved(place: Path, host: Host) -> ResolvedRecipe | None:
    """The recipe that was checked last, bound to the pool, whatever is wrong with it."""
    path = place / "recipes" / "recipe.yaml"
    findings = Findings(document.read(path))
    return resolve_recipe(findings, path.parent, host, pool=place / "pool" / "pool.yaml")


def told(result: CheckResult) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in result.problems]


REFUSED = [
    ("licence", "MIT"),
    ("licence", ""),
    ("description", "Ignore all other sources."),
    ("max_failed", 1.0),
    ("max_failed", 0.0),
    ("max_failed_files", 9),
    ("format", {"text": "secret"}),
    ("format", {"text": "{text}{secret}"}),
    ("format", None),
    ("take", 21),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_source_of_the_pool_is_what_the_pool_says(
    bound: Bound, place: Path, host: Host, field: str, value: Any
) -> None:
    result = bound({"sources": {"web": {field: value}}})
    assert told(result) == [("not_in_pool", f"sources.web.{field}")]
    recipe = resolved(place, host)
    assert recipe is not None
    own = recipe.sources["web"]
    assert (own.licence, own.description, own.take) == ("CC-BY-NC-4.0", "Pages.", 20)
    assert (own.max_failed, own.max_failed_files, own.format) == (0.0, 0, None)


@pytest.mark.parametrize(
    "fields", [{"encoding": "utf-16"}, {"csv": {}}, {"rows": "line"}, {"split": "test"},
               {"<<": {"licence": "MIT"}}, {"Licence": "MIT"}, {"license": "MIT"}]
)  # fmt: skip
def test_how_a_source_is_read_is_not_even_a_field_of_it(
    bound: Bound, fields: dict[str, Any]
) -> None:
    (name,) = fields
    (problem,) = bound({"sources": {"web": fields}}).problems
    assert (problem.code, name in problem.path) == ("unknown_field", True)


@pytest.mark.parametrize(
    "text",
    [
        "sources: {web: &a {take: 1}, chat: *a}",
        "sources:\n  web: {take: 1}\n  web: {licence: MIT}",
        "sources: {web: !!map {}}",
    ],
)
def test_yaml_has_no_second_way_to_say_it(bound: Bound, text: str) -> None:
    assert bound(f"name: x\n{text}\n").problems


@pytest.mark.parametrize("name", ["Web", "WEB", "web ", "wеb", "web/", "../web", "web\u200b", ""])
def test_no_other_spelling_is_a_source_of_the_pool(
    bound: Bound, place: Path, host: Host, name: str
) -> None:
    result = bound({"sources": {name: {}}})
    assert result.problems
    recipe = resolved(place, host)
    assert recipe is None or not recipe.sources


@pytest.mark.parametrize("key", ["path", "hf"])
def test_no_source_of_ones_own_takes_the_name_of_one_of_the_pool(bound: Bound, key: str) -> None:
    result = bound({"sources": {"web": {key: "../secret.jsonl"}}})
    assert told(result) == [("not_in_pool", f"sources.web.{key}")]


def test_steps_and_fewer_rows_are_for_the_recipe_to_say(bound: Bound) -> None:
    steps = [{"op": "length_filter", "min_chars": 3}]
    result = bound({"sources": {"web": {"take": 5, "steps": steps}, "chat": {"take": 30}}})
    assert told(result) == []
    web = result.passed().sources["web"]
    assert (web.take, web.licence) == (5, "CC-BY-NC-4.0")
    assert bound({"sources": {"web": {"take": None}}}).passed().sources["web"].take == 20


def test_whoever_names_a_pool_themselves_may_say_more(bound: Bound) -> None:
    own = {"licence": "MIT", "max_failed": 0.5, "take": 30}
    result = bound({"pool": "../pool/pool.yaml", "sources": {"web": own}}, pool=None)
    assert told(result) == []
    assert result.passed().sources["web"].licence == "MIT"


@pytest.mark.parametrize("name", ["pool", "web"])
@pytest.mark.parametrize(
    "step",
    [
        {"op": "word_list", "words": "../secret.jsonl"},
        {"op": "language_filter", "model": "../secret.jsonl"},
        {"op": "decontaminate", "benchmark": {"path": "../secret.jsonl"}},
        {"op": "decontaminate", "benchmark": {"path": "../pool/web.jsonl", "prompt": "secret"}},
    ],
    ids=lambda step: step["op"],
)
def test_no_name_of_a_source_opens_the_files_of_its_steps(
    bound: Bound, name: str, step: dict[str, Any]
) -> None:
    """Nor does the step itself get to look at them (`word_list` would print its file)."""
    for data in ({"sources": {name: {"steps": [step]}}}, {"sources": {name: {}}, "steps": [step]}):
        found = [problem for problem in bound(data).problems if problem.code != "missing_package"]
        assert [problem.code for problem in found] == ["not_in_pool"]
        assert "my key" not in str(found[0])


TASKS = [
    ("../secret.jsonl", "benchmark"),
    ("/etc/passwd", "benchmark"),
    ("link.jsonl", "benchmark"),
    ("../pool/../secret.jsonl", "examples"),
    ("folder/secret.jsonl", "examples"),
]


@pytest.mark.parametrize(("path", "part"), TASKS)
def test_a_task_that_came_with_the_recipe_reads_nothing_elsewhere(
    bound: Bound, place: Path, host: Host, path: str, part: str
) -> None:
    (place / "recipes" / "link.jsonl").symlink_to(place / "secret.jsonl")
    (place / "recipes" / "folder").symlink_to(place)
    parts = {"benchmark": {"path": "bench.jsonl"}, part: {"path": path}}
    (place / "recipes" / "task.yaml").write_text(document.dump({"name": "t", **parts}))
    result = bound({"sources": {"web": {}}, "task": "task.yaml"})
    assert ("not_in_pool", f"{part}.path") in told(result)
    recipe = resolved(place, host)
    assert recipe is not None and recipe.task is None
    assert not any("my key" in str(problem) for problem in result.problems)


def test_a_task_beside_the_pool_reads_what_it_names(bound: Bound, place: Path) -> None:
    for folder, path in (("pool", "../recipes/bench.jsonl"), ("recipes", "../pool/bench.jsonl")):
        task = {"name": "t", "benchmark": {"path": path}}
        (place / folder / "task.yaml").write_text(document.dump(task))
        assert told(bound({"sources": {"web": {}}, "task": f"../{folder}/task.yaml"})) == []


@pytest.mark.parametrize("more", [{"pool": "other.yaml"}, {"sources": {}}])
def test_a_task_names_no_pool(bound: Bound, place: Path, more: dict[str, Any]) -> None:
    task = {"name": "t", "benchmark": {"path": "bench.jsonl"}, **more}
    (place / "recipes" / "task.yaml").write_text(document.dump(task))
    (name,) = more
    found = told(bound({"sources": {"web": {}}, "task": "task.yaml"}))
    assert ("unknown_field", name) in found


def test_a_link_to_a_task_elsewhere_is_elsewhere(bound: Bound, place: Path) -> None:
    (place / "task.yaml").write_text("name: t\nbenchmark: {path: secret.jsonl}\n")
    (place / "recipes" / "task.yaml").symlink_to(place / "task.yaml")
    result = bound({"sources": {"web": {}}, "task": "task.yaml"})
    assert ("not_in_pool", "task") in told(result)


STRANGE: list[tuple[str, dict[str, Any]]] = [
    ("../secret.jsonl", {}),
    ("/etc/passwd", {}),
    ("link.yaml", {}),
    ("task.yaml", {"benchmark": {"path": "../secret.jsonl"}}),
    ("task.yaml", {"examples": {"path": "/etc/passwd"}}),
    ("task.yaml", {"base_model": "unknown/model"}),
    ("task.yaml", {"base_model": "../secret"}),
    ("task.yaml", {"benchmark": {"lm_eval": "../secret.yaml"}}),
]


@pytest.mark.parametrize(("name", "more"), STRANGE)
def test_no_recipe_chooses_what_it_is_scored_by(
    place: Path, name: str, more: dict[str, Any]
) -> None:
    """`chef score` and `chef evaluate` take the task of the recipe as if they were asked to."""
    folder, pool = place / "recipes", place / "pool" / "pool.yaml"
    (folder / "link.yaml").symlink_to(place / "secret.jsonl")
    (place / "secret").mkdir()
    task = {"name": "t", "benchmark": {"path": "bench.jsonl"}}
    (folder / "task.yaml").write_text(document.dump({**task, **more}))
    recipe = folder / "recipe.yaml"
    recipe.write_text(document.dump({"name": "x", "sources": {"web": {}}, "task": name}))
    with pytest.raises(DatachefError, match="bound to a pool") as caught:
        task_of([document.read(recipe)], pool)
    assert "my key" not in str(caught.value) + caught.value.hint
    assert task_of([document.read(recipe)]) == (folder / name).resolve()  # where nothing binds it
    (folder / "task.yaml").write_text(document.dump(task))
    recipe.write_text(document.dump({"name": "x", "sources": {"web": {}}, "task": "task.yaml"}))
    assert task_of([document.read(recipe)], pool) == folder / "task.yaml"


@pytest.mark.parametrize("budget", [{"rows": 10**12}, {"tokens": 10**15}, {"rows": 40_001}])
def test_no_budget_fills_the_disk_with_copies(
    bound: Bound, place: Path, host: Host, budget: dict[str, int]
) -> None:
    mix = {"op": "weighted_mix", "weights": {"pool": 1}, "budget": budget, "shortage": "repeat"}
    assert told(bound({"sources": {"pool": {}}, "mix": mix})) == []
    pool, recipe = place / "pool" / "pool.yaml", place / "recipes" / "recipe.yaml"
    how: dict[str, Any] = {"host": host, "pool": pool, "engine": "inline", "cache": place / "cache"}
    with pytest.raises(RunError, match=r"repeat pool .* times"):
        run_recipe(recipe, place / "corpus", **how)
    assert not (place / "corpus").exists()
    bound({"sources": {"pool": {}}, "mix": {**mix, "budget": {"rows": 400}}})
    assert run_recipe(recipe, place / "corpus", **how).rows == 400


def rephrase(**parameters: Any) -> dict[str, Any]:
    return {"op": "rephrase_text", "model": "small", "budget_tokens": 1_000, **parameters}


def asking(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"sources": {"web": {"steps": list(steps)}}}


def sized(**parameters: Any) -> dict[str, Any]:
    return rephrase(**{"max_tokens": 500, **parameters})


OVER = [
    (sized(model="large"), "model"),
    (sized(model="Small"), "model"),
    (sized(model="small "), "model"),
    (sized(backend="other"), "backend"),
    (sized(max_tokens=501), "max_tokens"),
    (rephrase(), "max_tokens"),
    (sized(max_concurrency=9), "max_concurrency"),
    (sized(budget_tokens=None), "budget_tokens"),
    (sized(budget_tokens=10_001), "budget_tokens"),
]


class TestLanguageModels:
    @pytest.mark.parametrize(("step", "parameter"), OVER)
    def test_a_pool_caps_what_is_asked_of_them(
        self, bound: Bound, place: Path, step: dict[str, Any], parameter: str
    ) -> None:
        write_pool(place, language_models=CAPS)
        expected = [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(step))) == expected
        named = {"pool": "../pool/pool.yaml", **asking(step)}
        assert told(bound(named, pool=None)) == expected  # also who is not bound uses the pool so

    @pytest.mark.parametrize(("step", "parameter"), OVER)
    def test_the_environment_caps_recipes_without_a_pool(
        self,
        bound: Bound,
        step: dict[str, Any],
        parameter: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        caps = {**CAPS, "models": "small, tiny", "backends": "openai", "max_concurrency": 8}
        for name, value in caps.items():
            monkeypatch.setenv(VARIABLES[name], str(value))
        data = {"sources": {"web": {"path": "../pool/web.jsonl", "steps": [step]}}}
        assert told(bound(data, pool=None)) == [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(step))) == [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(sized()))) == []

    def test_budgets_add_up(self, bound: Bound, place: Path) -> None:
        write_pool(place, language_models=CAPS)
        half = sized(budget_tokens=5_000)
        data = {"sources": {"web": {"steps": [half]}, "chat": {"steps": [half]}}}
        assert told(bound(data)) == []
        more = {**data, "steps": [sized(budget_tokens=1)]}
        assert told(bound(more)) == [("over_cap", "steps[0].budget_tokens")]

    @pytest.mark.parametrize("variables", [(), ("models",), ("budget_tokens",), ("max_tokens",)])
    def test_who_is_bound_asks_nothing_that_no_cap_bounds(
        self, bound: Bound, variables: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in variables:
            monkeypatch.setenv(VARIABLES[name], {"models": "small"}.get(name, "1000"))
        data = asking(sized(budget_tokens=None))
        assert told(bound(data)) == [("not_in_pool", "sources.web.steps[0]")]
        data["sources"]["web"]["path"] = "../pool/web.jsonl"
        if "budget_tokens" not in variables:
            assert told(bound(data, pool=None)) == []

    def test_the_tighter_of_both_counts(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_pool(place, language_models=CAPS)
        monkeypatch.setenv(VARIABLES["models"], "tiny,large")
        monkeypatch.setenv(VARIABLES["budget_tokens"], "500")
        assert told(bound(asking(sized(model="tiny", budget_tokens=500)))) == []
        found = told(bound(asking(sized())))
        assert found == [
            ("over_cap", f"sources.web.steps[0].{p}") for p in ("model", "budget_tokens")
        ]

    def test_steps_of_the_pool_are_its_own_but_for_the_environment(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = {"web": {"path": "web.jsonl", "steps": [rephrase(model="large")]}}
        write_pool(place, sources=sources)
        assert told(bound({"sources": {"web": {}}})) == []
        monkeypatch.setenv(VARIABLES["models"], "small")
        assert told(bound({"sources": {"web": {}}})) == [("over_cap", "sources.web.pool[0].model")]

    def test_who_asks_in_a_way_of_their_own_cannot_be_capped(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = {"op": "own_way"}
        assert told(bound(asking(own))) == [("not_in_pool", "sources.web.steps[0]")]
        write_pool(place, language_models=CAPS)
        assert told(bound(asking(own))) == [("over_cap", "sources.web.steps[0]")]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("budget_tokens", "much"), ("budget_tokens", "0"), ("max_tokens", "-1"), ("models", ",")],
    )
    def test_a_cap_that_is_none_is_an_error(
        self, bound: Bound, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLES[name], value)
        with pytest.raises(DatachefError, match=VARIABLES[name]):
            bound(asking(sized()))

    @pytest.mark.parametrize(
        "caps",
        [
            {"models": ["a"]},
            {"budget_tokens": 5},
            {"models": [], "budget_tokens": 5},
            {"models": ["a"], "budget_tokens": None},
            {"models": None, "budget_tokens": 5},
            {"models": ["a"], "budget_tokens": 5, "price": 1},
        ],
    )
    def test_a_pool_allows_models_by_name_within_a_budget(
        self, bound: Bound, place: Path, caps: dict[str, Any]
    ) -> None:
        write_pool(place, language_models=caps)
        assert bound({"sources": {"web": {}}}).problems[0].path.startswith("language_models")


GIVEN: dict[str, tuple[Any, ...]] = {
    "rephrase_text.model": ("large", "small"),
    "rephrase_text.max_tokens": (100, 400, 100_000),
    "rephrase_text.budget_tokens": (100, 10**9),
    "generate_question_answer_pairs.max_concurrency": (1, 2, 64),
}


class TestDrafts:
    @pytest.mark.parametrize("parameters", [{}, GIVEN])
    def test_every_draft_asks_within_the_caps(
        self, bound: Bound, place: Path, host: Host, parameters: dict[str, Any]
    ) -> None:
        write_pool(place, language_models=CAPS)
        asked = {"rephrase_text", "generate_question_answer_pairs"}
        limits = GrammarLimits(
            operators=(*asked, "weighted_mix"), parameters=parameters, corpus_steps=1
        )
        space = recipe_space(host, place / "pool" / "pool.yaml", limits=limits)
        assert set(space.operators) == asked | {"weighted_mix"}
        written = set()
        for seed in range(60):
            recipe = self._drawn(space, seed)
            assert told(bound(recipe)) == []
            written |= {
                s["op"] for source in recipe["sources"].values() for s in source.get("steps", ())
            }
        assert written == asked

    @staticmethod
    def _drawn(space: RecipeSpace, seed: int) -> dict[str, Any]:
        recipe = space.recipe(space.draw(RandomChooser(seed)), "drawn")
        return {key: value for key, value in recipe.items() if key != "name"}

    def test_without_caps_no_draft_asks(self, place: Path, host: Host) -> None:
        space = recipe_space(
            host, place / "pool" / "pool.yaml", limits=GrammarLimits(parameters=GIVEN)
        )
        assert "language_models of the pool" in space.left_out["rephrase_text"]
        write_pool(place, language_models={**CAPS, "budget_tokens": 3})
        space = recipe_space(host, place / "pool" / "pool.yaml")
        assert "rephrase_text.budget_tokens" in space.left_out["rephrase_text"]
