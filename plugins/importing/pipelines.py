"""Configurations of other libraries, read as data: operators, their parameters, and files.

A script of datatrove is parsed and never run: of its calls, those with plain values are taken.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datachef.core import DatachefError

_MODULES = tuple(
    f"datatrove.pipeline.{kind}"
    for kind in ("filters", "formatters", "extractors", "dedup", "readers")
)


@dataclass(frozen=True)
class OperatorCall:
    """An operator of a library with its parameters, and where it stands."""

    place: str
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Pipeline:
    """What a configuration says; `text_field` and `sources` only where it names them."""

    library: str
    calls: list[OperatorCall]
    name: str = ""
    text_field: str = "text"
    sources: list[dict[str, Any]] = field(default_factory=list)


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in a file. Raises `DatachefError` for one of no library that is known."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return _datatrove(text, path)
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, OSError) as error:
        raise DatachefError(f"{path} cannot be read: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("process"), list):
        return _data_juicer(data)
    if isinstance(data, dict) and isinstance(data.get("pipeline"), list):
        return _datamap(data)
    raise DatachefError(
        f"{path} is no configuration of Data-Juicer or datamap-rs",
        "the first has a list `process`, the second a list `pipeline`",
    )


def _data_juicer(data: dict[str, Any]) -> Pipeline:
    calls = []
    for index, entry in enumerate(data["process"]):
        pairs = entry.items() if isinstance(entry, dict) else [(str(entry), {})]
        calls += [OperatorCall(f"process[{index}]", name, given or {}) for name, given in pairs]
    keys = data.get("text_keys") or "text"
    return Pipeline(
        "Data-Juicer",
        calls,
        str(data.get("project_name") or ""),
        str(keys[0] if isinstance(keys, list) else keys),
        list(_sources(data)),
    )


def _sources(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(path := data.get("dataset_path"), str) and path:
        yield {"path": path}
    dataset = data.get("dataset")
    for entry in (dataset.get("configs") or []) if isinstance(dataset, dict) else []:
        weight = {"weight": entry["weight"]} if "weight" in entry else {}
        if entry.get("type") in {"huggingface", "hf", "remote"}:
            yield {"hf": entry.get("path"), **weight}
        else:
            yield {"path": entry.get("path"), **weight}


def _datamap(data: dict[str, Any]) -> Pipeline:
    calls: list[OperatorCall] = []
    models: dict[str, str] = {}
    for index, entry in enumerate(data["pipeline"]):
        written = entry if isinstance(entry, dict) else {"name": entry}
        name, given = str(written.get("name")), dict(written.get("kwargs") or {})
        if name == "fasttext_annotator":
            field_name = str(given.get("output_field", "metadata.fasttext"))
            models[field_name] = str(given.get("fast_text_file"))
        elif name == "float_filter":
            field_name, _, label = str(given.get("float_field")).partition(".__label__")
            if label and field_name in models:  # what another library does in one step
                name = "FastTextClassifierFilter"
                given = {
                    "model_url": models[field_name],
                    "keep_labels": [label, given.get("lower_bound", 0.0)],
                }
        calls.append(OperatorCall(f"pipeline[{index}]", name, given))
    return Pipeline(
        "datamap-rs", calls, str(data.get("name") or ""), data.get("text_field", "text")
    )


def _datatrove(text: str, path: Path) -> Pipeline:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise DatachefError(f"{path}:{error.lineno}: {error.msg}") from error
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_MODULES)
        for alias in node.names
    }
    calls, sources = [], []
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    for node in sorted(found, key=lambda n: (n.lineno, n.col_offset)):
        name = imported.get(node.func.id)  # type: ignore[attr-defined]
        if name is None or name.endswith("Config"):
            continue
        given = {keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg}
        if name.endswith("Reader"):
            first = given.get("data_folder", _literal(node.args[0]) if node.args else None)
            sources += [{"path": first}] if isinstance(first, str) else []
        else:
            calls.append(OperatorCall(f"line {node.lineno}", name, given))
    return Pipeline("datatrove", calls, path.stem, sources=sources[:1])


def _literal(node: ast.expr) -> Any:
    """A plain value; other expressions as they are written."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
