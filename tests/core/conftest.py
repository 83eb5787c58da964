from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from odd_plugins import write_plugin
from pydantic import BaseModel, ValidationError

from datachef.core import Host, MixOperator, Problem, check_recipe

__all__ = ["write_plugin"]

Data = dict[str, Any]

_TEXT = st.characters(exclude_categories=["Cs"])
_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)


@pytest.fixture(scope="session")
def operators_file() -> str:
    return str(Path(__file__).parent / "sample_operators.py")


@pytest.fixture(scope="session")
def sample_host(operators_file: str) -> Host:
    """A host with the operators of `sample_operators.py` and our kinds of source."""
    return Host([operators_file], only={"sources"})


@pytest.fixture(scope="session")
def installed() -> Host:
    """A host with all that is installed."""
    return Host()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with documents, conversations, a pool, a task and its benchmark."""
    files = {
        "web.jsonl": [{"text": f"page {n}", "url": f"u{n}", "tokens": 3} for n in range(30)],
        "chat.jsonl": [{"prompt": f"q{n}", "completion": "a", "url": "u"} for n in range(30)],
        "odd.jsonl": [{"alpha": "x", "beta": "y"}],
        "bench.jsonl": [{"prompt": "q", "answer": "a"}],
    }
    for name, rows in files.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pool.yaml").write_text(
        "sources:\n  web: {path: web.jsonl}\n  chat: {path: chat.jsonl}\n"
    )
    (tmp_path / "task.yaml").write_text("name: t\nbenchmark: {path: bench.jsonl}\n")
    return tmp_path


@pytest.fixture
def problems(workspace: Path, sample_host: Host) -> Callable[..., list[Problem]]:
    """Checks the text of a recipe among the files of the workspace."""

    def check(
        text: str,
        *,
        pool: str | None = None,
        host: Host = sample_host,
        overrides: tuple[str, ...] = (),
    ) -> list[Problem]:
        path = workspace / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        bound = workspace / pool if pool else None
        return list(check_recipe(path, host, bound, overrides).problems)

    return check


@pytest.fixture(scope="session")
def recipes(installed: Host) -> st.SearchStrategy[Data]:
    """Valid recipes over all that is installed, as plain data."""
    vocabulary = installed.vocabulary
    kinds = [vocabulary[name] for name in vocabulary]
    steps = st.lists(
        st.one_of([_valid(kind) for kind in kinds if not issubclass(kind, MixOperator)]), max_size=3
    )
    sources = [
        _valid(vocabulary.source_type(key), leave={"steps"}) for key in vocabulary.source_keys
    ]
    source = st.tuples(st.one_of(*sources, st.just({})), steps).map(
        lambda pair: {**pair[0], "steps": pair[1]} if pair[1] else pair[0]
    )
    mixes = st.one_of([_valid(kind) for kind in kinds if issubclass(kind, MixOperator)])
    model = vocabulary.recipe_model
    rest = _values(
        model.model_json_schema(by_alias=True), leave={"name", "sources", "steps", "mix"}
    )
    return st.tuples(
        rest,
        st.fixed_dictionaries(
            {"name": _NAMES, "sources": st.dictionaries(_NAMES, source, min_size=1, max_size=2)},
            optional={"steps": steps, "mix": mixes},
        ),
    ).map(lambda pair: {**pair[1], **pair[0]})


def _valid(kind: type[BaseModel], leave: set[str] | None = None) -> st.SearchStrategy[Data]:
    """Parameters of a model, drawn from its schema; what its validators refuse is left out."""

    def repaired(drawn: Data) -> Data:
        data = dict(drawn)
        for _ in range(20):
            try:
                kind.model_validate(data)
            except ValidationError as error:
                wrong = {e["loc"][0] for e in error.errors() if e["loc"]} or set(data) - {"op"}
                for name in wrong & set(data):
                    if not kind.model_fields[name].is_required():
                        del data[name]
                    else:
                        data[name] = ["en"] if isinstance(data[name], list) else "a"
            else:
                return data
        raise AssertionError(f"no valid {kind.__name__} found: {data}")

    return _values(kind.model_json_schema(by_alias=True), leave or set()).map(repaired)


def _values(schema: Data, leave: set[str] = frozenset(), defs: Data | None = None) -> Any:  # noqa: PLR0912
    """Whatever a JSON Schema allows, small and finite."""
    defs = schema.get("$defs", defs or {})

    def inner(part: Data) -> Any:
        return _values(part, defs=defs)

    match schema:
        case {"$ref": ref}:
            return inner(defs[ref.removeprefix("#/$defs/")])
        case {"anyOf": options} | {"oneOf": options}:
            return st.one_of([inner(option) for option in options])
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "string", "pattern": pattern}:
            return st.from_regex(pattern, fullmatch=True)
        case {"type": "string"}:
            return st.text(_TEXT, min_size=schema.get("minLength", 0), max_size=12)
        case {"type": "integer"}:
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return st.integers(low, schema.get("maximum"))
        case {"type": "number"}:
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 1e300))
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "null"}:
            return st.none()
        case {"type": "array"}:
            return st.lists(inner(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case {"properties": properties}:
            required = {"op", *schema.get("required", ())} & set(properties) - leave
            return st.fixed_dictionaries(
                {name: inner(properties[name]) for name in sorted(required)},
                optional={n: inner(p) for n, p in properties.items() if n not in required | leave},
            )
        case {"additionalProperties": dict(value)}:
            return st.dictionaries(_NAMES, inner(value), max_size=3)
    raise AssertionError(f"no values for {schema}")
