"""What is wrong with a plugin is its own problem, named; whatever else is there works."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from odd_plugins import OPERATORS, Write, examined

from datachef.core import Problem

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
def test_a_hook_that_answers_nonsense(write_plugin: Write, body: str, cause: str) -> None:
    _, odd = examined(write_plugin(f"@hookimpl\ndef datachef_operators():\n    {body}\n"))
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
def test_a_class_that_is_no_operator(
    write_plugin: Write, listed: str, code: str, cause: str
) -> None:
    host, odd = examined(write_plugin(code + OPERATORS.format(listed)))
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
    write_plugin: Write, problems: Callable[..., list[Problem]], method: str, cause: str
) -> None:
    code = f"class X(Size):\n    'X.'\n    op: Literal['x'] = 'x'\n    {method}\n"
    host, odd = examined(write_plugin(code + OPERATORS.format("X")))
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
def test_other_hooks_that_answer_nonsense(
    write_plugin: Write, hook: str, body: str, cause: str
) -> None:
    host, odd = examined(
        write_plugin(f"{OPERATORS.format('')}\n@hookimpl\ndef {hook}():\n    {body}\n")
    )
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
def test_a_hook_of_the_wrong_form(write_plugin: Write, code: str, cause: str) -> None:
    assert cause in examined(write_plugin(code))[1].error


def test_names_that_look_like_hooks_and_are_none(write_plugin: Write) -> None:
    code = "from polars import col\nfrom unittest.mock import call\nimport datachef_sample_x\n"
    sys.modules["datachef_sample_x"] = type(sys)("datachef_sample_x")
    try:
        host, odd = examined(write_plugin(f"{code}datachef_version = '1'\n" + OPERATORS.format("")))
    finally:
        del sys.modules["datachef_sample_x"]
    assert (odd.error, list(host.vocabulary)) == ("", ["good"])


def test_specname_and_an_optional_hook_work_as_pluggy_says(write_plugin: Write) -> None:
    code = "@hookimpl(specname='datachef_operators')\ndef mine():\n    return [Good]\n"
    more = "@hookimpl(optionalhook=True)\ndef datachef_of_tomorrow(what):\n    return 1\n"
    host, odd = examined(write_plugin(code + more))
    assert (odd.error, list(host.vocabulary)) == ("", ["good"])


def test_the_same_class_twice_is_registered_once_and_noted(write_plugin: Write) -> None:
    host, odd = examined(write_plugin(OPERATORS.format("Good")))
    assert (odd.error, odd.note) == ("", "registers Good twice")
    assert list(host.vocabulary) == ["good"]
