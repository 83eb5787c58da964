"""What a check may touch: the pool alone, a sample of each source, the plugins that work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command import chef

from datachef.core import Host, Problem, Source, check_recipe
from datachef.core.rows.inspection import PLACES, ROWS
from datachef.core.rows.reader import SAMPLE_ROWS

Check = Callable[..., list[Problem]]

WEB = "name: x\nsources:\n  web:\n    path: web.jsonl\n"


@pytest.mark.parametrize(
    ("text", "line", "path"),
    [
        ("name: x\nsources:\n  web:\n    path: web.jsonl\n", 4, "sources.web.path"),
        ("name: x\nsources:\n  web:\n    path: ../../etc/passwd\n", 4, "sources.web.path"),
        ("name: x\nsources:\n  web:\n    path: /etc/passwd\n", 4, "sources.web.path"),
        ("name: x\nsources:\n  web:\n    path: [file:///etc/passwd]\n", 4, "sources.web.path"),
        ("name: x\nsources:\n  web:\n    hf: org/name\n", 4, "sources.web.hf"),
        ("name: x\nsources:\n  web:\npool: pool.yaml\n", 4, "pool"),
        ("name: x\nsources:\n  web:\npool: ../pool.yaml\n", 4, "pool"),
        ("name: x\nsources:\n  web:\ntokenizer: /etc/passwd\n", 4, "tokenizer"),
        ("name: x\nsources:\n  web:\ntask: /etc/passwd\n", 4, "task"),
        ("name: x\nsources:\n  web:\ntask: sub/../../task.yaml\n", 4, "task"),
        ("name: x\nsources:\n  web:\nsteps:\n- {op: reader, file: bench.jsonl}\n", 5, "steps[0]"),
    ],
)
def test_a_recipe_bound_to_a_pool_reads_nothing_else(
    problems: Check, text: str, line: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: (opened.append(self), real(self, *a, **k))[1]
    )
    found = [p for p in problems(text, pool="pool.yaml") if p.code != "missing_package"]
    assert [(p.code, p.line, p.path) for p in found] == [("not_in_pool", line, path)]
    assert {path.name for path in opened} <= {"recipe.yaml", "pool.yaml"}


def test_a_recipe_bound_to_a_pool_may_use_it_and_a_task_beside_it(problems: Check) -> None:
    sources = "sources:\n  web: {take: 3}\n  chat:\n    steps:\n    - op: upper\n"
    text = f"name: x\ntask: task.yaml\n{sources}"
    assert problems(text, pool="pool.yaml") == []
    (problem,) = problems(text.replace("web:", "wob:"), pool="pool.yaml")
    assert (problem.code, problem.hint) == ("unknown_source", "did you mean web?")


def test_overrides(problems: Check) -> None:
    text = WEB + "    steps:\n    - op: size_filter\n"
    assert not problems(text, overrides=("seed=3", "sources.web.steps[0].min_size=9", "pool="))
    assert not problems(text, overrides=("output.format=jsonl", "mix={op: even_mix}"))
    (problem,) = problems(text, overrides=("sources.web.steps[0].min_size=-9",))
    assert (problem.code, problem.line) == ("greater_than_equal", 6)
    for wrong in ("seed", "=3", "seed=[", "name.a=1", "sources.web.steps[7].a=1", "seed=&x 1"):
        assert [p.code for p in problems(text, overrides=(wrong,))] == ["bad_override"], wrong
    for wrong in (f"sources.web.steps[{'9' * 5000}].op=a", "sources.web.steps.².op=a"):
        assert [p.code for p in problems(text, overrides=(wrong,))] == ["bad_override"], wrong


def test_a_broken_plugin_is_named_where_its_operator_is_missing(
    problems: Check, operators_file: str, tmp_path: Path
) -> None:
    broken = tmp_path / "spices.py"
    broken.write_text("import a_module_that_does_not_exist\n")
    host = Host([operators_file, str(broken)], only={"sources"})
    (problem,) = problems(WEB + "steps:\n- op: pepper\n", host=host)
    assert problem.code == "unknown_operator"
    assert "spices (ModuleNotFoundError: No module named 'a_module_that" in problem.hint
    assert problems(WEB, host=host) == []


def test_the_command_tells_people_and_machines(workspace: Path, operators_file: str) -> None:
    path = workspace / "recipe.yaml"
    path.write_text(WEB)
    sound = chef("check", path, "--plugin", operators_file)
    assert (sound.returncode, sound.stdout, sound.stderr) == (0, f"{path}: no problems\n", "")
    assert json.loads(chef("check", path, "--json").stdout)["result"] == []
    path.write_text(WEB + "seed: 13\n")
    ruled = chef("check", path, f"--plugin={operators_file}")
    assert ruled.returncode == 2
    assert ruled.stdout == (
        f"{path}:5:1: we do not like 13 [team_rule] (at seed)\n    hint: take 14\n"
    )
    path.write_text(WEB + "seed: -1\nsources: 3\n")
    told = chef("check", path, "--json")
    assert told.returncode == 2
    assert [(p["code"], p["line"], p["column"]) for p in json.loads(told.stdout)["result"]] == [
        ("greater_than_equal", 5, 1),
        ("duplicate_key", 6, 1),
    ]
    run = chef("run", path)
    assert run.returncode == 2
    assert "[greater_than_equal]" in run.stderr


def test_no_data_is_read_beyond_a_sample(
    workspace: Path, sample_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        rows = "".join(json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(50_000))
        (workspace / f"{name}.jsonl").write_text(rows)
    steps = "".join(f"    - {{op: size_filter, min_size: {n}}}\n" for n in range(10))
    sources = "".join(f"  {n}:\n    path: {n}.jsonl\n    steps:\n{steps}" for n in ("a", "b"))
    path = workspace / "recipe.yaml"
    path.write_text(f"name: long\nsources:\n{sources}mix: {{op: even_mix}}\n")
    read = {"a": 0, "b": 0}
    kind: type[Source] = sample_host.vocabulary.source_type("path")
    original = kind.read

    def counting(self, partition):
        for row in original(self, partition):
            read[Path(partition.name).stem] += 1
            yield row

    monkeypatch.setattr(kind, "read", counting)
    assert not check_recipe(path, sample_host).problems
    # the first rows for the columns, and some here and there for the size that the mix is told
    assert all(0 < count <= SAMPLE_ROWS + PLACES * ROWS for count in read.values())
    read.update(a=0, b=0)
    path.write_text(f"name: long\nsources:\n{sources}")
    assert not check_recipe(path, sample_host).problems
    assert all(0 < count <= SAMPLE_ROWS for count in read.values())


def test_a_task_that_whoever_runs_the_recipe_chose_may_lie_elsewhere(
    problems: Check, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen = tmp_path_factory.mktemp("elsewhere") / "task.yaml"
    chosen.write_text("name: t\nbenchmark: {path: bench.jsonl}\n")
    text = "name: x\nsources:\n  web:\n"
    codes = [p.code for p in problems(text, pool="pool.yaml", overrides=(f"task={chosen}",))]
    assert "not_in_pool" not in codes
