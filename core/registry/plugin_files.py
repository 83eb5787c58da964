"""The code of plugins: where it lies, and what is in a file that was given as a plugin."""

from __future__ import annotations

import inspect
import re
import sys
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from datachef.core.errors import DatachefError
from datachef.core.system.code_identity import PluginFileLoader, remember_code
from datachef.core.system.paths import expanded


def place_of(module: Any) -> Path | None:
    """Where the code of a plugin lies: the folder of a package, the file of a module."""
    try:
        file = Path(inspect.getfile(module if inspect.ismodule(module) else type(module)))
    except (TypeError, OSError):
        return None
    return file.parent if file.name == "__init__.py" else file


def plugin_file(name: str) -> str:
    """The absolute path of a plugin file. Raises `DatachefError` where there is no file."""
    path = expanded(name).resolve()
    if path.is_dir():
        raise DatachefError(f"no plugin file: {path} is a folder", "--plugin takes a Python file")
    if not path.is_file():
        raise DatachefError(f"no plugin file {path}", hint="--plugin takes a Python file")
    return str(path)


def module_of(path: Path, number: int) -> ModuleType:
    """The module in a file, the `number`th of those with its stem; it is as if imported."""
    name = f"datachef_plugin_{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}"
    name += f"_{number}" if number > 1 else ""
    spec = spec_from_loader(name, PluginFileLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        remember_code(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module
