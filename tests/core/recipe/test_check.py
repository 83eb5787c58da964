"""Every mistake in a recipe is told once, where it stands, with what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, Problem, check_recipe, extra
from datachef.core.distribution import install_command

Check = Callable[..., list[Problem]]

WEB = "name: x\nsources:\n  web:\n    path: web.jsonl\n"


def test_a_sound_recipe_has_no_problems(problems: Check) -> None:
    assert problems(WEB + "    steps:\n    - op: size_filter\n") == []


# One mistake each: the recipe, then what must be told of it.
MISTAKES = {
    "operator": (
        WEB + "    steps:\n    - op: upper\n    - op: sise_filter\n",
        ("unknown_operator", 7, "sources.web.steps[1].op", "did you mean size_filter?"),
    ),
    "operator of the corpus": (
        WEB + "steps:\n- op: sortr\n",
        ("unknown_operator", 6, "steps[0].op", "did you mean sorter?"),
    ),
    "operator of the mix": (
        WEB + "mix:\n  op: share_mix\n",
        ("unknown_operator", 6, "mix.op", "did you mean shares_mix?"),
    ),
    "mix among steps": (
        WEB + "steps:\n- op: even_mix\n",
        ("unknown_operator", 6, "steps[0].op", "use it in `mix:`"),
    ),
    "step as mix": (
        WEB + "mix:\n  op: upper\n",
        ("unknown_operator", 6, "mix.op", "use it as a step"),
    ),
    "step without operator": (
        WEB + "steps:\n- min_size: 3\n",
        ("missing_operator", 6, "steps[0]", "add `op: ...`"),
    ),
    "operator that is no name": (
        WEB + "steps:\n- op: [upper]\n",
        ("unknown_operator", 6, "steps[0].op", "did you mean upper?"),
    ),
    "step that is no mapping": (
        WEB + "steps:\n- upper\n",
        ("model_attributes_type", 6, "steps[0]", ""),
    ),
    "parameter": (
        WEB + "    steps:\n    - op: size_filter\n      keep_signals: true\n      min_sise: 3\n",
        ("unknown_field", 8, "sources.web.steps[0].min_sise", "did you mean min_size"),
    ),
    "parameter's type": (
        WEB + "steps:\n- op: size_filter\n  min_size: few\n",
        ("int_parsing", 7, "steps[0].min_size", ""),
    ),
    "parameter's range": (
        WEB + "steps:\n- op: size_filter\n\n  min_size: -1\n",
        ("greater_than_equal", 8, "steps[0].min_size", ""),
    ),
    "required parameter": (
        WEB + "steps:\n- op: reader\n",
        ("missing_field", 6, "steps[0].file", "add `file: ...`"),
    ),
    "field of the recipe": (
        WEB + "ouput:\n  format: jsonl\n",
        ("unknown_field", 5, "ouput", "did you mean output?"),
    ),
    "operator at the top": (
        WEB + "op: [x]\n",
        ("unknown_field", 5, "op", ""),
    ),
    "field of a source": (
        WEB + "    licens: MIT\n",
        ("unknown_field", 5, "sources.web.licens", "did you mean licence?"),
    ),
    "field of the output": (
        WEB + "output:\n  fromat: jsonl\n",
        ("unknown_field", 6, "output.fromat", "did you mean format?"),
    ),
    "type in a source": (
        WEB + "    take: many\n",
        ("int_parsing", 5, "sources.web.take", ""),
    ),
    "range in a source": (
        WEB + "    description: d\n    max_failed: 2\n",
        ("less_than_equal", 6, "sources.web.max_failed", ""),
    ),
    "field of a format": (
        WEB + "    format:\n      text: text\n      txt: b\n",
        ("unknown_field", 7, "sources.web.format.txt", ""),
    ),
    "format that is none": (
        WEB + "    format:\n      txt: b\n",
        ("unknown_format", 5, "sources.web.format", ""),
    ),
    "type in a format": (
        WEB + "    format:\n      text: [a]\n",
        ("string_type", 6, "sources.web.format.text", ""),
    ),
    "path that is no path": (
        "name: x\nsources:\n  web:\n    take: 3\n    path: 5\n",
        ("tuple_type", 5, "sources.web.path", ""),
    ),
    "choice": (
        WEB + "output:\n  format: parket\n",
        ("literal_error", 6, "output.format", ""),
    ),
    "name": (
        "sources:\n  web:\n    path: web.jsonl\nname: a b\n",
        ("value_error", 4, "name", ""),
    ),
    "no name": (
        "\nsources:\n  web:\n    path: web.jsonl\n",
        ("missing_field", 2, "name", "add `name: ...`"),
    ),
    "name of a source": (
        WEB + "  a/b:\n    path: web.jsonl\n",
        ("value_error", 5, "sources.'a/b'", ""),
    ),
    "sources of two kinds": (
        WEB + "    hf: a/b\n",
        ("source_kind", 3, "sources.web", "pool"),
    ),
    "no sources": (
        "name: x\nsources: {}\n",
        ("too_short", 2, "sources", ""),
    ),
    "sources as a list": (
        "name: x\nsources:\n- path: web.jsonl\n",
        ("dict_type", 2, "sources", ""),
    ),
    "nothing": ("null\n", ("not_a_recipe", 1, "", "begin with name: and sources:")),
    "not a mapping": ("\n- name: x\n", ("not_a_recipe", 2, "", "begin with name: and sources:")),
    "source of no pool": (
        "name: x\nsources:\n  web:\n",
        ("unknown_source", 3, "sources.web", "add path: or hf:"),
    ),
    "source that the pool has not": (
        "name: x\npool: pool.yaml\nsources:\n  wob:\n",
        ("unknown_source", 4, "sources.wob", "did you mean web?"),
    ),
    "pool file": (
        WEB + "pool: gone.yaml\n",
        ("no_file", 5, "pool", "relative to the recipe's folder"),
    ),
    "task file": (
        WEB + "task: ~nobody-has-this-name/gone.yaml\n",
        ("no_file", 5, "task", "relative to the recipe's folder"),
    ),
    "task that is a list": (
        WEB + "task: odd.yaml\n",
        ("not_a_mapping", 5, "task", ""),
    ),
    "pattern without files": (
        "name: x\nsources:\n  web:\n    take: 3\n    path: pages-*.jsonl\n",
        ("no_file", 5, "sources.web.path", "holds bench.jsonl, chat.jsonl"),
    ),
    "folder": (
        "name: x\nsources:\n  web:\n    path: .\n",
        ("is_folder", 4, "sources.web.path", "*.jsonl"),
    ),
    "file format": (
        "name: x\nsources:\n  web:\n    path: pool.yaml\n",
        ("unknown_file_format", 4, "sources.web.path", "jsonl"),
    ),
    "home of nobody": (
        "name: x\nsources:\n  web:\n    path: ~nobody-has-this-name/a.jsonl\n",
        (None, 4, "sources.web.path", ""),
    ),
    "path beyond what is possible": (
        f"name: x\nsources:\n  web:\n    path: {'a' * 4000}\n",
        (None, 4, "sources.web.path", ""),
    ),
    "unclear format": (
        "name: x\nsources:\n  web:\n    path: odd.jsonl\n",
        ("unclear_format", 4, "sources.web.path", "format: {text: FIELD}"),
    ),
    "format that does not fit": (
        WEB + "    format: {text: txt}\n",
        ("format_mismatch", 4, "sources.web.path", "did you mean text?"),
    ),
    "column": (
        WEB + "    steps:\n    - op: upper\n      column: urll\n",
        ("missing_column", 6, "sources.web.steps[0]", "did you mean url?"),
    ),
    "column that a signal would be": (
        WEB + "    steps:\n    - op: size_filter\n    - op: upper\n      column: size\n",
        (
            "missing_column", 7, "sources.web.steps[1]",
            "size_filter (sources.web.steps[0]) measures it: set keep_signals: true there",
        ),
    ),
    "column of one source alone": (
        WEB + "  chat:\n    path: chat.jsonl\nsteps:\n- op: upper\n"
        "- op: upper\n  column: messages\n",
        ("missing_column", 9, "steps[1]", ""),
    ),
    "output column": (
        WEB + "output:\n  columns:\n  - url\n  - urk\n",
        ("missing_column", 8, "output.columns[1]", "did you mean url?"),
    ),
    "package": (
        WEB + "steps:\n- op: upper\n- op: heavy\n",
        ("missing_package", 7, "steps[1]", 'pip install "a-package[heavy]"'),
    ),
    "file of an operator": (
        WEB + "steps:\n- op: reader\n  file: gone.txt\n",
        ("no_file", 6, "steps[0]", ""),
    ),
    "tokenizer": (
        WEB + "tokenizer: gone.json\n",
        ("no_file", 5, "tokenizer", "a tokenizer.json"),
    ),
    "tokenizer beyond what is possible": (
        WEB + f"tokenizer: {'t' * 5000}\n",
        ("no_file", 5, "tokenizer", "a tokenizer.json"),
    ),
    "weight of no source": (
        WEB + "mix:\n  op: shares_mix\n  weights:\n    web: 1\n    wob: 1\n",
        ("unknown_source", 9, "mix.weights.wob", "did you mean web?"),
    ),
    "steps of a source without weight": (
        WEB + "  chat:\n    path: chat.jsonl\n    steps:\n    - op: upper\n"
        "mix:\n  op: shares_mix\n  weights: {web: 1, chat: 0}\n",
        ("unreachable_step", 8, "sources.chat.steps[0]", "give it a weight"),
    ),
    "budget": (
        WEB + "mix:\n  op: shares_mix\n  weights: {web: 1}\n  budget:\n    tokens: 5_000_000\n",
        ("impossible", 9, "mix.budget.tokens", "ask for less"),
    ),
    "budget of two kinds": (
        WEB + "mix:\n  op: shares_mix\n  budget: {tokens: 5, rows: 5}\n",
        ("value_error", 7, "mix.budget", ""),
    ),
    "documents as conversations": (
        WEB + "output:\n  schema: messages\n",
        ("no_messages", 6, "output.schema", "schema: text"),
    ),
    "recipe rule": (
        WEB + "\nseed: 13\n",
        ("team_rule", 6, "seed", "take 14"),
    ),
    "recipe rule that breaks": (
        "# c\nname: crash\nsources:\n  web:\n    path: web.jsonl\n",
        ("broken_rule", 2, "", ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_told_once_and_where_it_is(
    problems: Check, workspace: Path, operators_file: str, mistake: str
) -> None:
    (workspace / "odd.yaml").write_text("- a\n")
    text, (code, line, path, hint) = MISTAKES[mistake]
    (problem,) = problems(text, host=Host([operators_file], only={"sources"}))
    assert problem.code == code or code is None
    assert (problem.line, problem.path) == (line, path)
    assert hint in problem.hint
    assert problem.message
    assert problem.column > 0
    assert problem.file == str(workspace / "recipe.yaml")


def test_all_problems_are_told_at_once_in_the_order_of_lines(problems: Check) -> None:
    found = problems(
        WEB + "    steps:\n    - op: heavy\n    - op: upper\n      column: no\n"
        "  chat:\n    path: gone.jsonl\n"
        "mix:\n  op: shares_mix\n  weights: {web: 1, chat: 1, more: 1}\n"
        "output: {schema: messages, columns: [not_there]}\ntokenizer: gone.json\n"
    )
    assert [(p.line, p.code) for p in found] == [
        (6, "missing_package"),
        (7, "missing_column"),
        (10, "no_file"),
        (13, "unknown_source"),
        (14, "no_messages"),
        (15, "no_file"),
    ]
    broken = problems("nam: x\nsources:\n  web:\n    pat: 1\nsteps:\n- op: no\nseed: -1\nnam: y\n")
    assert [p.line for p in broken] == sorted(p.line for p in broken)
    assert {p.code for p in broken} == {
        "unknown_field", "missing_field", "unknown_operator", "greater_than_equal", "duplicate_key",
    }  # fmt: skip


def test_columns_that_a_step_brings_are_there_for_the_next(problems: Check) -> None:
    assert not problems(
        WEB + "    steps:\n    - {op: size_filter, keep_signals: true}\n"
        "    - {op: upper, column: size, writes_column: mood}\n    - {op: upper, column: mood}\n"
        "    - {op: upper, column: tokens}\noutput: {columns: [mood, size, url, tokens]}\n"
    )


def test_conversations_may_be_made_along_the_way(problems: Check) -> None:
    assert not problems(WEB + "    steps:\n    - op: to_chat\noutput: {schema: messages}\n")


def test_a_missing_package_of_a_source_is_told(
    problems: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = problems("name: x\nsources:\n  web:\n    hf: a/b\n")
    assert (problem.code, problem.line) == ("missing_package", 4)
    assert problem.hint == install_command(extra("hf"))


def test_a_benchmark_that_is_gone(problems: Check, workspace: Path) -> None:
    (workspace / "bench.jsonl").unlink()
    (problem,) = problems(WEB + "task: task.yaml\n")
    assert (problem.code, problem.line) == ("no_file", 5)
    assert "bench.jsonl" in problem.message


def test_mistakes_of_task_and_pool_stand_in_their_own_files(
    problems: Check, workspace: Path
) -> None:
    (workspace / "task.yaml").write_text("name: t\nbenchmark: {path: bench.jsonl}\nmetrik: label\n")
    (workspace / "pool.yaml").write_text("sources:\n  web:\n    path: web.jsonl\n  empty: {}\n")
    found = problems("name: x\ntask: task.yaml\npool: pool.yaml\nsources:\n  web:\n")
    assert [(Path(p.file).name, p.line, p.code) for p in found] == [
        ("pool.yaml", 4, "source_kind"),
        ("task.yaml", 3, "unknown_field"),
    ]
    assert found[1].hint == "did you mean metric?"


class TestRowsThatWillFail:
    """What the first rows show is told before anything runs, and keeps nothing from running."""

    @pytest.fixture
    def warnings(self, workspace: Path, sample_host: Host) -> Callable[..., list[Problem]]:
        def check(*chats: list[dict[str, Any]], output: str = "") -> list[Problem]:
            rows = [json.dumps({"messages": turns}) for turns in chats]
            (workspace / "chats.jsonl").write_text("\n".join(rows))
            path = workspace / "recipe.yaml"
            path.write_text(f"name: r\nsources:\n  chats: {{path: chats.jsonl}}\n{output}")
            result = check_recipe(path, sample_host)
            assert not result.problems
            return list(result.warnings)

        return check

    def test_unknown_roles_are_counted(self, warnings: Callable[..., list[Problem]]) -> None:
        good, bad = chat("user", "assistant"), chat("hummany", "assistant")
        (found,) = warnings(good, bad, bad, good)
        assert found.code == "unknown_role"
        assert found.message.startswith("2 of the first 4 rows of chats will fail: 'hummany' is no")
        assert "did you mean human" in found.message
        assert "roles: {student: user}" in found.hint
        assert (found.path, found.line) == ("sources.chats", 3)

    def test_pictures_and_calls_too(self, warnings: Callable[..., list[Problem]]) -> None:
        picture = [{"role": "user", "content": [{"type": "image"}]}]
        call = [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
        found = warnings(chat("user", "assistant"), picture, call)
        assert [problem.code for problem in found] == ["unsupported_content", "bad_tool_call"]

    @pytest.mark.parametrize(
        ("output", "codes"),
        [
            ("output: {schema: text}", []),
            ("output: {schema: messages}", ["unanswered"]),
            ("", ["unanswered"]),
            (
                "output: {schema: prompt_completion}",
                ["answer_is_not_last", "no_prompt", "unanswered"],
            ),
        ],
    )
    def test_what_the_schema_of_the_output_cannot_hold(
        self, warnings: Callable[..., list[Problem]], output: str, codes: list[str]
    ) -> None:
        chats = [chat("user", "assistant"), chat("user"), chat("assistant")]
        found = warnings(*chats, chat("user", "assistant", "user"), output=output)
        assert sorted(problem.code for problem in found) == codes
        assert all("1 of the first 4 rows of chats cannot" in problem.message for problem in found)


def chat(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "x"} for role in roles]


QUESTION = {"question": "q", "answer": "a"}


@pytest.mark.parametrize(
    ("row", "format", "expected"),
    [
        (QUESTION | {"context": "c"}, "", 'prompt: "{context} {question}"'),
        (QUESTION | {"system_prompt": "s"}, "", "system: system_prompt"),
        ({"messages": chat("user", "assistant"), "system_message": "s"}, "", "system_message"),
        ({"messages": chat("user", "assistant"), "context": "c"}, "", None),
        (QUESTION | {"context": None}, "", None),
        (QUESTION | {"context": "c"}, ", format: {prompt: question, completion: answer}", None),
    ],
)
def test_fields_that_mostly_belong_to_conversations_are_named(
    workspace: Path, sample_host: Host, row: dict[str, Any], format: str, expected: str | None
) -> None:
    (workspace / "chats.jsonl").write_text(json.dumps(row))
    path = workspace / "recipe.yaml"
    path.write_text(f"name: r\nsources:\n  chats: {{path: chats.jsonl{format}}}\n")
    result = check_recipe(path, sample_host)
    assert not result.problems
    assert [found.code for found in result.warnings] == ["unread_field"] * bool(expected)
    assert all(expected in found.hint for found in result.warnings if expected)
