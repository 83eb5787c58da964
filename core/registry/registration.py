"""What each registration hook has to return, and what is wrong with what a plugin returned."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from datachef.core.errors import did_you_mean
from datachef.core.registry import hookspecs
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.text.values import described

if TYPE_CHECKING:
    import pluggy
    import typer

# Names of lines in ledgers that are no operator's.
LEDGER_LINES = frozenset({"read", "write"})
# Hooks that return callables by name.
MAPPINGS = (
    "datachef_engines",
    "datachef_llm_backends",
    "datachef_rewards",
    "datachef_evaluation_backends",
    "datachef_features",
    "datachef_gates",
    "datachef_reports",
)

_SUFFIX = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*")
_ONE_SUFFIX = re.compile(r"[a-z0-9_-]+")


@dataclass
class Registered:
    """What of an answer can be used, in order; what is wrong with the rest; what is only odd."""

    items: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, item: Any, problem: str) -> None:
        if problem:
            self.problems.append(problem)
        elif any(item is known for known in self.items):
            self.notes.append(f"registers {described(item)} twice")
        else:
            self.items.append(item)


def problems_of_form(manager: pluggy.PluginManager, plugin: Any) -> list[str]:
    """What is wrong with the hooks of a plugin before any is called."""
    known = {name for name in dir(hookspecs) if name.startswith("datachef_")}
    problems = []
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        hook = name if options is None else options["specname"] or name
        if options is None:
            if not name.startswith("datachef_") or not inspect.isroutine(getattr(plugin, name)):
                continue
            if name in known:
                problems.append(f"{name} has no @hookimpl (from datachef.core import hookimpl)")
                continue
        elif options["wrapper"] or options["hookwrapper"]:
            problems.append(
                f"{hook} is a wrapper, which datachef does not call: what is registered belongs "
                "to the package that registers it; return only what is yours"
            )
        if hook not in known and not (options and options["optionalhook"]):
            hint = did_you_mean(hook, known)
            problems.append(f"unknown hook {hook}" + (f", {hint}" if hint else ""))
    return problems


def checked_list(hook: str, what: str, problem_of: Callable[[Any], str], answer: Any) -> Registered:
    """The answer of a hook that gives a list; `what` says of what."""
    found = Registered()
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        found.problems.append(f"{hook} returned {described(answer)}, not a list of {what}")
        return found
    for item in answer:
        problem = problem_of(item)
        found.take(item, problem and f"{hook}: {problem}")
    return found


def checked_mapping(hook: str, answer: Any) -> Registered:
    """The answer of a hook that gives callables by name: pairs of the two."""
    found = Registered()
    if not isinstance(answer, Mapping):
        found.problems.append(f"{hook} returned {described(answer)}, not a mapping by name")
        return found
    for name, value in answer.items():
        if not isinstance(name, str) or not name:
            found.problems.append(f"{hook}: {described(name)} is no name")
        elif not callable(value):
            found.problems.append(f"{hook}: {name} is {described(value)}, not a callable")
        else:
            found.items.append((name, value))
    return found


def checked_sentences(hook: str, answer: Any) -> Registered:
    """The answer of a hook that gives texts by name: pairs of the two."""
    found = Registered()
    if not isinstance(answer, Mapping):
        found.problems.append(f"{hook} returned {described(answer)}, not a mapping by name")
        return found
    for name, text in answer.items():
        if isinstance(name, str) and isinstance(text, str):
            found.items.append((name, text))
        else:
            found.problems.append(
                f"{hook}: {described(name)}: {described(text)} is no text by name"
            )
    return found


def instance_of(kind: type[Any]) -> Callable[[Any], str]:
    """Wants objects of a class, and says so to whoever gives the class."""

    def problem(item: Any) -> str:
        if isinstance(item, kind):
            return ""
        if isinstance(item, type) and issubclass(item, kind):
            return f"{described(item)} is a class, not a {kind.__name__}: call it"
        return f"{described(item)} is no {kind.__name__}"

    return problem


def operator_problem(item: Any) -> str:
    """Why something cannot be an operator; empty where it can."""
    from datachef.core.contracts.operator import NAME, Operator
    from datachef.core.registry.vocabulary import BUILT_IN

    if problem := _class_problem(item, Operator):
        return problem
    if item.shape not in {"filter", "transform", "synthesis", "corpus", "mix"}:
        return (
            f"{item.__qualname__} has none of the four shapes: "
            "subclass Filter, Transform, Synthesis or CorpusOperator"
        )
    op = item.model_fields["op"]
    if get_origin(op.annotation) is not Literal or get_args(op.annotation) != (op.default,):
        return f'{item.__qualname__} has no name: write op: Literal["its_name"] = "its_name"'
    if not isinstance(op.default, str) or not NAME.fullmatch(op.default):
        return f"{item.__qualname__}: op must be in snake_case, got {op.default!r}"
    if op.default in LEDGER_LINES or op.default in BUILT_IN:
        return f"{item.__qualname__}: {op.default!r} is a name of datachef's own, choose another"
    if not isinstance(item.version, int):
        return f"{item.__qualname__}: version is {described(item.version)}, not a whole number"
    return _abstract(item) or _undescribable(item)


def source_problem(item: Any) -> str:
    """Why something cannot be a kind of source; empty where it can."""
    from datachef.core.contracts.source import Source

    if problem := _class_problem(item, Source):
        return problem
    name = item.__qualname__
    if not isinstance(item.key, str) or not item.key.isidentifier():
        return f"{name}: key is {described(item.key)}, not the name of a field"
    if item.key not in item.model_fields or item.key in Source.model_fields:
        return f"{name}: key names {item.key!r}, which is no field of its own"
    for method in ("partitions", "read"):
        if getattr(item, method) is getattr(Source, method):
            return f"{name} does not define {method}()"
    return _abstract(item) or _undescribable(item)


def metric_problem(item: Any) -> str:
    """Why something cannot be a metric; empty where it can."""
    from datachef.core.contracts.metric import Metric
    from datachef.core.contracts.operator import NAME

    if problem := _class_problem(item, Metric):
        return problem
    if not isinstance(item.name, str) or not NAME.fullmatch(item.name):
        return f"{item.__qualname__}: name must be in snake_case, got {item.name!r}"
    if not isinstance(item.criterion, str) or not item.criterion.strip():
        return f"{item.__qualname__}: criterion must say when an answer is right"
    if not isinstance(item.answer_tokens, int) or item.answer_tokens < 1:
        return f"{item.__qualname__}: answer_tokens is {described(item.answer_tokens)}"
    return _abstract(item)


def writer_problem(item: Any) -> str:
    """Why something cannot write corpora; empty where it can."""
    from datachef.core.contracts.writer import Writer

    if problem := _class_problem(item, Writer):
        return problem
    for said in ("name", "suffix"):
        value = getattr(item, said)
        if not isinstance(value, str) or not _SUFFIX.fullmatch(value):
            return f"{item.__qualname__}: {said} is {described(value)}, not one like jsonl.zst"
    return _abstract(item) or _unbuildable(item)


def registered_asset_problem(item: Any) -> str:
    """Why something cannot be an asset; empty where it can."""
    from datachef.core.assets.asset import Asset, asset_problem

    return instance_of(Asset)(item) or asset_problem(item)


def reader_problem(item: Any) -> str:
    """Why something cannot read files; empty where it can."""
    from datachef.core.contracts.reader import Holds, Reader

    if problem := _class_problem(item, Reader):
        return problem
    what = item.__qualname__
    if not isinstance(item.name, str) or not _SUFFIX.fullmatch(item.name):
        return f"{what}: name is {described(item.name)}, not one like jsonl"
    if isinstance(item.suffixes, str):
        return f"{what}: suffixes is a string, not a tuple of them: write ({item.suffixes!r},)"
    for suffix in item.suffixes:
        if not isinstance(suffix, str) or not _ONE_SUFFIX.fullmatch(suffix):
            return f"{what}: a suffix is {described(suffix)}, not one like jsonl"
    if item.holds not in get_args(Holds):
        return f"{what}: holds is {described(item.holds)}, not one of {', '.join(get_args(Holds))}"
    return _abstract(item) or _unbuildable(item)


def _unbuildable(item: type[Any]) -> str:
    try:
        item()
    except ENDINGS as error:
        return f"{item.__qualname__} cannot be made without arguments: {cause_of(error)}"
    return ""


def _class_problem(item: Any, kind: type[Any]) -> str:
    if isinstance(item, type) and issubclass(item, kind):
        return ""
    if isinstance(item, kind):
        return f"{type(item).__qualname__}(...) is an object: register the class"
    return f"{described(item)} is no {kind.__name__} class"


def _abstract(item: type[Any]) -> str:
    if not inspect.isabstract(item):
        return ""
    missing = ", ".join(f"{name}()" for name in sorted(item.__abstractmethods__))
    return f"{item.__qualname__} does not define {missing}"


def _undescribable(item: Any) -> str:
    """Why the parameters have no JSON Schema, which would break every reader of the schema.

    Ours are held to it by tests: it takes time, and every process registers them.
    """
    if item.__module__.startswith("datachef."):
        return ""
    try:
        item.model_json_schema()
    except ENDINGS as error:
        return f"{item.__qualname__} has no JSON Schema: {cause_of(error)}"
    return ""


def checked_commands(part: typer.Typer, taken: Mapping[str, str]) -> Registered:
    """The commands and groups of a plugin's own app that can be used: pairs of names and record.

    `taken` names the owner of each command that exists. Each new one is built alone first: one with
    a parameter that typer cannot read would otherwise end every call of `chef`.
    """
    found = Registered()
    if part.registered_callback is not None:
        found.problems.append("datachef_commands: app.callback would replace that of chef")
    names: set[str] = set()
    records: list[Any] = [*part.registered_commands, *part.registered_groups]
    for record in records:
        try:
            built = _names(record)
        except ENDINGS as error:
            what = getattr(record.callback, "__qualname__", "a command")
            found.problems.append(f"datachef_commands: {what}: {cause_of(error)}")
            continue
        clashes = [name for name in built if name in taken or name in names]
        for name in clashes:
            owner = taken.get(name, "this plugin itself")
            found.problems.append(f"datachef_commands: {name!r} is a command of {owner} already")
        if not clashes:
            found.items.append((built, record))
            names |= built
    return found


def command_names(app: typer.Typer) -> set[str]:
    """The names of the commands of an app."""
    return {name for r in [*app.registered_commands, *app.registered_groups] for name in _names(r)}


def _names(record: Any) -> set[str]:
    """The commands that one record gives: its own, or those of a group that has no name."""
    import typer
    from typer.models import CommandInfo

    alone = typer.Typer(rich_markup_mode=None)
    alone.callback()(lambda: None)  # makes a group of it, however few commands there are
    kind = alone.registered_commands if isinstance(record, CommandInfo) else alone.registered_groups
    kind.append(record)
    return set(typer.main.get_group(alone).commands)
