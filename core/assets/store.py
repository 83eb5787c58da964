"""The assets that have been fetched, in a folder of the user's cache."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any

import orjson

from datachef.core.assets.asset import NAME, Asset
from datachef.core.errors import UnavailableError
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.paths import expanded

VARIABLE = "DATACHEF_ASSETS"
# The file beside those of an asset that says what they are.
RECORD = "asset.json"


class MissingAssetError(UnavailableError):
    """An asset is missing or damaged; the hint is the command that fetches it."""

    exit_code = 1

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the asset {name} {why}", fetch_command(name))


def fetch_command(name: str) -> str:
    """The command that fetches an asset."""
    return f"chef assets get {name}"


def assets_folder() -> Path:
    """Where assets are kept: the folder of `DATACHEF_ASSETS`, or `datachef/assets` in the user's
    cache (`XDG_CACHE_HOME`, by default `~/.cache`)."""
    if named := os.environ.get(VARIABLE):
        return expanded(named).absolute()
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache").absolute() / "datachef/assets"


def asset_folder(name: str) -> Path:
    """The folder with the files of an asset, whose checksums are verified once per process.

    Fetches nothing: raises `MissingAssetError` for an asset that is not there.
    """
    folder, record = _recorded(name)
    for file in record["files"]:
        path = folder / file["path"]
        try:
            status = path.stat()
            facts = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
            intact = status.st_size == file["size"] and _sha256(facts) == file["sha256"]
        except OSError as error:
            raise_environment_failure(error)
            intact = False
        if not intact:
            raise MissingAssetError(name, f"is damaged: {path} is not what was fetched")
    return folder


def asset_checksum(name: str) -> str:
    """The checksum of an asset that is there, as `Asset.checksum` gives it.

    Raises `MissingAssetError` for one that is not.
    """
    return str(_recorded(name)[1]["checksum"])


def is_stored(name: str, checksum: str | None = None) -> bool:
    """Whether an asset is there, with this checksum where one is given."""
    try:
        found = asset_checksum(name)
    except MissingAssetError:
        return False
    return checksum in (None, found)


def record_of(asset: Asset) -> bytes:
    """The content of the file that says what the files beside it are."""
    files = [{"path": f.path, "sha256": f.sha256, "size": f.size} for f in asset.files]
    facts = {"name": asset.name, "checksum": asset.checksum, "license": asset.license}
    return orjson.dumps(facts | {"files": files}, option=orjson.OPT_INDENT_2)


def _recorded(name: str) -> tuple[Path, dict[str, Any]]:
    if not NAME.fullmatch(name):
        raise MissingAssetError(name, "has no valid name")
    folder = assets_folder() / name
    try:
        raw = (folder / RECORD).read_bytes()
        record: dict[str, Any] = orjson.loads(raw)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingAssetError(name, f"is not in {assets_folder()}") from None
    except ValueError:
        raise MissingAssetError(name, f"is damaged: {folder / RECORD}") from None
    return folder, record


@lru_cache(maxsize=256)
def _sha256(facts: tuple[str, int, int, int]) -> str:
    """The SHA-256 of a file, computed again when its size, time or inode has changed."""
    with Path(facts[0]).open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
