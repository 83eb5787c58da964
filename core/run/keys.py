"""Names of results: the hash of everything that they depend on."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Source
from datachef.core.errors import PluginError
from datachef.core.registry.promises import ask, identity_problem
from datachef.core.system.code_identity import code_of
from datachef.core.system.paths import Files, path_identity


def key_of(*parts: Any) -> str:
    """A hexadecimal name for plain data."""
    raw = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def seed_of(seed: int, path: str) -> int:
    """The seed of one step: the recipe's, made different for each place in it."""
    digest = hashlib.blake2b(f"{seed}:{path}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def files_of(operator: Operator) -> Files:
    """The files that an operator reads besides the rows, as they are now."""
    return {file: path_identity(file) for file in ask(operator, "files")}


def operator_identity(operator: Operator, files: Files) -> dict[str, Any]:
    """An operator's identity with its code and the content of the files it reads."""
    identity: dict[str, Any] = ask(operator, "identity")
    if problem := identity_problem(identity):
        raise PluginError(f"identity() of {operator.op} {problem}")
    identity |= {"code": code_of(type(operator))}
    return identity | ({"files": list(files.values())} if files else {})


def source_identity(source: Source) -> dict[str, Any]:
    """What the rows of a source depend on besides the content of its partitions: its code, and the
    parameters of its own kind."""
    ignored = {*Source.model_fields, source.key}
    own = {name: getattr(source, name) for name in type(source).model_fields if name not in ignored}
    return {"parameters": to_jsonable_python(own), "code": code_of(type(source))}
