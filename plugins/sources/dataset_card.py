"""What a dataset says of where its files are: nothing but inside of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datachef.core import SourceError
from datachef.core.system.paths import expanded

# Where `datasets` looks for configurations of a dataset.
_CARDS = ("README.md", ".huggingface.yaml")
# Fields of a configuration that hold paths and patterns.
_PATHS = ("data_files", "data_dir")
# Readers of `datasets` that read nothing but the files they are given; HDF5 and Lance, for example,
# follow what a file says of others.
_READERS = {
    "arrow", "audiofolder", "conll", "csv", "imagefolder", "json", "parquet", "pdffolder", "text",
    "videofolder", "webdataset", "xml",
}  # fmt: skip
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def check_card(name: str, commit: str | None) -> None:
    """Raises `SourceError` where the card of a dataset sends its reader anywhere else.

    `name` is a folder, or with a `commit` one of the Hub. The card is read as `datasets` reads it.
    """
    for config in _configurations(name, commit):
        for field, value in config.items():
            for text in _texts(value):
                if "://" in text or (field in _PATHS and _leaves(text)):
                    raise SourceError(
                        "outside_dataset",
                        f"{name!r}: its card names {text[:200]!r}, no file of this dataset",
                        "name the files themselves, as a source with path:",
                    )


def check_files(builder: Any, name: str, commit: str | None) -> None:
    """Raises `SourceError` where a file that would be read is not one of the dataset, or leads to
    others."""
    reader = type(builder).__module__.rpartition(".")[2]
    if reader not in _READERS:
        message = f"{name!r}: files of the kind {reader} are not read"
        raise SourceError("unreadable_dataset", message, "convert them to Parquet or JSON lines")
    files = builder.config.data_files or {}
    folder = expanded(name).resolve().as_posix() + "/" if commit is None else ""
    for file in (str(file) for split in files.values() for file in split):
        own = (
            file.startswith(folder)
            if commit is None
            else file.startswith("hf://datasets/") and f"@{commit}/" in file
        )
        if not own or "::" in file:
            raise SourceError("outside_dataset", f"{name!r}: {file!r} is no file of this dataset")


def _configurations(name: str, commit: str | None) -> Iterator[dict[str, Any]]:
    """Everything that the cards of a dataset say of its configurations."""
    import yaml
    from huggingface_hub import DatasetCard

    for file in _CARDS:
        path = _card(name, commit, file)
        if path is None:
            continue
        if file.endswith(".md"):
            said: Any = DatasetCard.load(path).data.to_dict()
        else:
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
        configs = said.get("configs") if isinstance(said, dict) else None
        for config in configs if isinstance(configs, list) else ():
            if isinstance(config, dict):
                yield config


def _card(name: str, commit: str | None, file: str) -> Path | None:
    if commit is None:
        path = Path(name) / file
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, file, repo_type="dataset", revision=commit))
    except EntryNotFoundError:
        return None


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, each once, however often YAML repeats what holds it."""
    waiting, seen = [value], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting += [*value, *value.values()] if isinstance(value, dict) else value


def _leaves(pattern: str) -> bool:
    """Whether a pattern leads out of the folder that it is relative to."""
    return (
        pattern.startswith(("/", "\\", "~"))
        or ".." in re.split(r"[/\\]", pattern)
        or "::" in pattern
        or _SCHEME.match(pattern) is not None
    )
