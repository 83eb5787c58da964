"""Builds the documentation as a site: the pages of the repository and a reference of operators.

The reference is made from the registry, and the catalogue of plugins by checking them, so neither
is committed. `pip install -e ".[docs]"`, then `python docs/build.py`; the site is in
build/docs/site. A link that leads nowhere fails the build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "build" / "docs"
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
FOLDERS = ("docs", "examples", "benchmarks")
IGNORED = shutil.ignore_patterns("__pycache__", ".*", "data")


def main() -> None:
    """Copies the pages to a folder, adds the reference, and has Zensical make the site of them."""
    shutil.rmtree(TARGET, ignore_errors=True)
    pages = TARGET / "pages"
    pages.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, pages)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, pages / name, ignore=IGNORED)
    shutil.copy(ROOT / "docs" / "zensical.toml", TARGET)
    reference = str(pages / "docs" / "reference")
    run("-m", "datachef.core.cli", "ops", "--output", reference)
    run(str(ROOT / "docs" / "catalogue.py"), reference)
    run("-m", "zensical", "build", "--strict", "--clean")


def run(*program: str) -> None:
    """Runs a module or a file in the folder of the site; where it fails, so does the build."""
    done = subprocess.run([sys.executable, *program], cwd=TARGET, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
