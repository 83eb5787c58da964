"""Plugin files that configuration names: the user's own, and that of a folder the user trusts.

What lies in the working folder may come from anybody, with a recipe or a repository, and a plugin
is code: it is loaded from there only after the user said once that the folder is trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datachef.core.errors import DatachefError
from datachef.core.system.paths import expanded

FILE = "datachef.toml"
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Configuration:
    """The plugin files that a file names, as absolute paths."""

    file: Path
    plugins: tuple[str, ...]


def user_folder() -> Path:
    """Where users configure datachef: `datachef` in `XDG_CONFIG_HOME`, by default `~/.config`."""
    return expanded(os.environ.get("XDG_CONFIG_HOME") or "~/.config").absolute() / "datachef"


def configured_plugins() -> tuple[list[str], Configuration | None]:
    """The plugin files to load, and the configuration that names more in a folder which is not
    trusted. Raises `DatachefError` for what is trusted and cannot be read."""
    found = _read(user_folder() / FILE)
    files = [] if found is None else [*found.plugins]
    trusted = trusted_folders()
    near = _near(trusted)
    if near is None or str(near.file.parent) not in trusted:
        return files, near
    return [*files, *_there(near).plugins], None


def trusted_folders() -> list[str]:
    """The folders that the user trusts."""
    file = _trusted_file()
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def trust(folder: Path) -> Configuration:
    """Trusts a folder from now on, and gives its configuration.

    Raises `DatachefError` where the folder has none that names plugins.
    """
    folder = folder.resolve()
    found = next(_in_folder(folder, [str(folder)]), None)
    if found is None:
        raise DatachefError(
            f"{folder} configures no plugin files",
            f'write plugins = ["FILE.py"] into {FILE}, or under [tool.datachef] of pyproject.toml',
        )
    _write_trusted({*trusted_folders(), str(folder)})
    return _there(found)


def distrust(folder: Path) -> None:
    """Trusts a folder no longer."""
    _write_trusted({*trusted_folders()} - {str(folder.resolve())})


def _trusted_file() -> Path:
    return user_folder() / "trusted-folders"


def _write_trusted(folders: set[str]) -> None:
    from datachef.core.system.atomic import write_atomically

    write_atomically(_trusted_file(), "".join(f"{name}\n" for name in sorted(folders)).encode())


def _near(trusted: list[str]) -> Configuration | None:
    """The nearest configuration that names plugins, from the working folder upwards."""
    try:
        here = Path.cwd()
    except OSError:  # it is gone, which whoever needs it says
        return None
    folders = (here, *here.parents)
    return next((found for folder in folders for found in _in_folder(folder, trusted)), None)


def _in_folder(folder: Path, trusted: list[str]) -> Iterator[Configuration]:
    """What a folder configures; what cannot be read in one that is not trusted is nothing."""
    for name in (FILE, "pyproject.toml"):
        try:
            found = _read(folder / name)
        except DatachefError:
            if str(folder) in trusted:
                raise
            continue
        if found is not None and found.plugins:
            yield found


def _read(file: Path) -> Configuration | None:
    """The configuration in a file; None where there is no file.

    Raises `DatachefError` for one that cannot be read, or that says something else.
    """
    if not file.is_file():  # nor a pipe, which would be waited for
        return None
    import tomllib

    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError("it is too large")
        data: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        table = data if file.name == FILE else data.get("tool", {}).get("datachef", {})
        named = table.get("plugins", [])
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DatachefError(f"cannot read {file}: {error}") from error
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise DatachefError(f"{file}: plugins is no list of files", 'plugins = ["my_filters.py"]')
    return Configuration(file, tuple(str(file.parent / expanded(name)) for name in named))


def _there(found: Configuration) -> Configuration:
    missing = [plugin for plugin in found.plugins if not Path(plugin).is_file()]
    if missing:
        raise DatachefError(f"{found.file} names no file: {', '.join(missing)}")
    return found
