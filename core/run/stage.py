"""Stages and work items as plain data, which any engine can send to a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Partition, Source
from datachef.core.errors import PluginError
from datachef.core.registry.promises import ask, identity_problem
from datachef.core.system.code_identity import code_of
from datachef.core.system.paths import Files, path_identity


@dataclass(frozen=True)
class StepSpec:
    """A step as plain data; `decision` is the key of what a corpus operator decided, `files` are
    those that it reads besides the rows. `home` is where a class of ours is, `module:name`."""

    path: str
    data: Mapping[str, Any]
    identity: Mapping[str, Any]
    decision: str | None = None
    files: Files = field(default_factory=dict)
    home: str = ""


@dataclass(frozen=True)
class SourceSpec:
    """What a worker needs to read a source: its kind and parameters, its format and columns.

    `identity` is what its rows depend on besides format, columns and the content of its partitions.
    `needs` are the columns that are named later, each with the step that reads it or nothing.
    `network` are the places that its pool lets it reach; what it reads does not depend on them.
    """

    name: str
    key: str
    data: Mapping[str, Any]
    format: Mapping[str, Any]
    kinds: Mapping[str, str]
    identity: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    network: Sequence[str] = ()


@dataclass(frozen=True)
class OrderSpec:
    """An order of all rows that the seed decides, cut into `ranges` (a power of two) of rows that
    follow one another; `mix` is the key of the decision by which rows were repeated. With `placed`
    the order is not the seed's, but that of the column in which a step has placed the rows."""

    seed: int
    ranges: int
    mix: str | None = None
    placed: bool = False


@dataclass(frozen=True)
class OutputSpec:
    """The last step: rows as they are written, in the order of the data where none is named."""

    schema: str
    columns: tuple[str, ...]
    separator: str | None = None
    order: OrderSpec | None = None


@dataclass(frozen=True)
class StageSpec:
    """A run of steps without a barrier.

    It begins with the rows of a source, or with those of an earlier stage and a decision about
    them; it ends with summaries for the corpus operator that it `summarizes_for`, or with rows to
    write (`output`). `tokenizer_files` are what the tokenizer is made of.
    """

    steps: tuple[StepSpec, ...] = ()
    source: SourceSpec | None = None
    summarizes_for: StepSpec | None = None
    output: OutputSpec | None = None
    tokenizer: str | None = None
    chat: bool = False
    rejects: int | None = 0
    tokenizer_files: Files = field(default_factory=dict)

    @property
    def all_steps(self) -> tuple[StepSpec, ...]:
        """The steps, and the corpus operator that the stage summarizes for."""
        return (*self.steps, *((self.summarizes_for,) if self.summarizes_for else ()))

    @property
    def files(self) -> Files:
        """All local files that are read besides the rows."""
        read = {file: found for step in self.all_steps for file, found in step.files.items()}
        return {**self.tokenizer_files, **read}

    def identity(self) -> dict[str, Any]:
        """All that the results of this stage depend on, apart from its input and the tokenizer."""
        data = asdict(self)
        del data["tokenizer_files"]
        for step in [*data["steps"], *([data["summarizes_for"]] if data["summarizes_for"] else [])]:
            del step["data"], step["files"], step["home"]
        if data["source"]:
            del data["source"]["data"], data["source"]["network"]
        return data


@dataclass(frozen=True)
class PartitionWork:
    """The work on one partition of a stage: it reads rows of the source, of one of its partitions
    or of several small ones, or those that the work with the key `parent` left, and leaves its own.

    All its rows come from one `source`; `input` identifies what comes in. Where the first step is
    paid for, the work stops when more than `may_fail` rows have failed there.
    """

    key: str
    input: str
    stage: StageSpec
    source: str
    label: str
    size: int
    partitions: tuple[Partition, ...] = ()
    parent: str | None = None
    may_fail: int | None = None

    kind = "partition"

    def to_data(self) -> dict[str, Any]:
        return _to_data(self)


@dataclass(frozen=True)
class DecisionWork:
    """The work on the decision of a corpus operator, from the summaries of all partitions.

    `references` are the first of them, whose rows are compared with. `part` is the number of a part
    of the work and how many there are; `parts` are the keys of all parts, whose results the
    decision is made of.
    """

    key: str
    step: StepSpec
    summaries: tuple[str, ...]
    seed: int
    sources: tuple[str, ...]
    label: str
    size: int = 0
    references: tuple[str, ...] = ()
    part: tuple[int, int] | None = None
    parts: tuple[str, ...] = ()

    kind = "decision"

    def to_data(self) -> dict[str, Any]:
        return _to_data(self)


@dataclass(frozen=True)
class Block:
    """Rows that follow one another in the corpus: tables of finished partitions, by their keys.

    They stay in the order of the tables, or are `sorted` by the order that the tables hold; of all
    of them those from `start` to `stop` are meant.
    """

    tables: tuple[tuple[str, Mapping[str, Any]], ...]
    sorted: bool = False
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class ShardWork:
    """The work on one file of the corpus, written block by block."""

    file: str
    folder: str
    format: str
    blocks: tuple[Block, ...]
    schema: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    size: int = 0

    kind = "shard"

    def to_data(self) -> dict[str, Any]:
        return _to_data(self)


def _to_data(item: PartitionWork | DecisionWork | ShardWork) -> dict[str, Any]:
    return {"kind": item.kind, **asdict(item)}


def work_item(data: Mapping[str, Any]) -> PartitionWork | DecisionWork | ShardWork:
    """The work item that `to_data` of one described."""
    fields = dict(data)
    kind = fields.pop("kind")
    if kind == "partition":
        fields["partitions"] = tuple(Partition(**data) for data in fields["partitions"])
        fields["stage"] = _stage(fields["stage"])
        return PartitionWork(**fields)
    if kind == "decision":
        listed = ("summaries", "sources", "references", "parts")
        fields["step"] = StepSpec(**fields["step"])
        fields["part"] = tuple(fields["part"]) if fields["part"] else None
        return DecisionWork(**fields | {k: tuple(fields[k]) for k in listed})
    return ShardWork(**fields | {"blocks": tuple(_block(block) for block in fields["blocks"])})


def _block(data: Mapping[str, Any]) -> Block:
    return Block(**{**data, "tables": tuple((key, facts) for key, facts in data["tables"])})


def _stage(data: Mapping[str, Any]) -> StageSpec:
    output = data["output"]
    return StageSpec(
        steps=tuple(StepSpec(**step) for step in data["steps"]),
        source=SourceSpec(**data["source"]) if data["source"] else None,
        summarizes_for=StepSpec(**data["summarizes_for"]) if data["summarizes_for"] else None,
        output=_output(output) if output else None,
        tokenizer=data["tokenizer"],
        chat=data["chat"],
        rejects=data["rejects"],
        tokenizer_files=data["tokenizer_files"],
    )


def _output(data: Mapping[str, Any]) -> OutputSpec:
    order = OrderSpec(**data["order"]) if data["order"] else None
    return OutputSpec(**{**data, "columns": tuple(data["columns"]), "order": order})


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
