"""Models that are a folder of this machine, or an id on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.core.system.network import hub_refusal, refusal_in

MODEL_ID = re.compile(r"(?![./~])[\w.-]{1,96}/[\w.-]{1,96}(?<!\.json)")
# Of a checkpoint what is read: no pickle, and no code.
_CHECKPOINT = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")


def hub_snapshot(name: str, patterns: Sequence[str], what: str, *, fetch: bool = True) -> Path:
    """The folder with files of a model of the Hub, fetched where the user allowed it.

    `what` is what is looked for. Without `fetch`, only what is in the cache on this machine counts.
    Raises `DatachefError` where there is none.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", extra("hf"), f"the id of a {what}") from error
    refused = hub_refusal()
    try:
        here = refused is not None or not fetch
        return Path(snapshot_download(name, allow_patterns=list(patterns), local_files_only=here))
    except Exception as error:
        refused = refused or refusal_in(error)
        if refused is not None:
            message = f"no {what} {name!r} here, and {refused}"
            raise DatachefError(message, refused.hint) from error
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatachefError(
            f"no {what} {name!r} here, nor on the Hub: {first}",
            f"a folder with a {what}, or an id on the Hub that can be reached",
        ) from error


def model_folder(name: str, *, fetch: bool = False) -> Path:
    """The folder of a checkpoint that is named by its path or its id on the Hub, which is fetched
    on demand. Raises `DatachefError` where there is none."""
    if os.path.isdir(name):  # noqa: PTH112 - a name that is too long is no folder either
        return Path(name)
    if MODEL_ID.fullmatch(name):
        return hub_snapshot(name, _CHECKPOINT, "model", fetch=fetch)
    raise DatachefError(f"no model {name[:80]!r}", "a folder with a checkpoint, or a Hub id")


def model_files(name: str) -> tuple[str, ...]:
    """The files of a checkpoint that is here, on which its answers depend."""
    try:
        folder = model_folder(name)
    except DatachefError:
        return ()  # `check` says why
    found = {path for pattern in _CHECKPOINT for path in folder.glob(pattern)}
    return tuple(sorted(str(path) for path in found if path.is_file()))
