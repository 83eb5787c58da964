"""The catalogue of plugin packages: what each has, what it is for, and what its check says.

`python docs/catalogue.py FOLDER` writes plugins.json and the page plugins.md of it into the folder,
as the build of the documentation does. To list a package, add it to `PACKAGES`: the name under
which it is installed there, or a folder of this repository. The catalogue is made anew each time
and never committed, so that it says what is true of this version.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = ("datachef-core", "examples/plugin")
STATES = ("passed", "failed", "untried")


def main() -> None:
    """Writes the catalogue into the folder that is named; exit code 1 where a check failed."""
    entries = [entry_of(package) for package in PACKAGES]
    write(entries, Path(sys.argv[1]))
    if failed := [entry["package"] for entry in entries if entry["checks"]["failed"]]:
        sys.exit(f"checks failed: {', '.join(failed)}")


def entry_of(package: str) -> dict[str, Any]:
    """What `chef plugins check` says of a package, in short."""
    command = [sys.executable, "-m", "datachef.core.cli", "plugins", "check", package, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    verdict = json.loads(done.stdout)["result"]
    counted = Counter(check["state"] for check in verdict["checks"])
    names = {check["name"] for check in verdict["checks"] if check["kind"] == "operator"}
    return {
        "package": verdict["package"],
        "version": verdict["version"],
        "requires": verdict["requires"],
        "operators": sorted(names),
        "checks": {state: counted[state] for state in STATES},
    }


def write(entries: Sequence[dict[str, Any]], folder: Path) -> None:
    """The catalogue as JSON, and as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugins.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Plugin packages",
        "",
        "What `chef plugins check` says of each; the same as data: [plugins.json](plugins.json).",
        "",
        "| package | for | operators | checks passed | failed | not tried |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for entry in entries:
        counts = " | ".join(str(entry["checks"][state]) for state in STATES)
        requires = entry["requires"] or "itself"
        lines.append(
            f"| {entry['package']} {entry['version']} | {requires} "
            f"| {len(entry['operators'])} | {counts} |"
        )
    (folder / "plugins.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
