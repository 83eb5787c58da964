"""Files made of templates: all of them are written, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from datachef.core import DatachefError
from datachef.core.contracts.operator import NAME

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class NewFiles:
    """Files to write, by their paths in a folder; files that are there and grow, with all that they
    hold then; all that keeps them from being written; what to do next."""

    files: Mapping[str, str]
    extended: Mapping[str, str]
    problems: tuple[str, ...]
    next: tuple[str, ...]


def rendered(template: str, **values: str) -> str:
    """The text of a template with these values; one that lacks is a `KeyError`."""
    text = (_TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def written_document(kind: str, name: str) -> NewFiles:
    """A recipe or a task, with a few rows that it reads."""
    beside = {"recipe": "rows.jsonl", "task": "items.jsonl"}[kind]
    suffix = {"recipe": "", "task": ".task"}[kind]
    problem = "" if NAME.fullmatch(name) else f"{name!r} is no name in snake_case"
    data = {"recipe": f"{name}.jsonl", "task": f"{name}.test.jsonl"}[kind]
    written = f"{name}{suffix}.yaml"
    return NewFiles(
        {written: rendered(f"{kind}.yaml", name=name), data: rendered(beside)},
        {},
        (problem,) if problem else (),
        {
            "recipe": (f"next: chef check {written}",),
            "task": (f"next: name it in a recipe, task: {written}",),
        }[kind],
    )


def write_new(folder: Path, made: NewFiles) -> list[Path]:
    """Writes files where none are, and gives their paths.

    Raises `DatachefError` with all problems before anything is written.
    """
    paths = {folder / name: text for name, text in made.files.items()}
    problems = [*made.problems, *(f"{path} is there already" for path in paths if path.exists())]
    if problems:
        hint = "choose another name or folder" if not made.problems else ""
        raise DatachefError("\n".join(problems), hint)
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    for name, text in made.extended.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*paths, *(folder / name for name in made.extended)]
