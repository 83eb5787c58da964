"""From a checked recipe to stages of partitions, each with the key of its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from datachef.core.contracts.corpus import CorpusOperator, MixOperator, OrderOperator
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Partition
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.distribution import NAME, version
from datachef.core.language_models.client import backend_class
from datachef.core.recipe.checked import (
    CheckedRecipe,
    PlacedStep,
    corpus_steps,
    counting,
    output_columns,
    output_schema,
    reference_sources,
    source_steps,
)
from datachef.core.registry.host import Host
from datachef.core.rows.inspection import SourceInfo
from datachef.core.rows.reader import RESERVED, stored_names
from datachef.core.run.output import OUTPUT, ranges_for
from datachef.core.run.stage import (
    DecisionWork,
    OrderSpec,
    OutputSpec,
    PartitionWork,
    SourceSpec,
    StageSpec,
    StepSpec,
    files_of,
    key_of,
    operator_identity,
    seed_of,
    source_identity,
)
from datachef.core.run.together import together
from datachef.core.system.code_identity import code_of, core_code, distribution_code
from datachef.core.system.paths import path_identity, verify_files

# Part of every key: a new layout of results never mistakes the old one for its own.
LAYOUT = 2
# What was read of a corpus, for each part in which a decision is made that can be divided, and the
# most parts. Each reads the summaries of all rows: of more bytes, they grow by the root.
DIVIDED_BYTES, MOST_PARTS = 10**9, 64


@dataclass
class Phase:
    """What can be done in parallel: the partitions, when all are done the parts of decisions on a
    large corpus, and then the decisions."""

    partitions: list[PartitionWork] = field(default_factory=list)
    parts: list[DecisionWork] = field(default_factory=list)
    decisions: list[DecisionWork] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """Phases in the order in which they run.

    `steps` are the ledger's entries (path, operator) in the order of the recipe, `final` the
    partitions whose rows are the corpus, in the order of the data, `output` how they are written.
    `selecting` are the paths of steps that keep a number of rows that the recipe asks for, and
    `removing_copies` those that leave one of several rows with the same content; `references` are
    the sources that are only compared with. `mix` is the key of the mix's decision,
    `counting` how tokens are counted. A layered plan names in
    `read` and `prepared` the partitions that hold each source as it was read and where the mix
    begins. `environment` is what all results depend on.
    """

    phases: tuple[Phase, ...]
    final: tuple[PartitionWork, ...]
    steps: tuple[tuple[str, str], ...]
    output: OutputSpec
    source_info: Mapping[str, SourceInfo]
    environment: Mapping[str, Any]
    selecting: frozenset[str] = frozenset()
    removing_copies: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    mix: str | None = None
    counting: tuple[str | None, bool] = (None, False)
    read: Mapping[str, tuple[PartitionWork, ...]] = field(default_factory=dict)
    prepared: Mapping[str, tuple[PartitionWork, ...]] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """The schema of the rows that are written."""
        return self.output.schema

    @property
    def partitions(self) -> Iterator[PartitionWork]:
        """The partitions of all phases, in the order of the data within each."""
        return (item for phase in self.phases for item in phase.partitions)

    @property
    def keys(self) -> list[str]:
        """The keys of all work, in the order in which it is done."""
        keys: list[str] = []
        for phase in self.phases:
            keys += [item.key for item in phase.partitions]
            keys += [item.key for item in (*phase.parts, *phase.decisions)]
        return keys

    @property
    def size(self) -> int:
        """How many partitions there are, decisions and their parts among them."""
        return len(self.keys)

    @property
    def stages(self) -> list[StageSpec]:
        """The stages of all partitions, each once."""
        return list({id(item.stage): item.stage for item in self.partitions}.values())

    def verify_inputs(self) -> None:
        """Raises `ChangedInputError` where what a result was made of is not as it was planned: the
        data, the files that steps read, the tokenizer."""
        for found in self.source_info.values():
            found.source.verify_all(found.partitions)
        for stage in self.stages:
            verify_files(stage.files)


class _Input(NamedTuple):
    """Rows of one source to work on: partitions of it, or what earlier work left (`parent`).

    `content` identifies the rows.
    """

    source: str
    partitions: tuple[Partition, ...]
    parent: str | None
    content: str
    label: str
    size: int


@dataclass
class _Stream:
    """Rows on their way: the partitions that hold them and the steps that wait to be run on them.

    `depth` is the number of barriers behind them: the phase in which they are next worked on;
    `settled` are the partitions that hold the rows, where no step waits.
    """

    depth: int
    inputs: list[_Input]
    source: SourceSpec | None
    steps: list[StepSpec] = field(default_factory=list)
    settled: tuple[PartitionWork, ...] = ()


class Planner:
    """Cuts one recipe into stages."""

    def __init__(self, checked: CheckedRecipe, host: Host) -> None:
        self._host = host
        self._checked = checked
        self._recipe = checked.recipe
        self._source_info = checked.source_info
        self._vocabulary = host.vocabulary
        self._phases: dict[int, Phase] = {}
        self._steps: list[tuple[str, str]] = []
        self._references: dict[str, _Stream | None] = dict.fromkeys(reference_sources(checked))
        self._selecting: set[str] = set()
        self._removing_copies: set[str] = set()
        self._mix: str | None = None
        self._placed = False
        self._schema = output_schema(checked, checked.source_info)
        self._tokenizer, self._chat = counting(checked.recipe, checked.tokenizer, self._schema)
        tokenizer = checked.tokenizer.files() if checked.tokenizer is not None else []
        self._tokenizer_files = {file: path_identity(file) for file in tokenizer}
        self._environment = {
            "layout": LAYOUT,
            "polars": pl.__version__,
            "datachef": version(),
            "core": core_code(),
            "tokenizer": [[Path(k).name, found] for k, found in self._tokenizer_files.items()],
        }

    def plan(self, *, layered: bool = False) -> Plan:
        """The stages, as few as can be.

        A layered plan has one more after reading and one where the mix begins, whose results
        recipes share that differ in what comes later, and leaves rows with all columns.
        """
        streams = []
        read: dict[str, tuple[PartitionWork, ...]] = {}
        prepared: dict[str, tuple[PartitionWork, ...]] = {}
        for name in sorted(self._checked.sources, key=lambda name: name not in self._references):
            stream = self._read(name, layered=layered)
            if layered:
                stream, read[name] = self._settle(stream)
            for step in source_steps(self._checked, name):
                (stream,) = self._advance([stream], step)
            if name in self._references:
                self._references[name], _ = self._settle(stream)
                continue
            streams.append(stream)
        steps = list(corpus_steps(self._checked, self._vocabulary))
        guards = list(takewhile(lambda step: step.location[0] == "task", steps))
        for guard in guards:
            streams = self._advance(streams, guard)
        if layered:
            settled = [self._settle(stream) for stream in streams]
            streams = [stream for stream, _ in settled]
            partitions = [partition for _, items in settled for partition in items]
            prepared = {name: tuple(u for u in partitions if u.source == name) for name in read}
        for step in steps[len(guards) :]:
            streams = self._advance(streams, step)
        written = self._recipe.output
        columns = output_columns(self._checked, self._vocabulary)
        output = OutputSpec(self._schema, columns, written.separator, self._order())
        if layered:
            final = [item for stream in streams for item in self._settle(stream)[1]]
        else:
            self._steps.append(("output", OUTPUT))
            final = [item for stream in streams for item in self._close(stream, output=output)]
        return Plan(
            tuple(self._phases[depth] for depth in sorted(self._phases)),
            tuple(final),
            tuple(self._steps),
            output,
            self._source_info,
            self._environment,
            frozenset(self._selecting),
            frozenset(self._removing_copies),
            frozenset(self._references),
            self._mix,
            (self._tokenizer, self._chat),
            read,
            prepared,
        )

    def _needs(self, name: str, *, layered: bool) -> dict[str, str]:
        """The columns of a source that are named later: the first step that reads each, or nothing
        where only prompts and the output do, which take any value."""
        needs: dict[str, str] = {}
        steps = [*source_steps(self._checked, name), *corpus_steps(self._checked, self._vocabulary)]
        for step in steps:
            reader = (
                "" if step.operator.shape == "synthesis" else f"{step.path} ({step.operator.op})"
            )
            for column in set(step.operator.reads()) - set(RESERVED):
                needs[column] = needs.get(column) or reader
        for column in () if layered else self._recipe.output.columns:
            needs.setdefault(column, "")
        return dict(sorted(needs.items()))

    def _read(self, name: str, *, layered: bool) -> _Stream:
        found = self._source_info[name]
        source = found.source
        readers = {
            reader: {"code": code_of(kind)} | self._package(self._vocabulary.reader_package(reader))
            for reader, kind in source.readers_of(found.partitions).items()
        }
        data = source.model_dump(mode="json", exclude={"steps", "format"}, exclude_unset=True)
        needs = self._needs(name, layered=layered)
        names = stored_names(found.kinds)
        read = {field: found.mostly[field] for field in found.mostly if needs.get(names[field])}
        spec = SourceSpec(
            name,
            source.key,
            data,
            found.format.model_dump(mode="json"),
            {**found.kinds, **read},
            source_identity(source)
            | self._package(self._vocabulary.source_package(source.key))
            | ({"readers": readers} if readers else {}),
            needs,
            source.granted,
        )
        inputs = [
            _Input(
                name,
                partitions,
                None,
                self._content(spec, partitions),
                f"{name}/{_label(partitions)}",
                sum(partition.size for partition in partitions),
            )
            for partitions in together(found.partitions)
        ]
        self._steps.append((f"sources.{name}", "read"))
        return _Stream(0, inputs, spec)

    def _advance(self, streams: list[_Stream], step: PlacedStep) -> list[_Stream]:
        """The streams after one more step; a corpus operator closes them and begins a new one."""
        operator = step.operator
        self._steps.append((step.path, operator.op))
        if operator.selects:
            self._selecting.add(step.path)
        package = self._vocabulary.package(operator.op)
        files = files_of(operator)
        identity = operator_identity(operator, files) | self._package(package)
        identity |= self._language_model(operator)
        cls = type(operator)
        home = f"{cls.__module__}:{cls.__qualname__}" if package == NAME else ""
        data = operator.model_dump(mode="json")
        spec = StepSpec(step.path, data, identity, files=files, home=home)
        if not isinstance(operator, CorpusOperator):
            for stream in streams:
                stream.steps.append(spec)
            return streams
        if operator.removes_copies:
            self._removing_copies.add(step.path)
        compared = [other for name in operator.references() if (other := self._references[name])]
        references = [i for other in compared for i in self._close(other, summarizes_for=spec)]
        items = [item for stream in streams for item in self._close(stream, summarizes_for=spec)]
        seed = seed_of(self._recipe.seed, step.path)
        sources = tuple(name for name in self._checked.sources if name not in self._references)
        keys = tuple(item.key for item in (*references, *items))
        key = key_of("decision", self._environment, spec.identity, seed, sources, keys)
        decision = DecisionWork(
            key, spec, keys, seed, sources, f"{step.path} ({operator.op})",
            size=sum(item.size for item in items),
            references=keys[: len(references)],
        )  # fmt: skip
        parts = _parts_of(decision) if operator.divisible else ()
        decision = replace(decision, parts=tuple(part.key for part in parts))
        depth = max(stream.depth for stream in (*compared, *streams))
        self._phases[depth].parts += parts
        self._phases[depth].decisions.append(decision)
        if isinstance(operator, MixOperator):
            self._mix = key
        self._placed |= isinstance(operator, OrderOperator) and step.location[0] == "steps"
        return [_Stream(depth + 1, _left_by(items), None, [replace(spec, decision=key)])]

    def _settle(self, stream: _Stream) -> tuple[_Stream, tuple[PartitionWork, ...]]:
        """The stream with all its rows in partitions, and these."""
        if stream.source is None and not stream.steps:
            return stream, stream.settled
        items = tuple(self._close(stream))
        return _Stream(stream.depth + 1, _left_by(items), None, settled=items), items

    def _close(
        self,
        stream: _Stream,
        summarizes_for: StepSpec | None = None,
        output: OutputSpec | None = None,
    ) -> list[PartitionWork]:
        """The partitions of the stage that a stream ends with here, put into its phase."""
        rejects = self._recipe.rejects
        limit = {"none": 0, "all": None, "sample": rejects.per_reason}[rejects.keep]
        stage = StageSpec(
            tuple(stream.steps), stream.source, summarizes_for, output, self._tokenizer, self._chat,
            limit, self._tokenizer_files,
        )  # fmt: skip
        fingerprint = key_of(self._environment, stage.identity())
        items = []
        for source, partitions, parent, content, label, size in stream.inputs:
            key = key_of("partition", fingerprint, content)
            items.append(
                PartitionWork(key, content, stage, source, label, size, partitions, parent)
            )
        self._phases.setdefault(stream.depth, Phase()).partitions += items
        return items

    def _content(self, source: SourceSpec, partitions: Iterable[Partition]) -> str:
        """The rows of partitions as they are read."""
        places = [[each.name, each.identity, each.place] for each in partitions]
        return key_of(self._environment, replace(source, data={}, network=()), *places)

    def _language_model(self, operator: Operator) -> dict[str, Any]:
        """What the answers of a step's language model depend on besides the model's name."""
        if not isinstance(operator, Synthesis):
            return {}
        kind = backend_class(self._host.named("datachef_llm_backends").get(operator.backend))
        found = kind.identity(operator.model) if kind is not None else ""
        return {"language_model": found} if found else {}

    def _package(self, package: str) -> dict[str, Any]:
        """The distribution that an operator or kind of source came with; ours is in all keys."""
        installed = {} if package == NAME else distribution_code(package)
        return {"package": installed} if installed else {}

    def _order(self) -> OrderSpec | None:
        """The order of the output where it is not that of the data: the one that the recipe names,
        that of its last step that orders rows, or where there is a mix the seed's."""
        named = self._recipe.output.order
        placed = self._placed and named is None
        default = "source" if self._recipe.mix is None else "shuffled"
        if not placed and (named or default) == "source":
            return None
        ranges = ranges_for(self._source_info.values())
        seed = seed_of(self._recipe.seed, "output.order")
        return OrderSpec(seed, ranges, self._mix, placed)


def _parts_of(decision: DecisionWork) -> list[DecisionWork]:
    """The parts of a decision on a large corpus, by what was read of it; none of a small one."""
    times = decision.size // DIVIDED_BYTES
    count = min(times, 4 * isqrt(times), MOST_PARTS)
    return [
        replace(
            decision,
            key=key_of("part", decision.key, number, count),
            label=f"{decision.label} part {number + 1} of {count}",
            size=decision.size // count,
            part=(number, count),
        )
        for number in range(count if count > 1 else 0)
    ]


def _left_by(items: Iterable[PartitionWork]) -> list[_Input]:
    """The rows that partitions leave, as what later ones work on."""
    return [_Input(i.source, (), i.key, i.key, i.label, i.size) for i in items]


def _label(partitions: Sequence[Partition]) -> str:
    first = partitions[0]
    if len(partitions) > 1:
        return f"{first.name} and {len(partitions) - 1:,} more"
    start = first.place.get("start")
    return first.name if start is None else f"{first.name}[{start}:{first.place.get('stop')}]"
