"""Finds plugins (packages and files), loads each on its own, and answers what is registered."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from datachef.core.distribution import NAME
from datachef.core.errors import DatachefError, PluginError, did_you_mean
from datachef.core.registry import hookspecs, registration
from datachef.core.registry.plugin_files import module_of, place_of, plugin_file
from datachef.core.registry.registration import Registered
from datachef.core.system.containment import (
    ENDINGS,
    PATIENCE,
    RESTRICT,
    bounded,
    cause_of,
    contained,
    innermost,
)

if TYPE_CHECKING:
    import typer

    from datachef.core.assets.asset import Asset
    from datachef.core.contracts.engine import RunObserver
    from datachef.core.contracts.operator import Operator
    from datachef.core.contracts.recipe import Recipe
    from datachef.core.errors import Problem
    from datachef.core.registry.vocabulary import RegisteredClass, Vocabulary
GROUP = "datachef"


@dataclass(frozen=True)
class Plugin:
    """One plugin that was found.

    `error` says all that is wrong with it, in one line, and is empty where nothing is; what else it
    registers works. `note` says what is odd and harms nothing.
    """

    name: str
    package: str
    version: str
    module: str
    error: str = ""
    note: str = ""


@dataclass
class _Found:
    """A plugin and what is known of it so far; `key` is its name for pluggy."""

    name: str
    package: str
    version: str
    module: str
    place: Path | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.package}:{self.name}"

    def blame(self, problems: Iterable[str], notes: Iterable[str] = ()) -> None:
        self.problems += [problem for problem in problems if problem not in self.problems]
        self.notes += [note for note in notes if note not in self.notes]

    def report(self) -> Plugin:
        problems, notes = "; ".join(self.problems), "; ".join(self.notes)
        return Plugin(self.name, self.package, self.version, self.module, problems, notes)


class Host:
    """The loaded plugins of this process.

    `DATACHEF_PLUGINS`, a comma-separated list of entry-point names, restricts what is loaded.
    Whatever is wrong with a plugin is kept in `plugins` with its cause and harms no other.
    """

    def __init__(
        self,
        files: Sequence[str] = (),
        only: Iterable[str] | None = None,
        *,
        patience: float | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Loads every entry point of the group `datachef`, then the given plugin files.

        The process ends where an import or a hook of a plugin takes more than `patience` seconds.
        `refused` has the reason, by its `key`, for each plugin that is not to be loaded. Raises
        `DatachefError` for a file that is not there.
        """
        self._patience = patience
        self._refused = refused or {}
        self.files = tuple(dict.fromkeys(plugin_file(file) for file in files))
        self._found: list[_Found] = []
        self._observers: list[tuple[_Found, RunObserver]] = []
        self._manager = pluggy.PluginManager(hookspecs.NAME)
        self._manager.add_hookspecs(hookspecs)
        chosen = _restriction() if only is None else set(only)
        for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, _package(e))):
            if chosen is None or entry.name in chosen:
                package, version = _published(entry.dist)
                self._add(_Found(entry.name, package, version, entry.value), entry.load)
        stems: Counter[str] = Counter()
        for file in map(Path, self.files):
            stems[file.stem] += 1
            load = partial(module_of, file, stems[file.stem])
            self._add(_Found(file.stem, str(file), "", str(file), file), load)

    @property
    def plugins(self) -> list[Plugin]:
        """All plugins that were found, those of entry points first."""
        return [found.report() for found in self._found]

    @property
    def broken(self) -> list[Plugin]:
        """The plugins with which something is wrong."""
        return [plugin for plugin in self.plugins if plugin.error]

    def missing(self, name: str, known: Iterable[str]) -> str:
        """The hint for a name that nobody registered."""
        return or_broken(did_you_mean(name, known), self.broken)

    def _add(self, found: _Found, load: Callable[[], Any]) -> None:
        self._found.append(found)
        if found.key in self._refused:
            found.blame([self._refused[found.key]])
            return
        try:
            with self._within_patience(found, "its import"), contained():
                module = load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - an import of others may raise anything
            found.blame([cause_of(error, found.place)])
            return
        if self._manager.is_registered(module):
            name = (self._manager.get_name(module) or "").rpartition(":")[2]
            found.notes.append(f"the same module as {name}, loaded once")
            return
        found.place = found.place or place_of(module)
        try:
            found.blame(registration.problems_of_form(self._manager, module))
            if not found.problems:
                self._manager.register(module, name=found.key)
        except ENDINGS as error:
            self._manager.unregister(name=found.key)
            found.blame([cause_of(error)])

    def _within_patience(self, found: _Found, what: str) -> AbstractContextManager[None]:
        """Ours are waited for."""
        patience = None if found.package == NAME else self._patience
        return bounded(f"plugin {found.name} ({found.package}): {what}", patience)

    def _collect(
        self,
        hook: str,
        check: Callable[[Any], Registered],
        arguments: Callable[[], Mapping[str, Any]] = dict,
    ) -> Iterator[tuple[_Found, Any]]:
        """What plugins answer to a hook and can be used, each item with the plugin it came from.

        In the order of packages and plugins; implementations marked `tryfirst` come before all
        others and those marked `trylast` after them.
        """
        by_key = {found.key: found for found in self._found}
        for implementation in sorted(
            getattr(self._manager.hook, hook).get_hookimpls(),
            key=lambda i: (i.trylast - i.tryfirst, i.plugin_name, i.function.__name__),
        ):
            found = by_key[implementation.plugin_name]
            given = arguments()
            try:
                with self._within_patience(found, hook), contained():
                    answer = implementation.function(*(given[n] for n in implementation.argnames))
                    if isinstance(answer, Iterator):  # a generator runs here, where it is caught
                        answer = list(answer)
                    checked = check(answer)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - and so may a hook
                found.blame([f"{hook}: {cause_of(error, found.place)}"])
                continue
            found.blame(checked.problems, checked.notes)
            yield from ((found, item) for item in checked.items)

    def _is_ours(self, hook: str) -> bool:
        """Whether no other package implements a hook."""
        ours = {found.key for found in self._found if found.package == NAME}
        return all(i.plugin_name in ours for i in getattr(self._manager.hook, hook).get_hookimpls())

    def _listed(
        self, hook: str, what: str, problem_of: Callable[[Any], str], **arguments: Any
    ) -> list[tuple[_Found, Any]]:
        check = partial(registration.checked_list, hook, what, problem_of)
        return list(self._collect(hook, check, lambda: arguments))

    @cached_property
    def _operators(self) -> list[tuple[_Found, type[Operator]]]:
        problem_of = registration.operator_problem
        return self._listed("datachef_operators", "operator classes", problem_of)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All registered operators, kinds of source, metrics, writers and readers."""
        from datachef.core.registry.vocabulary import Vocabulary

        sources, writers, readers = self._formats
        metrics = self._listed("datachef_metrics", "metric classes", registration.metric_problem)
        operators = _classes(self._operators)
        return Vocabulary(operators, sources, _classes(metrics), writers, readers, self.peer_names)

    @cached_property
    def formats(self) -> Vocabulary:
        """The kinds of source, the writers and the readers: what is in no step, and soon loaded."""
        from datachef.core.registry.vocabulary import Vocabulary

        sources, writers, readers = self._formats
        return Vocabulary(sources=sources, writers=writers, readers=readers)

    @cached_property
    def _formats(self) -> tuple[list[RegisteredClass], ...]:
        sources = self._listed("datachef_sources", "source classes", registration.source_problem)
        writers = self._listed("datachef_writers", "writer classes", registration.writer_problem)
        readers = self._listed("datachef_readers", "reader classes", registration.reader_problem)
        return _classes(sources), _classes(writers), _classes(readers)

    def peer_names(self) -> dict[str, str]:
        """What stands for the operators of other libraries by name; of two sentences the first."""
        found: dict[str, str] = {}
        check = partial(registration.checked_sentences, "datachef_peer_names")
        for _, (name, sentence) in self._collect("datachef_peer_names", check):
            found.setdefault(name, sentence)
        return found

    @cached_property
    def assets(self) -> dict[str, Asset]:
        """All registered assets by name; a name given twice is an error."""
        found: dict[str, tuple[_Found, Asset]] = {}
        hook = "datachef_assets"
        for by, asset in self._listed(hook, "Assets", registration.registered_asset_problem):
            if asset.name in found:
                raise PluginError(
                    f"{found[asset.name][0].package} and {by.package} both register the asset "
                    f"{asset.name}",
                    hint=f"rename one of them, or load only one with {RESTRICT}",
                )
            found[asset.name] = by, asset
        return {name: found[name][1] for name in sorted(found)}

    def named(self, hook: str) -> dict[str, Any]:
        """The answers of a hook that gives a mapping by name; a name given twice is an error."""
        merged: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for found, (name, value) in self._collect(
            hook, partial(registration.checked_mapping, hook)
        ):
            if name in merged:
                raise PluginError(
                    f"{origin[name]} and {found.package} both give {name!r} in {hook}",
                    hint=f"rename one of them, or load only one with {RESTRICT}",
                )
            merged[name], origin[name] = value, found.package
        return merged

    def observers(self) -> list[RunObserver]:
        """The run observers of all plugins."""
        from datachef.core.contracts.engine import RunObserver

        problem_of = registration.instance_of(RunObserver)
        hook = "datachef_run_observers"
        self._observers = self._listed(hook, "RunObserver objects", problem_of)
        return [observer for _, observer in self._observers]

    def observer_broke(self, observer: RunObserver, event: str, error: BaseException) -> bool:
        """Blames the plugin that an observer is of; false where it is of none."""
        for found, known in self._observers:
            if known is observer:
                found.blame([f"{event}: {cause_of(error, found.place)}; it gets no more events"])
                return True
        return False

    def recipe_problems(self, recipe: Recipe) -> list[Problem]:
        """The problems that the recipe rules of plugins find in a recipe."""
        from datachef.core.errors import Problem

        problem_of = registration.instance_of(Problem)
        hook = "datachef_recipe_rules"
        return [item for _, item in self._listed(hook, "Problems", problem_of, recipe=recipe)]

    def add_commands(self, app: typer.Typer, arguments: Sequence[str] = ()) -> None:
        """Adds the commands of all plugins; one whose name is taken is its plugin's problem.

        Where no other package has commands and the arguments begin with one that is there already,
        none is added: it takes time, and with ours nothing is wrong.
        """
        import typer
        from typer.models import CommandInfo

        owners = dict.fromkeys(registration.command_names(app), "chef itself")
        if not owners.keys().isdisjoint(arguments[:1]) and self._is_ours("datachef_commands"):
            return
        part = app

        def fresh() -> Mapping[str, Any]:
            nonlocal part
            part = typer.Typer()
            return {"app": part}

        def check(_: Any) -> Registered:
            return registration.checked_commands(part, owners)

        for found, (names, record) in self._collect("datachef_commands", check, fresh):
            owners |= dict.fromkeys(names, found.package)
            if isinstance(record, CommandInfo):
                app.registered_commands.append(record)
            else:
                app.registered_groups.append(record)

    def examine(self) -> None:
        """Calls every hook that needs no recipe, and tries every operator that needs no parameters,
        so that `plugins` has all problems that can be found without a recipe."""
        from datachef.core.registry.promises import broken_defaults

        for found, cls in self._operators:
            with self._within_patience(found, f"trying {cls.name()}"), contained():
                found.blame(f"{cls.name()}: {text}" for text in broken_defaults(cls))
        for hook in registration.MAPPINGS:
            self.named(hook)
        self.observers()
        _ = self.vocabulary, self.assets, self.peer_names()

    def origin(self, error: BaseException, ours: bool = True) -> str:
        """The plugin and the line of its code that an exception came out of; empty for none.

        Without `ours` those of datachef itself are not looked at.
        """
        for found in self._found:
            if not ours and found.package == NAME:
                continue
            if found.place and (line := innermost(error.__traceback__, found.place)):
                return f"plugin {found.name} ({found.package}), {line}"
        return ""


def _classes(registered: Iterable[tuple[_Found, type[Any]]]) -> list[RegisteredClass]:
    from datachef.core.registry.vocabulary import RegisteredClass

    return [RegisteredClass(cls, found.package, found.name) for found, cls in registered]


def or_broken(hint: str, broken: Sequence[Plugin]) -> str:
    """A hint about what is missing: it may be in one of the plugins that are broken."""
    if not broken:
        return hint
    causes = "; ".join(f"{plugin.name} ({plugin.error})" for plugin in broken)
    return f"{hint}{' - or ' if hint else ''}it is in a plugin that is broken: {causes}"


def plugin_patience() -> float:
    """For how many seconds an import or a hook of a plugin may take, as the environment says."""
    value = os.environ.get(PATIENCE, "120")
    with suppress(ValueError):
        if 0 < (seconds := float(value)) <= threading.TIMEOUT_MAX - 5:
            return seconds
    raise DatachefError(f"{PATIENCE} is {value!r}, not a number of seconds")


def foreign_plugins(files: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What is loaded besides our own plugins: by the key of the host, `entry` and its name or
    `file` and its path."""
    chosen = _restriction()
    found = {
        f"{_package(entry)}:{entry.name}": ("entry", entry.name)
        for entry in entry_points(group=GROUP)
        if _package(entry) != NAME and (chosen is None or entry.name in chosen)
    }
    return found | {f"{f}:{Path(f).stem}": ("file", f) for f in map(plugin_file, files)}


def _restriction() -> set[str] | None:
    value = os.environ.get(RESTRICT)
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}


def _package(entry: EntryPoint) -> str:
    return _published(entry.dist)[0]


@lru_cache(maxsize=64)
def _published(package: Distribution | None) -> tuple[str, str]:
    """The name and version of a package, which Python reads from its description each time."""
    return (package.name, package.version) if package else ("unknown", "")
