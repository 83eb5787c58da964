"""What commands and checks of recipes say where a plugin breaks while it is used."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import chef
from odd_plugins import HEAD, OPERATORS, Write, examined

from datachef.core import DatachefError, Problem


def chef_here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return chef(*arguments, folder=folder, DATACHEF_PLUGINS="engines,sources,filters")


COMMANDS = """
print('loud')
@hookimpl
def datachef_commands(app):
    @app.command("run")
    def mine():
        "Would replace ours."
    @app.command("odd-fine")
    def fine():
        "Works."
        print("fine")
    @app.command("odd-broken")
    def broken(x: int | dict):
        "Has a parameter that no command line can give."
    @app.command("odd-breaks")
    def breaks():
        "Breaks."
        {}["x"]
    @app.callback()
    def callback():
        "Would replace ours."
"""


def test_commands_that_collide_or_cannot_be_built(write_plugin: Write, tmp_path: Path) -> None:
    file = write_plugin(COMMANDS + OPERATORS.format(""))
    listed = chef_here(tmp_path, "plugins", "--json", "--plugin", file)
    odd = json.loads(listed.stdout)["result"][-1]
    assert listed.returncode == 0
    assert "'run' is a command of chef itself already" in odd["error"]
    assert "app.callback would replace" in odd["error"]
    assert "broken: AssertionError: " in odd["error"]
    assert "loud" in listed.stderr
    fine = chef_here(tmp_path, "odd-fine", "--plugin", file)
    assert (fine.stdout, fine.returncode) == ("fine\n", 0)
    assert f"warning: plugin odd ({file}): " in fine.stderr
    breaks = chef_here(tmp_path, "odd-breaks", "--plugin", file)
    assert breaks.returncode == 3
    assert f"error: plugin odd ({file}), odd.py:" in breaks.stderr
    assert "KeyError: 'x'" in breaks.stderr
    assert "Traceback" not in breaks.stderr
    shown = chef_here(tmp_path, "run", "--help", "--plugin", file)
    assert "Run a recipe and print its ledger" in shown.stdout
    assert chef_here(tmp_path, "doctor", "--plugin", file).returncode == 1


def test_what_a_plugin_prints_does_not_reach_json(write_plugin: Write, tmp_path: Path) -> None:
    code = (
        HEAD + "print('import')\n" + OPERATORS.format("").replace("return", "print('hook'); return")
    )
    loud = "        print('rewriting'); os.system('echo C')\n        return text"
    write_plugin("")
    (tmp_path / "odd.py").write_text(code.replace("        return text", loud, 1))
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources:\n  a:\n    path: rows.jsonl\n    steps: [{op: good}]\n"
    )
    for call in (["check", "r.yaml"], ["plan", "r.yaml"], ["ops", "good"], ["plugins"]):
        done = chef_here(tmp_path, *call, "--json", "--plugin", "odd.py")
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout)["result"], list | dict)
    ran = chef_here(tmp_path, "run", "r.yaml", "--engine", "inline", "--json", "--plugin", "odd.py")
    assert json.loads(ran.stdout)["result"]["rows"] == 1
    assert "rewriting" in ran.stderr


def test_a_recipe_that_needs_a_broken_plugin_says_why(
    write_plugin: Write, problems: Callable[..., list[Problem]]
) -> None:
    host, _ = examined(write_plugin("raise OSError('disk gone')"))
    (problem,) = problems(
        "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps:\n      - op: good\n", host=host
    )
    assert problem.code == "unknown_operator"
    assert "odd (OSError: disk gone (odd.py:" in problem.hint
    found = problems("name: r\nsources:\n  web:\n    wiki: en\n", host=host)
    (problem,) = [p for p in found if p.code == "unknown_field"]
    assert "odd (OSError: disk gone (odd.py:" in problem.hint


RULES = """
@hookimpl
def datachef_recipe_rules(recipe):
    {}
"""


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("return 'no'", "returned the str 'no', not a list of Problems"),
        ("return [3]", "the int 3 is no Problem"),
        ("yield Problem('x', 'bad')\n    sys.exit()", "SystemExit"),
    ],
)
def test_rules_that_break_stop_the_recipe(
    write_plugin: Write, problems: Callable[..., list[Problem]], body: str, cause: str
) -> None:
    host, odd = examined(write_plugin(RULES.format(body)))
    assert odd.error == ""
    (problem,) = problems("name: r\nsources:\n  web:\n    path: web.jsonl\n", host=host)
    assert problem.code == "broken_rule"
    assert cause in problem.message


VALIDATOR = """
from pydantic import model_validator
class X(Good):
    "X."
    op: Literal["x"] = "x"
    at: int = Field(0, ge=0, le=9, description="x")
    @model_validator(mode="after")
    def check(self):
        if self.at:
            raise KeyError("surprise")
        return self
    def located(self, folder):
        return 1 / 0 if self.at else self
"""


def test_a_validator_that_breaks_is_a_problem_of_the_recipe(
    write_plugin: Write, problems: Callable[..., list[Problem]]
) -> None:
    host, odd = examined(write_plugin(VALIDATOR + OPERATORS.format("X")))
    assert odd.error == ""
    (problem,) = problems(
        "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps: [{op: x, at: 3}]\n", host=host
    )
    assert problem.code == "broken_operator"
    assert f"plugin odd ({odd.package}), odd.py:" in problem.message
    assert "KeyError: 'surprise'" in problem.message


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("yield 'at', 'bad', ''\n        raise KeyError('midway')", "raised KeyError: 'midway'"),
        ("return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("return None", "gave None, not a list of (parameter, message, hint)"),
        ("return 'bad'", "gave the str 'bad', not a list of"),
        ("return [('at', 'bad')]", "gave the list [('at', 'bad')], not a list of"),
    ],
)
def test_objections_that_break_are_the_operators(
    write_plugin: Write, problems: Callable[..., list[Problem]], body: str, cause: str
) -> None:
    code = "class X(Good):\n    'X.'\n    op: Literal['x'] = 'x'\n"
    code += f"    def check(self, context):\n        {body}\n"
    host, _ = examined(write_plugin(code + OPERATORS.format("X")))
    with pytest.raises(DatachefError, match=r"check\(\) of x") as raised:
        problems(
            "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps: [{op: x}]\n", host=host
        )
    assert cause in raised.value.message
