"""The training libraries, which are optional and take seconds to import."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError

EXTRA = extra("train")


def training_package(module: str) -> Any:
    """A module of torch, transformers, TRL and the like; `MissingPackageError` without it."""
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        raise MissingPackageError(missing, EXTRA, "training language models") from error
