"""Checks one package of plugins; run as a module, in a process of its own.

Each check is written as a line of JSON as it begins and as it ends, for the process that waits.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from datachef.core.assets.store import is_stored
from datachef.core.contracts.operator import Operator
from datachef.core.distribution import install_command
from datachef.core.errors import DatachefError, PluginError
from datachef.core.registry.host import Host
from datachef.core.registry.packages import PluginPackage, folder_package, installed_package
from datachef.core.registry.promises import missing_packages
from datachef.core.system.containment import ENDINGS, cause_of, contained
from datachef.core.testing import FeatureContract, GateContract, OperatorContract, RewardContract


class _Check(NamedTuple):
    """One thing to try; it raises where it fails. `advice` says what keeps it from failing."""

    kind: str
    name: str
    check: str
    advice: str
    attempt: Callable[[], Any]


class _UntriedError(Exception):
    """What cannot be tried here, and why."""


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as scratch:
        for check in _checks(_package(sys.argv[1], Path(scratch)), Path(scratch)):
            told = {"kind": check.kind, "name": check.name, "check": check.check}
            _write(out, {**told, "state": "begun", "said": "", "advice": check.advice})
            state, said = _tried(check)
            advice = check.advice if state == "failed" else ""
            _write(out, {**told, "state": state, "said": said, "advice": advice})


def _write(out: int, data: Mapping[str, Any]) -> None:
    os.write(out, orjson.dumps(data) + b"\n")


def _tried(check: _Check) -> tuple[str, str]:
    try:
        with contained():
            check.attempt()
    except _UntriedError as reason:
        return "untried", str(reason)
    except AssertionError as error:
        # pytest explains an assertion without words of its own; here the advice says what failed.
        return "failed", (str(error).splitlines() or [""])[0]
    except ENDINGS as error:
        # What an operator says in words for people is that it lacks something: a file, a task.
        lacks = isinstance(error, DatachefError) and not isinstance(error, PluginError)
        return "untried" if lacks else "failed", cause_of(error)
    return "passed", ""


def _package(name: str, scratch: Path) -> PluginPackage:
    """The package, which can be imported from now on, as if it were installed."""
    if not Path(name).is_absolute():
        package = installed_package(name)
        assert package is not None
        return package
    package = folder_package(Path(name))
    described = scratch / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    described.mkdir()
    described.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
    )
    lines = [f"{point} = {module}" for point, module in package.entry_points.items()]
    described.joinpath("entry_points.txt").write_text("\n".join(["[datachef]", *lines, ""]))
    sys.path[:0] = [str(scratch), str(package.folder)]
    return package


def _checks(package: PluginPackage, scratch: Path) -> Iterator[_Check]:
    host = Host(only=package.entry_points)
    with suppress(DatachefError):  # which the check of its names reports
        host.examine()
    for plugin in host.plugins:
        if plugin.package == package.name:
            advice = "install what it imports; return from hooks what docs/hooks.md says"
            yield _Check("plugin", plugin.name, "loads", advice, partial(_expect, plugin.error))
    advice = "rename what another package registers too"
    yield _Check("package", package.name, "has names of its own", advice, _names_are_unique)
    with suppress(DatachefError):
        for name in host.vocabulary:
            if host.vocabulary.package(name) == package.name:
                yield from _checks_of_operator(host.vocabulary[name])
        for key in host.vocabulary.source_keys:
            if host.vocabulary.source_package(key) == package.name:
                reason = _UntriedError("a SourceContract in its tests says what it reads")
                yield _Check("source", key, "contract", "", partial(_raise, reason))
    for hook, contract, attribute in (
        ("datachef_features", FeatureContract, "function"),
        ("datachef_gates", GateContract, "function"),
        ("datachef_rewards", RewardContract, "reward"),
    ):
        with suppress(DatachefError):
            for name, registered in host.named(hook).items():
                held = type(contract.__name__, (contract,), {attribute: staticmethod(registered)})
                kind = hook.removeprefix("datachef_").removesuffix("s")
                yield from _laws(kind, name, held(), scratch)


def _expect(problem: str) -> None:
    assert not problem, problem


def _names_are_unique() -> None:
    host = Host()
    _ = host.vocabulary, host.assets


def _checks_of_operator(kind: type[Operator]) -> Iterator[_Check]:
    try:
        operator = _example(kind)
    except _UntriedError as reason:
        yield _Check("operator", kind.name(), "contract", "", partial(_raise, reason))
        return
    held = type(OperatorContract.__name__, (OperatorContract,), {"operator": operator})
    yield from _laws("operator", kind.name(), held())


def _raise(error: Exception) -> None:
    raise error


def _example(kind: type[Operator]) -> Operator:
    """The operator with its defaults, and for what has none, the first of its examples."""
    parameters = {}
    for name, field in kind.model_fields.items():
        if name != "op" and field.is_required():
            if not field.examples:
                raise _UntriedError(
                    f"{name} has no default: give it examples, Field(examples=[...]), or test the "
                    "operator with an OperatorContract of your own"
                )
            parameters[field.alias or name] = field.examples[0]
    try:
        operator = kind.model_validate({"op": kind.name(), **parameters})
    except ENDINGS as error:
        raise _UntriedError(
            f"its defaults and examples are not valid: {cause_of(error)}"
        ) from error
    missing = [install_command(needed) for _, needed in missing_packages(operator)]
    missing += [f"chef assets get {name}" for name in operator.assets() if not is_stored(name)]
    if missing:
        raise _UntriedError(f"what it needs is not here: {', '.join(missing)}")
    return operator


def _laws(kind: str, name: str, contract: Any, scratch: Path | None = None) -> Iterator[_Check]:
    """The checks of a contract, in the order in which it has them."""
    methods = {
        key: getattr(contract, key)
        for base in reversed(type(contract).__mro__)
        for key in vars(base)
        if key.startswith("test_")
    }
    for key, method in methods.items():
        attempt = partial(_in_folder, method, scratch) if signature(method).parameters else method
        said = key.removeprefix("test_").replace("_", " ")
        yield _Check(kind, name, said, " ".join((getdoc(method) or "").split()), attempt)


def _in_folder(method: Callable[[Path], None], scratch: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        method(Path(folder))


if __name__ == "__main__":
    main()
