"""The vocabulary: all that recipes can be made of, a value with a fingerprint and JSON Schemas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Union

import orjson
from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model
from pydantic_core import PydanticCustomError

from datachef.core.contracts.corpus import MixOperator, Take
from datachef.core.contracts.metric import Metric
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.parameters import MARKS
from datachef.core.contracts.reader import Reader
from datachef.core.contracts.recipe import Name, Output, Pool, Recipe
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.contracts.writer import Writer
from datachef.core.distribution import NAME
from datachef.core.errors import PluginError, did_you_mean

# Operators that recipes name by a field of a source, and which are no steps.
BUILT_IN: Mapping[str, type[Operator]] = {Take.name(): Take}


@dataclass(frozen=True)
class RegisteredClass:
    """A registered class, with the package that it came from and the name of the plugin."""

    type: type[Any]
    package: str
    plugin: str = ""


class PooledSource(Source):
    """A source of the pool, by the name under which it stands in the recipe."""


class Vocabulary:
    """Operators, kinds of source, metrics, writers and readers, read-only and sorted by name."""

    def __init__(
        self,
        operators: Iterable[RegisteredClass] = (),
        sources: Iterable[RegisteredClass] = (),
        metrics: Iterable[RegisteredClass] = (),
        writers: Iterable[RegisteredClass] = (),
        readers: Iterable[RegisteredClass] = (),
        peer_names: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Two classes of one name raise `PluginError`.

        `peer_names` gives what stands for the operators of other libraries, a sentence for each.
        """
        self._peer_names = peer_names
        self._operators = _unique("operator", [(o.type.name(), o) for o in operators])
        self._sources = _unique("source kind", [(s.type.key, s) for s in sources])
        self._metrics = _unique("metric", [(m.type.name, m) for m in metrics])
        self._writers = _unique("output format", [(w.type.name, w) for w in writers])
        readers = list(readers)
        self._readers = _unique("file format", [(r.type.name, r) for r in readers])
        _unique("suffix", [(suffix, r) for r in readers for suffix in r.type.suffixes])

    def __iter__(self) -> Iterator[str]:
        return iter(self._operators)

    def __len__(self) -> int:
        return len(self._operators)

    def __contains__(self, name: object) -> bool:
        return name in self._operators

    def __getitem__(self, name: str) -> type[Operator]:
        operator: type[Operator] = self._operators[name].type
        return operator

    def package(self, name: str) -> str:
        """The package that an operator came from; our own where it is built in."""
        return self._operators[name].package if name in self._operators else NAME

    def group(self, name: str) -> str:
        """The plugin that an operator came from, which groups it with others."""
        return self._operators[name].plugin

    def peer_name(self, name: str) -> str:
        """What stands for an operator of another library, in a sentence; empty for none."""
        return self._peer_names().get(name, "")

    def source_package(self, key: str) -> str:
        """The package that a kind of source came from."""
        return self._sources[key].package

    @property
    def source_keys(self) -> tuple[str, ...]:
        """The fields by which kinds of source are told apart."""
        return tuple(self._sources)

    def operator(self, data: Mapping[str, Any]) -> Operator:
        """The operator that a step describes, already known to be valid."""
        name = data["op"]
        kind = BUILT_IN[name] if name in BUILT_IN else self[name]
        return kind.model_validate(data)

    def operator_type(self, name: str) -> type[Operator] | None:
        """The class of an operator, registered or built in; None where there is none."""
        return self[name] if name in self else BUILT_IN.get(name)

    def source_type(self, key: str) -> type[Source]:
        """The class of a kind of source."""
        kind: type[Source] = self._sources[key].type
        return kind

    def source(self, key: str, data: Mapping[str, Any]) -> Source:
        """The source of a kind, already known to be valid."""
        return self.source_type(key).model_validate(data).reading(self.readers)

    @property
    def metrics(self) -> Mapping[str, type[Metric]]:
        """The metrics by name."""
        return {name: entry.type for name, entry in self._metrics.items()}

    @cached_property
    def readers(self) -> Mapping[str, type[Reader]]:
        """The file formats that sources read, by name."""
        return {name: entry.type for name, entry in self._readers.items()}

    def reader_package(self, name: str) -> str:
        """The package that a file format came from."""
        return self._readers[name].package

    def writer(self, name: str) -> Writer:
        """What writes corpora in a format. Raises `PluginError` where nothing does."""
        if name not in self._writers:
            raise PluginError(
                f"nothing registered writes the format {name!r}",
                did_you_mean(name, self._writers) or "the plugin `sources` has the usual ones",
            )
        writer: Writer = self._writers[name].type()
        return writer

    def task(self, data: Any) -> Task:
        """The task that a document describes. Raises `ValidationError`, of `task_model`."""
        self.task_model.model_validate(data)
        task = Task.model_validate(data)
        return task.scored_by(self.metrics.get(task.metric))

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever an operator or source kind comes, goes or changes its parameters, and
        with the fields of recipes."""
        versions = {name: entry.type.version for name, entry in self._operators.items()}
        described = [versions, self.recipe_model.model_json_schema()]
        raw = orjson.dumps(described, option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(raw, digest_size=16).hexdigest()

    @cached_property
    def recipe_model(self) -> type[Recipe]:
        """`Recipe` over exactly what is registered."""
        steps = self._steps()
        mixes = _union(
            [e.type for e in self._operators.values() if issubclass(e.type, MixOperator)]
        )
        return create_model(
            "Recipe",
            __base__=Recipe,
            __doc__=Recipe.__doc__,
            sources=(_mapping_of(self._source(steps)), _field(Recipe, "sources")),
            mix=(mixes | None, _field(Recipe, "mix")),
            steps=(tuple[steps, ...], _field(Recipe, "steps")),  # type: ignore[valid-type]
            output=(self._output, self._output()),
        )

    @cached_property
    def pool_model(self) -> type[Pool]:
        """`Pool` over exactly what is registered."""
        sources = _mapping_of(self._source(self._steps()))
        return create_model("Pool", __base__=Pool, sources=(sources, _field(Pool, "sources")))

    @cached_property
    def task_model(self) -> type[Task]:
        """`Task` over exactly the metrics that are registered; any where there are none."""
        metric = Literal[tuple(self._metrics)] if self._metrics else str
        named: Any = (metric, _field(Task, "metric"))
        return create_model("Task", __base__=Task, __doc__=Task.__doc__, metric=named)

    @cached_property
    def _output(self) -> type[Output]:
        """`Output` over exactly the formats that something writes; any where nothing does."""
        written: Any = Literal[tuple(self._writers)] if self._writers else str
        named: Any = (written, _field(Output, "format"))
        return create_model("Output", __base__=Output, __doc__=Output.__doc__, format=named)

    def _steps(self) -> Any:
        return _union(
            [e.type for e in self._operators.values() if not issubclass(e.type, MixOperator)]
        )

    def _source(self, steps: Any) -> Any:
        kinds = {key: entry.type for key, entry in self._sources.items()} | {"": PooledSource}
        tagged = []
        for key, kind in kinds.items():
            model = create_model(
                kind.__name__, __base__=kind, __doc__=kind.__doc__, steps=(tuple[steps, ...], ())
            )
            tagged.append(Annotated[model, Tag(key)])
        if len(tagged) == 1:  # of one kind nothing is told apart
            return tagged[0]

        def kind_of(value: Any) -> str | None:
            if isinstance(value, Source):
                return value.key
            if value is None:
                return ""
            if not isinstance(value, Mapping):
                return None
            named = [key for key in kinds if key and key in value]
            return named[0] if len(named) == 1 else "" if not named else None

        return Annotated[
            Union[tuple(tagged)],  # noqa: UP007 - made at run time
            Discriminator(
                kind_of,
                custom_error_type="source_kind",
                custom_error_message="a source names exactly one of: "
                + ", ".join(k for k in kinds if k),
            ),
        ]


def _mapping_of(source: Any) -> Any:
    return dict[Name, source]


def _field(model: type[Any], name: str) -> Any:
    return model.model_fields[name]


def _union(classes: list[type[Any]]) -> Any:
    if len(classes) > 1:
        return Annotated[Union[tuple(classes)], Field(discriminator="op")]  # noqa: UP007
    return classes[0] if classes else Annotated[Operator, BeforeValidator(_refuse)]


def _refuse(step: Any) -> Any:
    """Where no operator is registered, no step is one."""
    name = step.get("op") if isinstance(step, Mapping) else None
    if not isinstance(name, str):
        raise PydanticCustomError("union_tag_not_found", "a step has no operator")
    raise PydanticCustomError("union_tag_invalid", "no operator is registered", {"tag": name})


def _unique(kind: str, named: list[tuple[str, RegisteredClass]]) -> dict[str, RegisteredClass]:
    entries: dict[str, RegisteredClass] = {}
    for name, entry in sorted(named, key=lambda item: (item[0], item[1].package)):
        other = entries.setdefault(name, entry)
        if other.type is not entry.type:
            raise PluginError(
                f"two packages register the {kind} {name!r}: "
                f"{other.package} ({_home(other.type)}) and {entry.package} ({_home(entry.type)})",
                hint="rename one of them, or load only one with DATACHEF_PLUGINS",
            )
    return entries


def _home(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def recipe_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `recipe.yaml`."""
    return _finished(vocabulary.recipe_model.model_json_schema(by_alias=True), "recipe")


