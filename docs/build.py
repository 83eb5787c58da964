"""Builds the documentation as a site: the pages of the repository and a reference of operators.

The reference is made from the registry, so it is never committed. `pip install -e ".[docs]"`, then
`python docs/build.py`; the site is in build/docs/site. A link that leads nowhere fails the build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from datachef.core import Host
from datachef.core.cli.ops import described, range_of, type_of

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "build" / "docs"
COPIED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "examples",
    "benchmarks",
)
IGNORED = shutil.ignore_patterns("__pycache__", ".*", "data")


def main() -> None:
    """Copies the pages to a folder, adds the reference, and has Zensical make the site of them."""
    shutil.rmtree(TARGET, ignore_errors=True)
    pages = TARGET / "pages"
    for name in COPIED:
        place, target = ROOT / name, pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            shutil.copytree(place, target, ignore=IGNORED)
        else:
            shutil.copy(place, target)
    write_reference(pages / "docs" / "reference")
    shutil.copy(ROOT / "docs" / "zensical.toml", TARGET)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    sys.exit(subprocess.run(command, cwd=TARGET, check=False).returncode)


def write_reference(folder: Path) -> None:
    """Writes a page for every registered operator, and one that lists them by shape."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = Host().vocabulary
    operators = [described(name, vocabulary) for name in vocabulary]
    for operator in operators:
        (folder / f"{operator['op']}.md").write_text(page_of(operator), encoding="utf-8")
    lines = ["# Operators", "", "| operator | shape | what it does |", "|---|---|---|"]
    for operator in sorted(operators, key=lambda operator: (operator["shape"], operator["op"])):
        link = f"[`{operator['op']}`]({operator['op']}.md)"
        first = operator["description"].splitlines()[0]
        lines.append(f"| {link} | {operator['shape']} | {cell(first)} |")
    (folder / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def page_of(operator: dict[str, Any]) -> str:
    """The page of one operator: what it does, its parameters and its drop reasons."""
    lines = [
        f"# {operator['op']}",
        "",
        f"Shape {operator['shape']}, version {operator['version']}, of `{operator['package']}`.",
        "",
        operator["description"],
        "",
        "| parameter | type | default | range | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, schema in operator["parameters"].items():
        default = f"`{schema['default']!r}`" if "default" in schema else "required"
        cells = (type_of(schema), default, range_of(schema), schema.get("description", ""))
        lines.append(f"| `{name}` | {' | '.join(map(cell, cells))} |")
    if operator["reasons"]:
        reasons = ", ".join(f"`{reason}`" for reason in operator["reasons"])
        lines += ["", f"With its defaults it drops rows as {reasons}."]
    return "\n".join([*lines, ""])


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
