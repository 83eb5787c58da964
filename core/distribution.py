"""The distribution that this package is installed from, and the commands that add to it."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Another project has the name `datachef` on PyPI. What is imported is `datachef` all the same.
NAME = "datachef-core"

_OURS = re.compile(rf"{NAME}(?P<extras>\[[^]]*\])?")


def version() -> str:
    """The installed version of this project."""
    return distribution(NAME).version


def extra(*names: str) -> str:
    """Extras of this project as pip takes them: `extra("hf")` is `datachef-core[hf]`."""
    return f"{NAME}[{','.join(names)}]"


def install_command(requirement: str) -> str:
    """The command that installs what `requirement` names, to be typed in the working directory.

    A requirement of ours names the place that this installation came from: a checkout is
    installed once more from where it lies, a wheel from its file, and only a release from the
    package index. Requirements of others are left as they are.
    """
    ours = _OURS.fullmatch(requirement)
    origin = _origin() if ours else {}
    url, folder = origin.get("url", ""), _local(origin.get("url", ""))
    if ours and folder and "dir_info" in origin and (folder / "pyproject.toml").is_file():
        editable = "-e " if origin["dir_info"].get("editable") else ""
        place = "." if folder == Path.cwd() else str(folder)
        return f"pip install {editable}{_quoted(place + (ours['extras'] or ''))}"
    if vcs := origin.get("vcs_info"):
        requirement += f" @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    elif "archive_info" in origin and (folder is None or folder.is_file()):
        requirement += f" @ {url}"
    return f"pip install {_quoted(requirement)}"


def _origin() -> dict[str, Any]:
    """What pip wrote down of an installation that came from no index (PEP 610)."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}


def _local(url: str) -> Path | None:
    from urllib.request import url2pathname  # drags in a web client

    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _quoted(text: str) -> str:
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'
