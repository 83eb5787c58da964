"""Which code made a result: the sources that a class is made of, told apart by their content.

What is seen of a class: the modules that define it and its base classes, all modules of their
packages that these import, directly or through others, modules that lie outside of installed
packages, and the versions of the installed packages that they name. Not seen: modules imported by a
name that is computed, what a package's `__init__` does to modules that do not import it, and data
files, which `Operator.files` names (an installed distribution's are in its RECORD).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from hashlib import blake2b
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

CORE = "datachef.core"
# Of core, what has no part in results.
_IDLE = ("cli", "testing.py")
# It only holds the parameters, which count by themselves.
_IGNORED = {"pydantic", "pydantic_core", "typing_extensions", *sys.stdlib_module_names}
_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n;#\\]|\\\n)*)"
    rb"|import[ \t]+((?:[^\n;#\\]|\\\n)*))",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\n]*")
_NOT_CONTENT = re.compile(r'"?(\.\.|__editable__|[^,/]*\.(dist|egg)-info/|([^,]*/)?__pycache__/)')

_KNOWN: WeakKeyDictionary[type, Mapping[str, str]] = WeakKeyDictionary()


class PluginFileLoader(SourceFileLoader):
    """Runs a file as it is, and remembers what it ran.

    Bytecode is left alone: it is told from newer source by the second and the size, and a file that
    was edited within a second would run as it was before.
    """

    source = b""

    def get_code(self, fullname: str) -> CodeType:
        self.source = self.get_data(self.path)
        return self.source_to_code(self.source, self.path)


def code_of(cls: type) -> Mapping[str, str]:
    """The modules of a class, each with a digest, and the packages they use, with their versions.

    Core is left out, since all results depend on it: see `core_code`. The answer is the same in
    every process that has the same code, wherever the code lies. A class keeps the one it got
    first: what is loaded does not change when its file does.
    """
    known = _KNOWN.get(cls)
    if known is None:
        modules = [base.__module__ for base in cls.__mro__]
        known = _KNOWN[cls] = dict(sorted(_code(modules).items()))
    return known


def remember_code(module: ModuleType) -> None:
    """Takes down the code of the classes of a plugin file, which may be loaded anew later."""
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            code_of(value)


@lru_cache(maxsize=1)
def core_code() -> str:
    """The digest of all of `datachef.core` that has a part in results."""
    digest = blake2b(digest_size=16)
    for place in sys.modules[CORE].__path__:
        for name, content in _contents(place, _IDLE):
            digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=256)
def distribution_code(name: str) -> Mapping[str, str]:
    """The version of an installed distribution with a digest of its files, as RECORD has them.

    Empty for what is no distribution. One that is installed for editing has no files there.
    """
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return {}
    record = (found.read_text("RECORD") or "").splitlines()
    files = sorted(line for line in record if not _NOT_CONTENT.match(line))
    digest = f" {_digest(chr(10).join(files).encode())[:12]}" if files else ""
    return {name: f"{found.version}{digest}"}


def function_code(function: Callable[..., Any]) -> Mapping[str, str]:
    """Like `code_of`, for a function or another object that can be called."""
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        return code_of(type(function))
    return dict(sorted(_code([function.__module__]).items()))


@lru_cache(maxsize=64)
def module_code(name: str) -> Mapping[str, str]:
    """Like `code_of`, for a module of functions."""
    return dict(sorted(_code([name]).items()))


def _code(modules: Iterable[str]) -> dict[str, str]:
    roots = [name for name in modules if _top(name) not in _IGNORED and not _is_core(name)]
    followed = {_top(name) for name in roots}
    found: dict[str, str] = {}
    seen = set(roots)
    waiting = list(dict.fromkeys(roots))
    while waiting:
        name = waiting.pop()
        spec = _spec(name)
        source = None if spec is None else _source(spec)
        if spec is None or source is None:
            continue
        found[_label(spec)] = _digest(source)
        if not _is_readable(spec):
            found |= _whole_package(_top(name))
        for imported in _imported(spec, source):
            top = _top(imported)
            if imported in seen or top in _IGNORED:
                continue
            seen.add(imported)
            if _is_core(imported):
                found |= _packages_of(imported)
            elif top in followed or top == "datachef" or _is_local(top):
                waiting.append(imported)
            else:
                found |= _installed(top)
    return found


def _imported(spec: ModuleSpec, source: bytes) -> Iterator[str]:
    """The modules that a source imports, wherever in it; a name may be that of no module."""
    package = spec.name if spec.submodule_search_locations is not None else spec.parent
    for origin, names, modules in _IMPORT.findall(source):
        if modules:
            yield from _names(modules)
            continue
        try:
            module = resolve_name(origin.decode(), package)
        except ImportError:
            continue
        submodules = [f"{module}.{name}" for name in _names(names)]
        if module == CORE:
            submodules = [_public().get(name.rpartition(".")[2], name) for name in submodules]
        found = [name for name in submodules if _top(name) not in _IGNORED and _spec(name)]
        yield from found
        if len(found) < len(submodules) or not submodules:
            yield module


@lru_cache(maxsize=1)
def _public() -> Mapping[str, str]:
    """The module of each name of core's public interface, which loads them only when asked."""
    stub = Path(__file__).parents[1] / "__init__.pyi"
    return {
        name: resolve_name(origin.decode(), CORE)
        for origin, names, _ in _IMPORT.findall(stub.read_bytes())
        for name in _names(names)
    }


