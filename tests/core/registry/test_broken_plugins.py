"""What is wrong with a plugin is its own problem, named; whatever else is there works."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from datachef.core import DatachefError, Host, Problem
from datachef.core.registry.host import Plugin

HEAD = """
import contextlib, os, sys, warnings, logging
from abc import abstractmethod
from typing import Any, Literal
import polars as pl
from pydantic import ConfigDict, Field
from datachef.core import (Context, CorpusOperator, Filter, MixOperator, Operator, Problem,
                           TextTransform, Transform, hookimpl)
from datachef.core import RunObserver
from datachef.core import Source

class Good(TextTransform):
    \"\"\"Does nothing.\"\"\"
    op: Literal["good"] = "good"
    def rewrite(self, text):
        return text

class Size(Filter):
    \"\"\"Measures.\"\"\"
    def signals(self):
        return {"size": pl.col("text").str.len_chars()}
    def rules(self):
        return {"small": pl.col("size") < 3}
"""

OPERATORS = """
@hookimpl
def datachef_operators():
    return [Good, {}]
"""

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(code: str) -> str:
        path = tmp_path / "odd.py"
        path.write_text(HEAD + code)
        return str(path)

    return put


def examined(*files: str) -> tuple[Host, Plugin]:
    """A host with our sources and these files, and what it says of the last one."""
    host = Host(files, only={"sources", "engines"})
    host.examine()
    assert [p.name for p in host.broken if p.package == "datachef-core"] == []
    assert host.vocabulary.source_keys == ("hf", "path")
    assert set(host.named("datachef_engines")) >= {"inline", "local"}
    return host, host.plugins[-1]


HOOKS = [
    ("return 'Good'", "returned the str 'Good', not a list of operator classes"),
    ("return {'good': Good}", "not a list of operator classes"),
    ("return None", "returned None, not a list of operator classes"),
    ("pass", "returned None"),
    ("return 3", "returned the int 3, not a list"),
    ("return Good", "returned Good, not a list"),
    ("yield Good\n    raise KeyError('midway')", "KeyError: 'midway' (odd.py:"),
    ("sys.exit(3)", "SystemExit: 3 (odd.py:"),
    ("raise BaseException('rude')", "BaseException: rude"),
    (
        "raise __import__('datachef.core').core.DatachefError('no key', 'set KEY')",
        "no key (set KEY)",
    ),
]


@pytest.mark.parametrize(("body", "cause"), HOOKS)
def test_a_hook_that_answers_nonsense(write: Write, body: str, cause: str) -> None:
    _, odd = examined(write(f"@hookimpl\ndef datachef_operators():\n    {body}\n"))
    assert odd.error.startswith("datachef_operators")
    assert cause in odd.error


# Every class beside which `Good` stands, and what is said of it.
CLASSES = [
    ("3", "", "the int 3 is no Operator class"),
    ("Good()", "", "Good(...) is an object: register the class"),
    ("dict", "", "dict is no Operator class"),
    ("Filter", "", "Filter has no name"),
    ("Size", "", "Size has no name: write op: Literal"),
    ("X", "class X(Size):\n    'X.'\n    op: str = 'odd'\n", "X has no name: write op: Literal"),
    ("X", "class X(Size):\n    'X.'\n    op: Literal['a', 'b'] = 'a'\n", "X has no name"),
    ("X", "class X(Size):\n    'X.'\n    op: Literal['take'] = 'take'\n", "name of datachef's own"),
    ("X", "class X(Size):\n    'X.'\n    op: Literal['read'] = 'read'\n", "name of datachef's own"),
    ("X", "class X(Filter):\n    'X.'\n    op: Literal['x'] = 'x'\n    def signals(self): ...\n",
     "X does not define rules()"),
    ("X", "class X(CorpusOperator):\n    'X.'\n    op: Literal['x'] = 'x'\n",
     "X does not define resolve(), summarize()"),
    ("X", "class X(Good):\n    'X.'\n    op: Literal['x'] = 'x'\n    @abstractmethod\n"
          "    def more(self): ...\n", "X does not define more()"),
    ("X", "class X(Operator):\n    'X.'\n    op: Literal['x'] = 'x'\n", "none of the four shapes"),
    ("X", "class X(Good):\n    'X.'\n    op: Literal['x'] = 'x'\n    version = 'two'\n",
     "version is the str 'two'"),
    ("X", "class X(Good):\n    'X.'\n    model_config = ConfigDict(arbitrary_types_allowed=True)\n"
          "    op: Literal['x'] = 'x'\n    at: pl.Expr | None = Field(None, description='x')\n",
     "X has no JSON Schema"),
    ("X", "class X(Good):\n    'X.'\n    op: Literal['x'] = 'x'\n"
          "    at: 'Unknown' = Field(None, description='x')\n", "X has no JSON Schema"),
]  # fmt: skip


@pytest.mark.parametrize(("listed", "code", "cause"), CLASSES)
def test_a_class_that_is_no_operator(write: Write, listed: str, code: str, cause: str) -> None:
    host, odd = examined(write(code + OPERATORS.format(listed)))
    assert cause in odd.error
    assert list(host.vocabulary) == ["good"]


# A class that is one, and breaks a promise that can be tried without a recipe.
PROMISES = [
    ("def rules(self): return {'small': pl.col('sise') < 3}",
     "the rule 'small' reads 'sise', which is no signal and not in reads() (did you mean size?)"),
    ("def signals(self): return {'_size': pl.lit(1)}", "the rule 'small' reads 'size'"),
    ("def signals(self): return {'size': pl.col('tekst').str.len_chars()}",
     "the signal 'size' reads 'tekst'"),
    ("def signals(self): return {'size': pl.col('_b'), '_a': pl.col('_b'), '_b': pl.col('text')}",
     "the signal '_a' reads '_b'"),
    ("def signals(self): return ['size']", "signals() gave the list ['size'], not a mapping"),
    ("def signals(self): return None", "signals() gave None"),
    ("def signals(self): return {'size': [1, 2]}", "the signal 'size' is the list [1, 2]"),
    ("def signals(self): return {'size': pl.lit(1), 'text': pl.lit(1)}",
     "the signal 'text' has the name of a column"),
    ("def signals(self): return {1: pl.lit(1)}", "signals() has the int 1 for a name"),
    ("def rules(self): return {'small': True}", "the rule 'small' is the bool True"),
    ("def rules(self): return [pl.col('size') < 3]", "rules() gave the list"),
    ("def reasons(self): return ('tiny',)", "reasons() does not name the rule 'small'"),
    ("def reasons(self): return 'small'", "reasons() gave the str 'small', not names"),
    ("def reads(self): return 'text'", "reads() gave the str 'text', not names"),
    ("def reads(self): return None", "reads() gave None"),
    ("def requires(self): return ['torch']", "requires() gave the list"),
    ("def rules(self): return {}['x']", "rules() raised KeyError: 'x'"),
    ("def files(self): sys.exit()", "files() raised SystemExit"),
    ("def identity(self): return {}['x']", "identity() raised KeyError: 'x'"),
    ("def identity(self): return None", "identity() gave None, not a dictionary"),
    ("def identity(self): return {'parameters': {'at': object()}}",
     "identity() gave what cannot be stored as JSON: Type is not JSON serializable: object"),
    ("def signal_names(self): return {}['x']", "signal_names() raised KeyError: 'x'"),
    ("def signal_identity(self): return 3", "signal_identity() gave the int 3"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "cause"), PROMISES)
def test_a_promise_that_an_operator_breaks(
    write: Write, problems: Callable[..., list[Problem]], method: str, cause: str
) -> None:
    code = f"class X(Size):\n    'X.'\n    op: Literal['x'] = 'x'\n    {method}\n"
    host, odd = examined(write(code + OPERATORS.format("X")))
    assert f"x: {cause}" in odd.error
    recipe = "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps:\n      - op: {}\n"
    assert problems(recipe.format("good"), host=host) == []
    (problem,) = problems(recipe.format("x"), host=host)
    assert (problem.code, problem.line) == ("broken_operator", 6)
    assert problem.message.startswith(f"x of {odd.package}: {cause}"[:60])


OTHERS = [
    ("datachef_sources", "return [Source]", "Source: key is the str ''"),
    ("datachef_sources", "return [type('S', (Source,), {'key': 'steps'})]", "no field of its own"),
    ("datachef_sources", "return [Good]", "Good is no Source class"),
    ("datachef_sources", "return 'path'", "returned the str 'path'"),
    ("datachef_engines", "return ['fast']", "returned the list ['fast'], not a mapping by name"),
    ("datachef_engines", "return {'fast': 'Engine'}", "fast is the str 'Engine', not a callable"),
    ("datachef_llm_backends", "return {3: dict}", "the int 3 is no name"),
    ("datachef_llm_backends", "return None", "returned None"),
    ("datachef_rewards", "return {'r'}", "returned the set {'r'}, not a mapping"),
    ("datachef_evaluation_backends", "return {'e': 1}", "e is the int 1, not a callable"),
    ("datachef_peer_names", "return ['a']", "returned the list ['a'], not a mapping"),
    ("datachef_peer_names", "return {'a': 1}", "the int 1 is no text by name"),
    ("datachef_run_observers", "return [RunObserver]", "is a class, not a RunObserver: call it"),
    ("datachef_run_observers", "return [3]", "the int 3 is no RunObserver"),
    ("datachef_run_observers", "raise SystemExit(1)", "SystemExit: 1"),
]


@pytest.mark.parametrize(("hook", "body", "cause"), OTHERS)
def test_other_hooks_that_answer_nonsense(write: Write, hook: str, body: str, cause: str) -> None:
    host, odd = examined(write(f"{OPERATORS.format('')}\n@hookimpl\ndef {hook}():\n    {body}\n"))
    assert odd.error.startswith(hook)
    assert cause in odd.error
    assert list(host.vocabulary) == ["good"]


FORMS = [
    ("@hookimpl(wrapper=True)\ndef datachef_operators():\n    return (yield)\n", "is a wrapper"),
    ("@hookimpl(hookwrapper=True)\ndef datachef_operators():\n    yield\n", "is a wrapper"),
    (
        "@hookimpl\ndef datachef_operators(recipe):\n    return []\n",
        "can not be found in",
    ),
    ("@hookimpl\ndef datachef_operatorz():\n    return []\n", "did you mean datachef_operators"),
    (
        "@hookimpl(specname='datachef_things')\ndef f():\n    return []\n",
        "unknown hook datachef_things",
    ),
]


@pytest.mark.parametrize(("code", "cause"), FORMS)
def test_a_hook_of_the_wrong_form(write: Write, code: str, cause: str) -> None:
    assert cause in examined(write(code))[1].error


def test_names_that_look_like_hooks_and_are_none(write: Write) -> None:
    code = "from polars import col\nfrom unittest.mock import call\nimport datachef_sample_x\n"
    sys.modules["datachef_sample_x"] = type(sys)("datachef_sample_x")
    try:
        host, odd = examined(write(f"{code}datachef_version = '1'\n" + OPERATORS.format("")))
    finally:
        del sys.modules["datachef_sample_x"]
    assert (odd.error, list(host.vocabulary)) == ("", ["good"])


def test_specname_and_an_optional_hook_work_as_pluggy_says(write: Write) -> None:
    code = "@hookimpl(specname='datachef_operators')\ndef mine():\n    return [Good]\n"
    more = "@hookimpl(optionalhook=True)\ndef datachef_of_tomorrow(what):\n    return 1\n"
    host, odd = examined(write(code + more))
    assert (odd.error, list(host.vocabulary)) == ("", ["good"])


def test_order_is_that_of_packages_and_of_tryfirst_and_trylast(tmp_path: Path) -> None:
    marks = {"a": "trylast=True", "b": "", "c": "tryfirst=True", "d": "tryfirst=True", "e": ""}
    files = []
    for name, mark in marks.items():
        path = tmp_path / f"{name}.py"
        path.write_text(
            f"{HEAD}\nclass O(RunObserver):\n    name = {name!r}\n"
            f"@hookimpl({mark})\ndef datachef_run_observers():\n    return [O()]\n"
        )
        files.append(str(path))
    for given in (files, files[::-1]):
        observers = Host(given, only=()).observers()
        assert "".join(observer.name for observer in observers) == "cdbea"  # type: ignore[attr-defined]


def test_the_same_class_twice_is_registered_once_and_noted(write: Write) -> None:
    host, odd = examined(write(OPERATORS.format("Good")))
    assert (odd.error, odd.note) == ("", "registers Good twice")
    assert list(host.vocabulary) == ["good"]


def test_a_file_given_twice_is_loaded_once(write: Write, tmp_path: Path) -> None:
    file = write("print('loading')\n" + OPERATORS.format(""))
    (tmp_path / "link.py").symlink_to(file)
    around = str(tmp_path / "." / ".." / tmp_path.name / "odd.py")
    host = Host([file, around, str(tmp_path / "link.py")], only=())
    assert [plugin.name for plugin in host.plugins] == ["odd"]
    assert host.files == (file,)
    assert list(host.vocabulary) == ["good"]


def test_two_files_of_one_stem_are_two_plugins(write: Write, tmp_path: Path) -> None:
    first = write(OPERATORS.format(""))
    second = tmp_path / "more" / "odd.py"
    second.parent.mkdir()
    second.write_text(Path(first).read_text().replace("good", "better").replace("Good", "Better"))
    host = Host([first, str(second)], only=())
    assert list(host.vocabulary) == ["better", "good"]
    modules = [host.vocabulary[name].__module__ for name in host.vocabulary]
    assert [sys.modules[name].__file__ for name in modules] == [str(second), first]


def test_an_edit_within_the_same_second_is_seen(write: Write) -> None:
    file = write(OPERATORS.format(""))
    assert list(Host([file], only=()).vocabulary) == ["good"]
    times = Path(file).stat()
    Path(file).write_text(Path(file).read_text().replace('"good"', '"food"'))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list(Host([file], only=()).vocabulary) == ["food"]


@pytest.mark.parametrize("name", ["gone.py", ".", "~nobody_at_all/x.py"])
def test_what_is_no_file_is_a_mistake_of_the_call(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatachefError, match="no plugin file") as raised:
        Host([str(tmp_path / name)], only=())
    assert raised.value.hint == "--plugin takes a Python file"


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"x = '\xff'\n", "SyntaxError"),
        (b"def f(:\n", "SyntaxError: invalid syntax (odd.py, line 1)"),
        (b"\x00\x01", "SyntaxError"),
        (b"import sys\nsys.exit('bye')\n", "SystemExit: bye (odd.py:2)"),
        (b"raise BaseException\n", "BaseException (odd.py:1)"),
        (b"class E(Exception):\n    def __str__(self): return 1/0\nraise E\n", "E: (it cannot be"),
        (b"raise ValueError('a\\nb' + 'x' * 9999)\n", "ValueError: a bxxx"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, raw: bytes, cause: str) -> None:
    path = tmp_path / "odd.py"
    path.write_bytes(raw)
    before = sys.modules.get("datachef_plugin_odd")
    _, odd = examined(str(path))
    assert odd.error.startswith(cause)
    assert "\n" not in odd.error
    assert len(odd.error) < 600
    assert sys.modules.get("datachef_plugin_odd") is before


def test_what_an_import_does_to_the_process_is_undone(
    write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, handlers, level = Path.cwd(), list(logging.root.handlers), logging.root.level
    file = write(
        "print('printed'); os.write(1, b'written\\n'); os.system('echo from a child')\n"
        "logging.basicConfig(level=1, force=True); logging.disable(50)\n"
        "warnings.simplefilter('error'); os.chdir('/'); sys.stdout = None\n"
        + OPERATORS.format("").replace("    return", "    print('hook')\n    return")
    )
    stdout, filters = sys.stdout, list(warnings.filters)
    host, odd = examined(file)
    assert odd.error == ""
    out, said = capfd.readouterr()
    assert out == ""
    for words in ("printed", "written", "from a child", "hook"):
        assert words in said
    assert Path.cwd() == folder
    assert (list(logging.root.handlers), logging.root.level) == (handlers, level)
    assert logging.root.manager.disable == 0
    assert warnings.filters == filters
    assert sys.stdout is stdout
    assert list(host.vocabulary) == ["good"]


def chef(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "datachef.core.cli", *arguments],
        cwd=folder,
        env=os.environ | {"DATACHEF_PLUGINS": "engines,sources,filters"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


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


def test_commands_that_collide_or_cannot_be_built(write: Write, tmp_path: Path) -> None:
    file = write(COMMANDS + OPERATORS.format(""))
    listed = chef(tmp_path, "plugins", "--json", "--plugin", file)
    odd = json.loads(listed.stdout)[-1]
    assert listed.returncode == 0
    assert "'run' is a command of chef itself already" in odd["error"]
    assert "app.callback would replace" in odd["error"]
    assert "broken: AssertionError: " in odd["error"]
    assert "loud" in listed.stderr
    fine = chef(tmp_path, "odd-fine", "--plugin", file)
    assert (fine.stdout, fine.returncode) == ("fine\n", 0)
    assert f"warning: plugin odd ({file}): " in fine.stderr
    breaks = chef(tmp_path, "odd-breaks", "--plugin", file)
    assert breaks.returncode == 3
    assert f"error: plugin odd ({file}), odd.py:" in breaks.stderr
    assert "KeyError: 'x'" in breaks.stderr
    assert "Traceback" not in breaks.stderr
    shown = chef(tmp_path, "run", "--help", "--plugin", file)
    assert "Run a recipe and print its ledger" in shown.stdout
    assert chef(tmp_path, "doctor", "--plugin", file).returncode == 1


def test_what_a_plugin_prints_does_not_reach_json(write: Write, tmp_path: Path) -> None:
    code = (
        HEAD + "print('import')\n" + OPERATORS.format("").replace("return", "print('hook'); return")
    )
    loud = "        print('rewriting'); os.system('echo C')\n        return text"
    write("")
    (tmp_path / "odd.py").write_text(code.replace("        return text", loud, 1))
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources:\n  a:\n    path: rows.jsonl\n    steps: [{op: good}]\n"
    )
    for call in (["check", "r.yaml"], ["plan", "r.yaml"], ["ops", "good"], ["plugins"]):
        done = chef(tmp_path, *call, "--json", "--plugin", "odd.py")
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout), list | dict)
    ran = chef(tmp_path, "run", "r.yaml", "--engine", "inline", "--json", "--plugin", "odd.py")
    assert json.loads(ran.stdout)["rows"] == 1
    assert "rewriting" in ran.stderr


def test_a_recipe_that_needs_a_broken_plugin_says_why(
    write: Write, problems: Callable[..., list[Problem]]
) -> None:
    host, _ = examined(write("raise OSError('disk gone')"))
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
    write: Write, problems: Callable[..., list[Problem]], body: str, cause: str
) -> None:
    host, odd = examined(write(RULES.format(body)))
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
    write: Write, problems: Callable[..., list[Problem]]
) -> None:
    host, odd = examined(write(VALIDATOR + OPERATORS.format("X")))
    assert odd.error == ""
    (problem,) = problems(
        "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps: [{op: x, at: 3}]\n", host=host
    )
    assert problem.code == "broken_operator"
    assert f"plugin odd ({odd.package}), odd.py:" in problem.message
    assert "KeyError: 'surprise'" in problem.message


def distribution(folder: Path, name: str, points: dict[str, str]) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {module}\n" for point, module in points.items()]
    (info / "entry_points.txt").write_text("[datachef]\n" + "".join(lines))


def test_one_module_under_two_entry_points_is_loaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = "@hookimpl\ndef datachef_engines():\n    return {'mine': dict}\n"
    (tmp_path / "spicemod.py").write_text(HEAD + OPERATORS.format("") + engines)
    distribution(tmp_path, "spicea", {"salt": "spicemod", "pepper": "spicemod"})
    distribution(tmp_path, "spiceb", {"thyme": "spicemod"})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spicemod", raising=False)
    host = Host(only={"salt", "pepper", "thyme"})
    told = {plugin.name: (plugin.error, plugin.note) for plugin in host.plugins}
    assert told == {
        "pepper": ("", ""),
        "salt": ("", "the same module as pepper, loaded once"),
        "thyme": ("", "the same module as pepper, loaded once"),
    }
    assert list(host.vocabulary) == ["good"]
    assert host.named("datachef_engines") == {"mine": dict}


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
    write: Write, problems: Callable[..., list[Problem]], body: str, cause: str
) -> None:
    code = "class X(Good):\n    'X.'\n    op: Literal['x'] = 'x'\n"
    code += f"    def check(self, context):\n        {body}\n"
    host, _ = examined(write(code + OPERATORS.format("X")))
    with pytest.raises(DatachefError, match=r"check\(\) of x") as raised:
        problems(
            "name: r\nsources:\n  web:\n    path: web.jsonl\n    steps: [{op: x}]\n", host=host
        )
    assert cause in raised.value.message
