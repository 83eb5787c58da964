"""A finite set of JSON values as a tree of nodes, from which a value is drawn choice by choice.

Random recipes, searches and enumeration differ only in who makes the choices. The JSON Schema that
constrains a language model describes the same set.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Schema = dict[str, Any]


class Chooser(Protocol):
    """Makes the choices of a draft."""

    def choose(self, place: str, count: int) -> int:
        """The index of one of `count` alternatives. A draft asks for a place once, and what stands
        there depends on the choices before."""
        ...


class Node(ABC):
    """A set of JSON values."""

    @abstractmethod
    def schema(self, definitions: Schema) -> Schema:
        """The JSON Schema of exactly this set, in keywords that every constrained decoder supports.

        What it refers to by `$ref` is added to `definitions`.
        """

    @abstractmethod
    def draw(self, chooser: Chooser, place: str) -> Any:
        """One of the values, by the choices of `chooser`."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether the set contains a JSON value, whatever the order of keys in its objects."""


@dataclass(frozen=True)
class Choice(Node):
    """One of several values."""

    values: tuple[Any, ...]

    def schema(self, definitions: Schema) -> Schema:
        return {"enum": list(self.values)}

    def draw(self, chooser: Chooser, place: str) -> Any:
        return self.values[_chosen(chooser, place, len(self.values))]

    def contains(self, value: Any) -> bool:
        return any(same_value(value, own) for own in self.values)


@dataclass(frozen=True)
class Text(Node):
    """Free text up to a length. Only a language model fills it; others leave it empty."""

    most_characters: int

    def schema(self, definitions: Schema) -> Schema:
        return {"type": "string", "maxLength": self.most_characters}

    def draw(self, chooser: Chooser, place: str) -> Any:
        return ""

    def contains(self, value: Any) -> bool:
        return isinstance(value, str) and len(value) <= self.most_characters


@dataclass(frozen=True)
class Record(Node):
    """An object with these fields in this order; optional ones may be left out."""

    required: Mapping[str, Node]
    optional: Mapping[str, Node]

    def schema(self, definitions: Schema) -> Schema:
        return _object({**self.required, **self.optional}, list(self.required), definitions)

    def draw(self, chooser: Chooser, place: str) -> Any:
        drawn = {
            name: node.draw(chooser, f"{place}.{name}") for name, node in self.required.items()
        }
        for name, node in self.optional.items():
            if chooser.choose(f"{place}.{name}?", 2):
                drawn[name] = node.draw(chooser, f"{place}.{name}")
        return drawn

    def contains(self, value: Any) -> bool:
        return (
            isinstance(value, dict)
            and self.required.keys() <= value.keys()
            and _all_held(value, {**self.required, **self.optional})
        )


@dataclass(frozen=True)
class Selection(Node):
    """An object with one or more of these fields, in this order."""

    fields: Mapping[str, Node]

    def schema(self, definitions: Schema) -> Schema:
        names = list(self.fields)
        return {
            "anyOf": [
                _object({n: self.fields[n] for n in names[first:]}, [names[first]], definitions)
                for first in range(len(names))
            ]
        }

    def draw(self, chooser: Chooser, place: str) -> Any:
        names = list(self.fields)
        first = _chosen(chooser, f"{place}#", len(names))
        drawn = {}
        for index, name in enumerate(names[first:]):
            if index == 0 or chooser.choose(f"{place}.{name}?", 2):
                drawn[name] = self.fields[name].draw(chooser, f"{place}.{name}")
        return drawn

    def contains(self, value: Any) -> bool:
        return isinstance(value, dict) and bool(value) and _all_held(value, self.fields)


@dataclass(frozen=True)
class ListOf(Node):
    """A list of at most `most` items of one kind."""

    item: Node
    most: int

    def schema(self, definitions: Schema) -> Schema:
        return {"type": "array", "items": self.item.schema(definitions), "maxItems": self.most}

    def draw(self, chooser: Chooser, place: str) -> Any:
        length = chooser.choose(f"{place}#", self.most + 1)
        return [self.item.draw(chooser, f"{place}[{index}]") for index in range(length)]

    def contains(self, value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= self.most
            and all(self.item.contains(item) for item in value)
        )


@dataclass(frozen=True)
class OneOf(Node):
    """One of several kinds of object, which a field with a fixed value tells apart."""

    alternatives: tuple[Node, ...]

    def schema(self, definitions: Schema) -> Schema:
        return {"anyOf": [alternative.schema(definitions) for alternative in self.alternatives]}

    def draw(self, chooser: Chooser, place: str) -> Any:
        chosen = _chosen(chooser, f"{place}.op", len(self.alternatives))
        return self.alternatives[chosen].draw(chooser, place)

    def contains(self, value: Any) -> bool:
        return any(alternative.contains(value) for alternative in self.alternatives)


@dataclass(frozen=True)
class SharedNode(Node):
    """A node that is used in many places, and defined once in the schema under its own name."""

    name: str
    node: Node

    def schema(self, definitions: Schema) -> Schema:
        if self.name not in definitions:
            definitions[self.name] = self.node.schema(definitions)
        return {"$ref": f"#/$defs/{self.name}"}

    def draw(self, chooser: Chooser, place: str) -> Any:
        return self.node.draw(chooser, place)

    def contains(self, value: Any) -> bool:
        return self.node.contains(value)


def _chosen(chooser: Chooser, place: str, count: int) -> int:
    return chooser.choose(place, count) if count > 1 else 0


def _all_held(value: Mapping[str, Any], fields: Mapping[str, Node]) -> bool:
    return all(name in fields and fields[name].contains(part) for name, part in value.items())


def same_value(value: Any, own: Any) -> bool:
    """Whether both are the same JSON value: 1.0 is 1, but true is not."""
    if isinstance(own, dict):
        return (
            isinstance(value, dict)
            and value.keys() == own.keys()
            and all(same_value(value[name], part) for name, part in own.items())
        )
    if isinstance(own, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(own)
            and all(map(same_value, value, own))
        )
    return isinstance(value, bool) == isinstance(own, bool) and bool(value == own)


def _object(fields: Mapping[str, Node], required: list[str], definitions: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {name: node.schema(definitions) for name, node in fields.items()},
        "required": required,
        "additionalProperties": False,
    }


class RandomChooser:
    """Makes every choice uniformly at random, except those that are given in `known`.

    `trace` holds all choices by their place, so that a draft can be drawn again with
    some of them changed.
    """

    def __init__(self, seed: int | str, known: Mapping[str, int] | None = None) -> None:
        self._random = random.Random(seed)
        self._known = known or {}
        self.trace: dict[str, int] = {}

    def choose(self, place: str, count: int) -> int:
        known = self._known.get(place, count)
        chosen = known if known < count else self._random.randrange(count)
        self.trace[place] = chosen
        return chosen
