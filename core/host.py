"""Finds plugins, loads each on its own, and answers what is registered."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from datachef.core import hookspecs
from datachef.core.errors import DatachefError, PluginError
from datachef.core.problems import did_you_mean

if TYPE_CHECKING:
    from datachef.core.vocabulary import Vocabulary

GROUP = "datachef"
RESTRICT = "DATACHEF_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """One plugin that was found: loaded, or with the cause for which it was not."""

    name: str
    package: str
    version: str
    module: str
    error: str = ""


class Host:
    """The loaded plugins of this process.

    `DATACHEF_PLUGINS`, a comma-separated list of entry-point names, restricts what is loaded.
    A plugin that fails to import is kept in `plugins` with its cause and harms no other.
    """

    def __init__(self, files: Sequence[str] = (), only: Iterable[str] | None = None) -> None:
        """Loads every entry point of the group `datachef`, then the given plugin files.

        Raises `PluginError` for a hook that no specification knows: a misspelled hook would
        otherwise be silently ignored.
        """
        self.files = tuple(str(Path(file).resolve()) for file in files)
        self.plugins: list[Plugin] = []
        self._manager = pluggy.PluginManager(hookspecs.NAME)
        self._manager.add_hookspecs(hookspecs)
        chosen = _restriction() if only is None else set(only)
        for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, _package(e))):
            if chosen is None or entry.name in chosen:
                self._load(entry)
        for file in self.files:
            self._load_file(Path(file))

    def _load(self, entry: EntryPoint) -> None:
        package, version = _package(entry), entry.dist.version if entry.dist else ""
        self._add(Plugin(entry.name, package, version, entry.value), entry.load)

    def _load_file(self, path: Path) -> None:
        if not path.is_file():
            raise DatachefError(f"no plugin file {path}", hint="--plugin takes a Python file")
        name = f"datachef_plugin_{path.stem}"

        def load() -> ModuleType:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            return module

        self._add(Plugin(path.stem, str(path), "", str(path)), load)

    def _add(self, plugin: Plugin, load: Any) -> None:
        try:
            module = load()
        except Exception as error:  # noqa: BLE001 - a stranger's import may raise anything
            cause = f"{type(error).__name__}: {error}"
            self.plugins.append(
                Plugin(plugin.name, plugin.package, plugin.version, plugin.module, cause)
            )
            return
        self._refuse_misspelled(plugin, module)
        self._manager.register(module, name=f"{plugin.package}:{plugin.name}")
        self.plugins.append(plugin)

    def _refuse_misspelled(self, plugin: Plugin, module: Any) -> None:
        known = {name for name in dir(hookspecs) if name.startswith("datachef_")}
        marked = {
            name
            for name in dir(module)
            if name.startswith("datachef_") or hasattr(getattr(module, name), "datachef_impl")
        }
        for name in sorted(marked - known):
            raise PluginError(
                f"plugin {plugin.name} ({plugin.package}) has the unknown hook {name}",
                hint=did_you_mean(name, known),
            )
        for name in sorted(marked & known):
            if not hasattr(getattr(module, name), "datachef_impl"):
                raise PluginError(
                    f"plugin {plugin.name} ({plugin.package}) defines {name} without @hookimpl",
                    hint="from datachef.core import hookimpl",
                )

    def _collect(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """What each plugin answers to a hook, with the package that it came from."""
        answers = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            values = {k: arguments[k] for k in implementation.argnames}
            package = implementation.plugin_name.rsplit(":", 1)[0]
            try:
                answer = implementation.function(**values)
                if isinstance(answer, Iterator):  # a generator runs here, where it is caught
                    answer = list(answer)
            except DatachefError:
                raise
            except Exception as error:  # noqa: BLE001 - one broken plugin must not take others down
                self._mark_broken(implementation.plugin_name, error)
                continue
            answers.append((package, answer))
        return sorted(answers, key=lambda pair: pair[0])

    def _mark_broken(self, name: str, error: Exception) -> None:
        package, _, plain = name.rpartition(":")
        cause = f"{type(error).__name__}: {error}"
        self.plugins = [
            Plugin(p.name, p.package, p.version, p.module, cause)
            if (p.package, p.name) == (package, plain)
            else p
            for p in self.plugins
        ]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All registered operators and kinds of source."""
        from datachef.core.vocabulary import Vocabulary

        operators = self._collect("datachef_operators")
        sources = self._collect("datachef_sources")
        return Vocabulary(
            [(cls, package) for package, classes in operators for cls in classes or ()],
            [(cls, package) for package, classes in sources for cls in classes or ()],
        )

    def named(self, hook: str) -> dict[str, Any]:
        """The answers of a hook that gives a mapping by name; a name given twice is an error."""
        merged: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for package, mapping in self._collect(hook):
            for name, value in (mapping or {}).items():
                if name in merged:
                    raise PluginError(f"{origin[name]} and {package} both give {name!r} in {hook}")
                merged[name], origin[name] = value, package
        return merged

    def listed(self, hook: str, **arguments: Any) -> list[Any]:
        """The answers of a hook that gives a list, one after the other."""
        answers = self._collect(hook, **arguments)
        return [item for _, items in answers for item in items or ()]

    def add_commands(self, app: Any) -> None:
        """Lets every plugin add its commands."""
        self._collect("datachef_commands", app=app)

    @property
    def broken(self) -> list[Plugin]:
        """The plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.error]


def _restriction() -> set[str] | None:
    value = os.environ.get(RESTRICT)
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"
