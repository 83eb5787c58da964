"""A working folder full of Python files that bear the names of modules we import."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from command import CHEF

_NAMES = {*sys.stdlib_module_names, *packages_distributions(), "sitecustomize", "usercustomize"}
_PROBE = """
import sys

def names():
    import orjson, polars, random, json
    return [module.__file__ for module in (orjson, polars, random, json)]

if __name__ == "__main__":
    from datachef.core import BenchmarkItem
    from datachef.core.system.child_process import ProcessPool
    from datachef.reward.metrics import make_metric

    with ProcessPool(1) as pool:
        print(*pool.submit(names).result(), sep="\\n")
    print(make_metric("math_match").score(r"\\boxed{\\frac12}", BenchmarkItem("", "0.5")) == 1)
    tested = BenchmarkItem("", "", row={"tests": "import random, json\\nassert f() == 1"})
    print(make_metric("unit_tests", allow_code=True).score("def f():\\n    return 1", tested) == 1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modules and packages of all names, each of which leaves its name behind and ends its process;
    beside them a recipe with its data and task, and a configuration that names one of them."""
    folder = tmp_path_factory.mktemp("working")
    sprung = str(folder.parent / "sprung")
    trap = f"open({sprung!r}, 'a').write(__name__ + '\\n')\nraise SystemExit(3)\n"
    for number, name in enumerate(sorted(name for name in _NAMES if name.isidentifier())):
        if number % 4:
            (folder / f"{name}.py").write_text(trap)
        else:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(trap)
    (folder / "datachef.toml").write_text('plugins = ["orjson.py"]')
    items = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}"} for n in range(60)]
    for name, rows in {"rows": items[:50], "bench": items[50:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "task.yaml").write_text(
        "name: sums\nbenchmark: {path: bench.jsonl, prompt: question, answer: answer}\n"
        "metric: number_match\n"
    )
    (folder / "recipe.yaml").write_text(
        "name: r\ntask: task.yaml\n"
        "sources: {s: {path: rows.jsonl, format: {prompt: question, completion: answer}}}\n"
        "steps: [{op: fix_unicode}, {op: language_filter, languages: [en]}, {op: exact_dedup}]\n"
    )
    return folder


def _started(folder: Path, *program: str) -> str:
    """What a program prints that is started in the folder, of whose modules none was imported."""
    result = subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)
    sprung = folder.parent / "sprung"
    assert not sprung.exists(), sprung.read_text()
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_traps_work(folder: Path) -> None:
    """Python itself, started as we must not start it, steps into them."""
    command = [sys.executable, "-m", "orjson"]
    result = subprocess.run(command, capture_output=True, check=False, cwd=folder)
    sprung = folder.parent / "sprung"
    assert result.returncode != 0
    assert sprung.read_text()
    sprung.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "recipe.yaml"),
        ("plan", "recipe.yaml"),
        ("run", "recipe.yaml", "--workers", "2", "--output", "out"),
        ("doctor",),
    ],
)
def test_commands_and_their_workers(folder: Path, arguments: tuple[str, ...]) -> None:
    said = _started(folder, *CHEF, *arguments)
    if arguments[0] == "run":
        assert "rows" in said


def test_a_score(folder: Path) -> None:
    pytest.importorskip("lightgbm")
    assert "recipe.yaml" in _started(folder, *CHEF, "score", "recipe.yaml")


def test_pools_of_processes_and_the_sandbox(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    probe = tmp_path / "probe.py"
    probe.write_text(_PROBE)
    *modules, equal, passed = _started(folder, sys.executable, "-P", str(probe)).splitlines()
    assert len(modules) == 4
    assert not any(str(folder) in module for module in modules)
    assert (equal, passed) == ("True", "True")
