"""YAML documents that remember where everything stands and refuse what data has no need of.

Anchors, aliases, merge keys, tags and duplicate keys are problems, not features: a recipe may be
written by a model or an unknown author, and must mean what it looks like. Plain scalars are read by
the YAML 1.2 core schema (`no` is a word, `1e-3` is a number), with underscores allowed in numbers.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from datachef.core import escaping as surrogates
from datachef.core.errors import Problem, dotted, shortened
from datachef.core.escaping import escaped

MAX_BYTES = 1_000_000
MAX_DEPTH = 40

Location = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    """Plain data with the line and column (from 1) of every key and item, or what is wrong."""

    data: Any
    file: str = ""
    places: dict[Location, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def locate(self, problem: Problem, location: Location) -> Problem:
        """The problem with the nearest place in this document that encloses `location`."""
        line, column = 0, 0
        for length in range(len(location), -1, -1):
            if location[:length] in self.places:
                line, column = self.places[location[:length]]
                break
        return problem.at(self.file, line, column)


def read(path: Path) -> Document:
    """The document in a file; a file that cannot be read is a problem of the document."""
    name = str(path).encode(errors="replace").decode()
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        return _broken(name, "unreadable_file", f"cannot read {name}: {cause}")
    if len(raw) > MAX_BYTES:
        return _too_large(name)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return _broken(name, "not_utf8", "the file is not UTF-8", line, "save it as UTF-8")
    known = _parsed(text.removeprefix("\ufeff"), name)
    return replace(known, data=copy.deepcopy(known.data))


@lru_cache(maxsize=16)
def _parsed(text: str, file: str) -> Document:
    """The same task and pool are read for every recipe that is checked, but parsed once."""
    return parse(text, file)


def parse(text: str, file: str = "") -> Document:
    """The document in a string."""
    if len(text) > MAX_BYTES:
        return _too_large(file)
    try:
        loader = yaml.SafeLoader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!r} cannot stand in YAML"
        return _broken(file, "yaml_syntax", message, line, 'write it as an escape within ""')
    try:
        refused = _refused_feature(loader)
        node = None if refused else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {error.problem or error.context}"
        return _broken(file, "yaml_syntax", message, line, column=column)
    except (ValueError, OverflowError) as error:  # an escape or a version beyond all numbers
        return _broken(file, "yaml_syntax", f"not valid YAML: {error}", loader.line + 1)
    if refused:
        return Document(None, file, problems=(replace(refused, file=file),))
    if node is None:
        return _broken(file, "empty_document", "the document is empty")
    builder = _Builder(file)
    data = builder.build(node, ())
    return Document(data, file, builder.places, tuple(builder.problems))


def _broken(
    file: str, code: str, message: str, line: int = 1, hint: str = "", column: int = 1
) -> Document:
    problem = Problem(code, message, hint=hint, file=file, line=line, column=column)
    return Document(None, file, problems=(problem,))


def _too_large(file: str) -> Document:
    return _broken(file, "too_large", f"the document is larger than {MAX_BYTES:,} bytes")


def _refused_feature(loader: Any) -> Problem | None:
    """The first anchor, alias, tag, second document or nesting too deep, before any is built."""
    depth = documents = 0
    while event := loader.get_event():
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        what = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "anchors and aliases are not allowed: write the value where it is used"
        elif getattr(event, "tag", None):
            what = f"tags are not allowed, but here is {event.tag!r}"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            what = "one document per file" if documents > 1 else None
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            what = f"nested more than {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else None
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if what:
            return Problem("yaml_feature", what, line=line, column=column)
    return None


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Location, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, location: Location) -> Any:
        self.places.setdefault(location, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*location, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            place = (mark.line + 1, mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self._add("yaml_key", "a key must be a word", location, place)
                continue
            key = self._text(key_node.value, location)
            if key in result:
                message = f"{shortened(key)} is given twice"
                self._add("duplicate_key", message, (*location, key), place)
                continue
            self.places[(*location, key)] = place
            result[key] = self.build(value_node, (*location, key))
        return result

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        value = _scalar(node) if node.style is None else node.value
        if isinstance(value, float) and math.isinf(value):
            self._add("not_finite", "the number is too large", location, self.places[location])
        return self._text(value, location) if isinstance(value, str) else value

    def _text(self, text: str, location: Location) -> str:
        """A string whose escaped surrogates are joined, as in JSON; half a pair is no character."""
        if not _SURROGATE.search(text):
            return text
        try:
            return surrogates.joined(text)
        except UnicodeDecodeError:
            self._add("not_unicode", "half a surrogate pair", location, self.places[location])
            return text.encode(errors="replace").decode()

    def _add(self, code: str, message: str, location: Location, place: tuple[int, int]) -> None:
        self.problems.append(Problem(code, message, dotted(location), "", self.file, *place))


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 400:
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return text


class _Dumper(yaml.SafeDumper):
    """Block style, keys in order, strings quoted where they would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _scalar(yaml.ScalarNode("", text))
    style = None if isinstance(plain, str) else "'"
    if re.search(r"[\r\x85\u2028\u2029]", text):
        style = '"'
    elif "\n" in text and not re.search(r"[^\S\n]\n|^\s", text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_string)


def dump(data: Any) -> str:
    """Plain data as YAML that `parse` reads back as the same data."""
    text = _dumped(data, readable=True)
    return text if escaped(text) == text else _dumped(data, readable=False)


def _dumped(data: Any, *, readable: bool) -> str:
    """YAML in which letters stand as they are, or all that is not ASCII as an escape."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=readable, width=100))