def _names(listed: bytes) -> list[str]:
    plain = _COMMENT.sub(b"", listed).replace(b"\\\n", b" ").strip(b"() \t\r\n")
    words = [part.split() for part in plain.split(b",")]
    return [part[0].decode(errors="replace") for part in words if part]


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, found without importing anything."""
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    parent = name.rpartition(".")[0]
    places = None
    if parent:
        package = _spec(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        places = package.submodule_search_locations
    for finder in sys.meta_path:
        try:
            found = finder.find_spec(name, places)
        except (AttributeError, ImportError, ValueError):
            continue
        if found is not None:
            return found
    return None


def _source(spec: ModuleSpec) -> bytes | None:
    """What a module runs: its source, or what was compiled of it, without the compiler's header."""
    if isinstance(spec.loader, PluginFileLoader):
        return spec.loader.source
    read = getattr(spec.loader, "get_data", None)
    if read is None or not spec.has_location or spec.origin is None:
        return None
    try:
        raw: bytes = read(spec.origin)
    except OSError:
        return None
    return raw[16:] if spec.origin.endswith(".pyc") else raw


def _is_readable(spec: ModuleSpec) -> bool:
    """Whether what a module imports can be read in its source."""
    return isinstance(spec.loader, PluginFileLoader) or str(spec.origin).endswith(".py")


@lru_cache(maxsize=256)
def _whole_package(top: str) -> Mapping[str, str]:
    """All files of a package of compiled modules, of which one cannot tell which it imports."""
    spec = _spec(top)
    if spec is None:
        return {}
    digest = blake2b(digest_size=16)
    if archive := getattr(spec.loader, "archive", None):
        digest.update(Path(archive).read_bytes())
    for place in () if archive else spec.submodule_search_locations or ():
        for name, content in _contents(place):
            digest.update(name.encode() + b"\0" + content + b"\0")
    return {f"{top} (compiled)": digest.hexdigest()}


def _contents(folder: str, idle: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """The files of a folder and of those within, by their names, in an order of their own."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name in idle or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            for name, content in _contents(entry.path):
                yield f"{entry.name}/{name}", content
        else:
            with open(entry.path, "rb") as stream:  # noqa: PTH123 - a hundred files at every start
                raw = stream.read()
            yield entry.name, raw[16:] if entry.name.endswith(".pyc") else raw


def _label(spec: ModuleSpec) -> str:
    """A module as people know it; a single file by its file name, wherever it lies."""
    alone = "." not in spec.name and spec.submodule_search_locations is None
    return Path(spec.origin or spec.name).name if alone else spec.name


@lru_cache(maxsize=256)
def _packages_of(name: str) -> Mapping[str, str]:
    """The packages that a module of core names: what it wraps, the operator uses."""
    spec = _spec(name)
    source = None if spec is None else _source(spec)
    if spec is None or source is None:
        return {}
    tops = {_top(imported) for imported in _imported(spec, source)} - _IGNORED - {"datachef"}
    return {package: said for top in sorted(tops) for package, said in _installed(top).items()}


@lru_cache(maxsize=256)
def _installed(top: str) -> Mapping[str, str]:
    try:
        return {top: version(top)}
    except PackageNotFoundError:
        spec = _spec(top)
        source = None if spec is None else _source(spec)
        return {} if source is None else {top: _digest(source)}


@lru_cache(maxsize=256)
def _is_local(top: str) -> bool:
    """Whether a package lies outside of where packages are installed."""
    spec = _spec(top)
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(
        place is not None and not {"site-packages", "dist-packages"} & set(Path(place).parts)
        for place in places
    )


def _is_core(name: str) -> bool:
    return name == CORE or name.startswith(f"{CORE}.")


def _top(name: str) -> str:
    return name.partition(".")[0]


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()
