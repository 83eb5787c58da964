"""Plugin packages, and parts that are added to them."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from datachef.core import Host, Source
from datachef.core.contracts.operator import NAME
from datachef.core.distribution import version
from datachef.core.registry.host import GROUP
from datachef.plugins.scaffold.template import NewFiles, rendered

_ENTRY_POINTS = f"[project.entry-points.{GROUP}]"


def written_part(kind: str, name: str, folder: Path, host: Host) -> NewFiles:
    """The files of a plugin package, or of an operator, source or reward that joins the one in the
    folder."""
    part, stem = (kind, name) if kind != "plugin" else ("operator", _operator_of(name))
    problems = [*_problems_of_name(name), *_problems_of_part(part, stem, host)]
    there = None if kind == "plugin" else _package_in(folder)
    if there is None:
        if not problems and importlib.util.find_spec(name) is not None:
            problems.append(f"a package {name} is installed already")
        return _package(part, stem, name, problems)
    package, root, description = there
    module = f"{package}.{stem}"
    extended = _with_entry_point(description, stem, module)
    if not root:
        problems.append(f"the package {package} is neither in {folder / 'src'} nor in {folder}")
    if extended is None:
        line = f'add the line {stem} = "{module}" under {_ENTRY_POINTS} of pyproject.toml'
    else:
        line = "next: pip install -e . && pytest"
    return NewFiles(
        _files_of_part(part, stem, module, f"{root}{package}"),
        {} if extended is None else {"pyproject.toml": extended},
        tuple(problems),
        (line,),
    )


def _operator_of(name: str) -> str:
    """The operator in a package: `my_filter` in `my_filters`, `acme_filter` in `acme`."""
    return re.sub("_filters?$", "", name) + "_filter"


def class_name(name: str) -> str:
    """`ShoutingFilter` of `shouting_filter`."""
    return "".join(part.capitalize() for part in name.split("_"))


def key_of(name: str) -> str:
    """The field by which recipes choose a source: `sqlite` of `sqlite_source`."""
    return name.removesuffix("_source")


def _problems_of_name(name: str) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f"{name!r} is no name in snake_case, which a module of Python can have"
    elif keyword.iskeyword(name) or name in sys.stdlib_module_names or name == "datachef":
        yield f"{name!r} is a word or a module of Python, or of datachef: choose another name"


def _problems_of_part(part: str, stem: str, host: Host) -> Iterator[str]:
    if part == "operator" and stem in host.vocabulary:
        yield f"{host.vocabulary.package(stem)} has an operator {stem} already"
    if part == "reward" and stem in host.named("datachef_rewards"):
        yield f"there is a reward {stem} already"
    fields = {*Source.model_fields, *host.vocabulary.source_keys, "table"}
    if part == "source" and key_of(stem) in fields:
        yield f"sources have a field {key_of(stem)!r} already"


def _package(part: str, stem: str, package: str, problems: list[str]) -> NewFiles:
    distribution, module = package.replace("_", "-"), f"{package}.{stem}"
    values = {
        "distribution": distribution, "package": package, "stem": stem, "module": module,
        "kind": part, "compatible": _compatible(version()),
    }  # fmt: skip
    use = rendered(f"use_{part}.md", name=stem, key=key_of(stem), distribution=distribution)
    files = {
        "pyproject.toml": rendered("pyproject.toml", **values),
        "README.md": rendered("readme.md", use=use, **values),
        ".gitignore": rendered("gitignore"),
        ".github/workflows/test.yml": rendered("workflow.yml"),
        f"src/{package}/__init__.py": '"""A plugin of datachef."""\n',
        **_files_of_part(part, stem, module, f"src/{package}"),
    }
    return NewFiles(
        {f"{distribution}/{path}": text for path, text in files.items()},
        {},
        tuple(problems),
        (f'next: cd {distribution} && pip install -e ".[test]" && pytest',),
    )


def _files_of_part(part: str, stem: str, module: str, folder: str) -> dict[str, str]:
    values = {"name": stem, "class_name": class_name(stem), "key": key_of(stem), "module": module}
    return {
        f"{folder}/{stem}.py": rendered(f"{part}.py", **values),
        f"tests/test_{stem}.py": rendered(f"test_{part}.py", **values),
    }


def _compatible(installed: str) -> str:
    """The versions that keep what this one promises: up to 1.0 those of its minor release."""
    major, minor, *_ = (int(number) for number in re.findall(r"\d+", installed))
    return f">={installed},<{f'0.{minor + 1}' if major == 0 else major + 1}"


def _package_in(folder: Path) -> tuple[str, str, str] | None:
    """The plugin package of a folder: its name, where in the folder it lies (empty where it lies
    nowhere), and its pyproject.toml; None where there is none."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    try:
        points = tomllib.loads(text)["project"]["entry-points"][GROUP]
        package = str(next(iter(points.values()))).partition(".")[0]
    except (tomllib.TOMLDecodeError, KeyError, AttributeError, StopIteration, TypeError):
        return None
    root = next((r for r in ("src/", "./") if (folder / r / package).is_dir()), "")
    return package, root, text


def _with_entry_point(text: str, stem: str, module: str) -> str | None:
    """A pyproject.toml with one more entry point; None where it is not written in the usual way."""
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.strip() == _ENTRY_POINTS]
    if len(places) != 1:
        return None
    lines.insert(places[0] + 1, f'{stem} = "{module}"\n')
    longer, expected = "".join(lines), tomllib.loads(text)
    expected["project"]["entry-points"][GROUP][stem] = module
    try:
        return longer if tomllib.loads(longer) == expected else None
    except tomllib.TOMLDecodeError:
        return None
