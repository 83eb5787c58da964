"""The two processes behind `run_tests`: one has the answer, the other asks it and holds the tests.

Run as a script, so that nothing but the standard library is loaded. Each confines itself and
reports which stand; without those that are needed it does nothing more, unless that is allowed.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib.util
import json
import os
import resource
import sys
import types
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any

_FUTURE = sum({getattr(__future__, n).compiler_flag for n in __future__.all_feature_names} - {0x10})


def main(job: dict[str, Any]) -> None:
    """Does the part of a job, "answer" or "tests"."""
    confinement, remote, _, channel = _modules(job["modules"])
    _limit(job)
    folder = job["folder"]
    standing = confinement.confine(folder, disk_bytes=job["disk_bytes"], files=job["files"])
    confined = set(confinement.NEEDED) <= set(standing)
    print(json.dumps(standing), flush=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    if confined or job["unconfined"]:
        if not confined:
            os.chdir(folder)
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        sys.argv = ["program.py"]
        (_have_the_answer if job["part"] == "answer" else _test)(
            job, (remote, channel), module.__dict__
        )
    os._exit(0)


def _modules(paths: dict[str, str]) -> list[Any]:
    """Modules of ours by their files, in an order in which each finds those that it imports: their
    packages, which load more than is needed, are not imported, and need not be importable here."""
    for name, path in paths.items():
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return [sys.modules.pop(name) for name in paths]


def _limit(job: dict[str, Any]) -> None:
    """Sets limits on processor time, memory and files."""
    cpu = job["cpu_seconds"]
    limits = {
        "CPU": (cpu, cpu + 1),
        "AS": (job["memory"],) * 2,
        "FSIZE": (job["file_bytes"],) * 2,
        "NOFILE": (64, 64),
        "CORE": (0, 0),
        "MEMLOCK": (0, 0),
    }
    for name, limit in limits.items():
        with suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limit)


def _have_the_answer(job: dict[str, Any], modules: Any, names: dict[str, Any]) -> None:
    """Runs the code that it is given, and then carries out what the tests ask of it."""
    remote, channel = modules
    flags = 0
    shared: list[str] = []

    def prepare(before: str) -> None:
        nonlocal flags
        code = _compiled(before)
        flags = code.co_flags & _FUTURE
        exec(code, names)  # noqa: S102 - this is what the isolation layers are for

    def run(answer: str, used: list[str], classes: list[str]) -> dict[str, Any]:
        shared.extend(classes)
        exec(_compiled(answer, flags), names)  # noqa: S102
        return {name: names[name] for name in used if name in names}

    def classes() -> dict[str, type]:
        found = {name: names.get(name) for name in shared}
        return {name: each for name, each in found.items() if isinstance(each, type)}

    operations = {**remote.OPERATIONS, "prepare": prepare, "run": run}
    channel.Channel(job["reading"], job["writing"], classes, operations).serve()


def _test(job: dict[str, Any], modules: Any, names: dict[str, Any]) -> None:
    """Runs the tests, against names that stand for objects of the other process.

    No line of the answer is read here, and the verdict goes to the parent alone.
    """
    remote, channels = modules
    verdict = {"passed": False, "reason": "", "fault": ""}
    shared: dict[str, type] = {}
    channel = channels.Channel(job["reading"], job["writing"], lambda: shared, {})
    for name, operation in {**remote.HARMLESS, "get": _attribute, "set": _set}.items():
        channel.operations[name] = _of_ours(channel, operation)
    try:
        before, stub = _statements(job["before"])
        tests = ast.parse(job["after"]).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        verdict["fault"] = f"what stands around the answer is no Python by itself: {error}"
    else:
        try:
            _ask(job, channel, names, shared, (before, stub, tests))
            verdict["passed"] = not channel.broken
        except channels.BrokenChannelError:
            pass
        except BaseException as error:  # noqa: BLE001 - an exit is no pass
            name = type(error).__name__  # an exception of the answer may have any
            verdict["reason"] = name[:100] if name.isidentifier() else "Exception"
    verdict["broken"] = channel.broken
    os.write(job["verdict"], json.dumps(verdict).encode())


def _ask(
    job: dict[str, Any],
    channel: Any,
    names: dict[str, Any],
    shared: dict[str, type],
    parts: tuple[list[ast.stmt], str, list[ast.stmt]],
) -> None:
    before, stub, tests = parts
    # What the answer completes is the answer's: nothing is prepared then, and all is run at once.
    gold = _parsed(job["gold"])
    channel.ask("prepare", "" if stub else job["before"])
    for imported in (part for part in gold if isinstance(part, ast.Import | ast.ImportFrom)):
        with suppress(ImportError, SyntaxError):
            exec(_compiled(ast.Module([imported], [])), names)  # noqa: S102 - this and the next are of the benchmark
    exec(_compiled(ast.Module(before, [])), names)  # noqa: S102
    names.pop(stub, None)
    ours = {name for name in names if name != "__builtins__"}
    for name in ours:
        if isinstance(found := names[name], type) and found.__module__ == "__main__":
            shared[name] = found
    known = ours | set(vars(builtins)) - set(_names_of(gold))
    used = {n.id for part in (*before, *tests) for n in ast.walk(part) if isinstance(n, ast.Name)}
    answer = job["before"] * bool(stub) + job["answer"]
    found = channel.ask("run", answer, sorted(used - known), sorted(shared))
    names.update({name: value for name, value in found.items() if name in used - known})
    future = [part for part in before if _is_future(part)]
    exec(_compiled(ast.Module([*future, *tests], [])), names)  # noqa: S102


def _of_ours(channel: Any, operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on what the tests have handed over, and on nothing that the answer names.

    Classes that it could make here would have operators of its own.
    """

    def ask(value: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not channel.has_handed(value) or (isinstance(value, type) and issubclass(value, type)):
            raise TypeError("no object of the tests")
        return operation(value, *args, **kwargs)

    return ask


def _attribute(value: Any, name: str) -> Any:
    """Of the objects that tests hand over, those of their own classes show their attributes, and
    functions what a decorator copies."""
    if isinstance(value, types.FunctionType) and name in {"__name__", "__qualname__", "__doc__"}:
        return getattr(value, name)
    if name.startswith("_") or type(value).__module__ != "__main__":
        raise AttributeError(name)
    return getattr(value, name)


def _set(value: Any, name: str, new: Any) -> None:
    """As an answer changes objects that it is given; their methods stay those of the tests."""
    if name.startswith("_") or type(value).__module__ != "__main__":
        raise AttributeError(name)
    ours = getattr(type(value), name, None)
    if callable(ours) or isinstance(ours, cached_property):
        raise AttributeError(name)
    setattr(value, name, new)


def _statements(before: str) -> tuple[list[ast.stmt], str]:
    """What stands before the answer, and the name of the function or class that the answer
    completes: the last, where it has imports and a docstring at most."""
    for end in ("", " pass", "\n    pass", "\n        pass", "\n\tpass"):
        with suppress(SyntaxError):
            body = ast.parse(before.rstrip() + end if end else before).body
            break
    else:
        body = ast.parse(before).body
    last = body[-1] if body else None
    if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and all(
        isinstance(part, ast.Pass | ast.Import | ast.ImportFrom)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in last.body
    ):
        return body, last.name
    return body, ""


def _parsed(code: str) -> list[ast.stmt]:
    """The statements of a gold answer; none where it is the body of a function alone."""
    try:
        return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _names_of(body: Iterable[ast.stmt]) -> Iterable[str]:
    """The names that statements bind, but for those in blocks and by imports."""
    for part in body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.Assign):
            yield from (n.id for target in part.targets for n in ast.walk(target)
                        if isinstance(n, ast.Name))  # fmt: skip


def _is_future(part: ast.stmt) -> bool:
    return isinstance(part, ast.ImportFrom) and part.module == "__future__"


def _compiled(source: Any, flags: int = 0) -> types.CodeType:
    code = compile(source, "program.py", "exec", flags=flags, dont_inherit=True)
    assert isinstance(code, types.CodeType)
    return code


if __name__ == "__main__":
    main(json.load(sys.stdin))