def pool_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `pool.yaml`."""
    return _finished(vocabulary.pool_model.model_json_schema(by_alias=True), "pool")


def task_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema of `task.yaml`."""
    return _finished(vocabulary.task_model.model_json_schema(by_alias=True), "task")


SCHEMAS: dict[str, Callable[[Vocabulary], dict[str, Any]]] = {
    "recipe": recipe_schema,
    "pool": pool_schema,
    "task": task_schema,
}


def _finished(schema: dict[str, Any], title: str) -> dict[str, Any]:
    finished = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"datachef {title}",
    }
    return _without_one_of(finished)  # type: ignore[no-any-return]


def _without_one_of(node: Any) -> Any:
    """`anyOf` for `oneOf`: the alternatives exclude each other, and every decoder knows `anyOf`.

    A step must name its operator, which pydantic leaves optional because the field has a default.
    """
    if isinstance(node, list):
        return [_without_one_of(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        ("anyOf" if key == "oneOf" else key): _without_one_of(value)
        for key, value in node.items()
        if key not in MARKS and not (key == "discriminator" and "oneOf" in node)
    }
    properties = result.get("properties")
    if isinstance(properties, dict) and "const" in (properties.get("op") or {}):
        result["required"] = ["op", *(n for n in result.get("required", []) if n != "op")]
    return result
