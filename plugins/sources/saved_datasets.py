"""Folders that `datasets` wrote with `save_to_disk`: which of their files hold the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datachef.core import SourceError


def files_of(path: str) -> list[str]:
    """The files of a folder that `datasets` saved, in their order; of any other path itself.

    Raises `SourceError` for a folder of several splits, and for one that names files elsewhere.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    splits = _said(folder / "dataset_dict.json").get("splits")
    if isinstance(splits, list):
        names = ", ".join(map(str, splits))
        raise SourceError(
            "is_folder", f"{path!r} holds the splits {names}", f"name one: {path.rstrip('/')}/SPLIT"
        )
    listed = _said(folder / "state.json").get("_data_files")
    if not isinstance(listed, list):
        return [path]
    files = []
    for item in listed:
        name = item.get("filename") if isinstance(item, dict) else None
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".arrow"):
            raise SourceError("outside_dataset", f"{path!r}: {name!r} is no file of this dataset")
        files.append(str(folder / name))
    if not files:
        raise SourceError("empty_source", f"{path!r}: a dataset without rows")
    return files


def _said(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
