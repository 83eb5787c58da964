"""Packages that hold plugins: installed ones, and folders that could be installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from datachef.core.distribution import NAME
from datachef.core.errors import DatachefError
from datachef.core.registry.host import GROUP

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class PluginPackage:
    """A package with plugins: the modules of its entry points by name, what it requires of
    datachef, and the folder of its code where it is not installed."""

    name: str
    version: str
    requires: str
    entry_points: Mapping[str, str]
    folder: Path | None = None


def installed_package(name: str) -> PluginPackage | None:
    """An installed package with plugins; None where there is none of that name."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None
    points = {point.name: point.value for point in found.entry_points if point.group == GROUP}
    return (
        PluginPackage(found.name, found.version, _ours(found.requires or ()), points)
        if points
        else None
    )


def folder_package(folder: Path) -> PluginPackage:
    """The package in a folder, by its pyproject.toml.

    Raises `DatachefError` where there is no such file or it names no plugin.
    """
    file = folder / "pyproject.toml"
    try:
        project: Any = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        points = {str(name): str(value) for name, value in project["entry-points"][GROUP].items()}
        name, requires = project["name"], _ours(project.get("dependencies", ()))
        version = str(project.get("version", "0"))
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name) or not points:
            raise ValueError("its name or its entry points are none")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DatachefError(
            f"{file} is not there or describes no package with plugins",
            f"it has a table [project.entry-points.{GROUP}]; chef new plugin NAME writes one",
        ) from error
    source = folder / "src"
    return PluginPackage(name, version, requires, points, source if source.is_dir() else folder)


def _ours(requirements: Any) -> str:
    """What is required of datachef; empty where nothing is, but by an extra."""
    ours = re.compile(rf"{NAME}(?![\w-])(?!.*\bextra *==)")
    return next((line for line in map(str, requirements) if ours.match(line)), "")
