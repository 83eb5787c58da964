"""What every operator is, and what it is handed where it runs.

An operator is a frozen, typed set of parameters with a name and a version.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_serializer
from pydantic_core import to_jsonable_python

from datachef.core.assets.store import asset_checksum
from datachef.core.contracts.parameters import (
    ASSET,
    CHECKPOINT,
    CORPUS_SIZE,
    INPUT_FILE,
    located_value,
    marked,
    paths_of,
    scaled_value,
)
from datachef.core.errors import NO_ANSWER, DatachefError, RunError, UnavailableError, did_you_mean
from datachef.core.language_models.client import LLMBackend, LLMClient
from datachef.core.language_models.hub_files import model_files
from datachef.core.system.paths import located_or_named

if TYPE_CHECKING:
    import polars as pl

    from datachef.core.contracts.task import Task
    from datachef.core.system.folder import Folder


NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Outcome:
    """The result of a batch: every row of it is in exactly one of the three frames.

    `dropped` and `failed` hold the rejected rows with one more column, `reason`, and may say more
    in another, `detail`, which is kept with the rejected rows. `created` counts
    the rows of `rows` that are more than one for one; `counted` are other numbers for the ledger,
    by name, which are added up over all batches. `effort` are numbers that another run with the
    same result may not have, such as the requests that were sent: for `effort.json`.
    """

    rows: pl.DataFrame
    dropped: pl.DataFrame | None = None
    failed: pl.DataFrame | None = None
    created: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)
    effort: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckContext:
    """What a check knows about the place of a step: the columns that reach it, of every source the
    most tokens it can hold, where that can be told without reading it, and the types of columns
    ("bool", "int", "float", "text", "null") as far as the first rows of the sources show them."""

    columns: frozenset[str]
    sources: Mapping[str, int | None]
    kinds: Mapping[str, str] = field(default_factory=dict)


class Operator(BaseModel):
    """Base of the four shapes; subclass `Filter`, `Transform`, `Synthesis` or `CorpusOperator`.

    The fields are the parameters. `op` is the name by which recipes call the operator; the first
    line of the docstring is what people and the policy read. `version` changes whenever the same
    parameters would give another result. Heavy state belongs in a `functools.cached_property`: it
    is dropped when the operator travels to another process.
    """

    # Built where it is first used: most operators are not in the recipe that runs.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: ClassVar[int] = 1
    shape: ClassVar[str] = ""
    # A guard is run at the end of every recipe that has a task and does not write the step itself.
    guards_task: ClassVar[bool] = False
    # Whether the step keeps a number of rows that the recipe asks for, whatever they are like.
    selects: ClassVar[bool] = False
    # Reasons of failure that may pass (a server was down): the next run tries those rows again.
    transient: ClassVar[frozenset[str]] = frozenset()
    # Whether applying it costs money: then a batch that breaks it is not tried again in parts, and
    # it stops where `Services.failures` says that the run will fail anyway.
    paid: ClassVar[bool] = False
    # Why policies do not choose the step by themselves, in one sentence: its parameters leave them
    # nothing to choose from, or it takes too long. Whoever runs a policy may name it, or values.
    not_for_policies: ClassVar[str] = ""
    # The most rows of one call that measures, rewrites or summarizes them, where a call with all of
    # a batch would take minutes: a model is run.
    rows_per_call: ClassVar[int | None] = None

    op: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["op"].default
        if isinstance(name, str):
            _refuse_incomplete(cls, name)

    @classmethod
    def name(cls) -> str:
        """The name by which recipes call this operator."""
        return str(cls.model_fields["op"].default)

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]

    def reads(self) -> set[str]:
        """Columns that must be there before this step."""
        return {"text"}

    def writes(self) -> set[str]:
        """Columns that are there after this step and were not before."""
        return set()

    def reasons(self) -> tuple[str, ...]:
        """Names under which this operator drops rows."""
        return ()

    def requires(self) -> Mapping[str, str]:
        """Importable modules this operator needs, each with what `pip install` takes."""
        return {}

    def runs_code(self) -> bool:
        """Whether it runs code that rows hold or a model wrote, which the user has to allow."""
        return False

    def check(self, context: CheckContext) -> Iterable[tuple[str, str, str]]:
        """What is wrong with this operator at its place: (parameter, message, hint) each."""
        return ()

    @classmethod
    def marked(cls, mark: str) -> tuple[str, ...]:
        """The parameters that bear a mark of `contracts.parameters`, in order."""
        return marked(cls, mark)

    def files(self) -> tuple[str, ...]:
        """Local files read besides the rows; their identity is part of what a result depends on.

        Those of the parameters made by `input_file()` and `checkpoint_name()`.
        """
        named = (path for name in self.marked(INPUT_FILE) for path in paths_of(getattr(self, name)))
        return (*named, *(file for name in self.checkpoints() for file in model_files(name)))

    def checkpoints(self) -> tuple[str, ...]:
        """The models that the parameters made by `checkpoint_name()` name."""
        named = (getattr(self, name) for name in self.marked(CHECKPOINT))
        return tuple(name for name in named if name is not None)

    def assets(self) -> tuple[str, ...]:
        """Names of the assets that are needed; their checksums are part of the identity.

        Those of the parameters made by `asset_name()`.
        """
        named = (getattr(self, name) for name in self.marked(ASSET))
        return tuple(name for name in named if name is not None)

    def located(self, folder: Path) -> Self:
        """This operator with relative paths resolved against the folder of its recipe.

        Those of the parameters made by `input_file()` and `checkpoint_name()`.
        """
        found = {n: located_value(getattr(self, n), folder) for n in self.marked(INPUT_FILE)}
        models = {n: getattr(self, n) for n in self.marked(CHECKPOINT)}
        found |= {n: located_or_named(folder, said) for n, said in models.items() if said}
        return self.changed(found)

    def for_task(self, task: Task) -> Operator:
        """This operator with what it leaves open filled in from the task of the recipe."""
        return self

    def scaled(self, factor: float) -> Self:
        """This operator for a corpus `factor` times as large: what it counts in rows or tokens of
        the whole corpus, in parameters made by `corpus_size()`, goes along."""
        counts = self.marked(CORPUS_SIZE)
        return self.changed({name: scaled_value(getattr(self, name), factor) for name in counts})

    def changed(self, parameters: Mapping[str, Any]) -> Self:
        """This operator with other parameters, already known to be valid; heavy state that was
        made of the old ones is not taken along."""
        if all(getattr(self, name) == value for name, value in parameters.items()):
            return self
        copy = self.model_copy(update=parameters)
        for name in set(copy.__dict__) - set(type(self).model_fields):
            del copy.__dict__[name]
        return copy

    def connect(self, services: Services) -> Operator:
        """This operator with the connections it needs; called where it is going to run."""
        return self

    def identity(self) -> dict[str, Any]:
        """All that this operator's result depends on, apart from rows, files and the seed.

        Raises `MissingAssetError` where an asset that it needs is not there.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "op"}
        identity = {
            "op": self.op,
            "version": self.version,
            "parameters": to_jsonable_python(fields),
        }
        checksums = {name: asset_checksum(name) for name in self.assets()}
        return identity | ({"assets": checksums} if checksums else {})

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        parameters = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name != "op" and getattr(self, name) != field.get_default(call_default_factory=True)
        }
        return {"op": self.op, **parameters}

    def __getstate__(self) -> dict[Any, Any]:
        state = dict(super().__getstate__())
        fields = type(self).model_fields
        state["__dict__"] = {k: v for k, v in state["__dict__"].items() if k in fields}
        return state


def _refuse_incomplete(cls: type[Operator], name: str) -> None:
    """Guard rails at class definition, so that a mistake shows where it was made."""
    where = f"operator {cls.__qualname__}"
    if not NAME.fullmatch(name):
        raise TypeError(f"{where}: op must be in snake_case, got {name!r}")
    if not (cls.__doc__ or "").strip() or cls.__doc__ == Operator.__doc__:
        raise TypeError(f"{where}: write a docstring; its first line is shown by `chef ops`")
    bare = [field for field, info in cls.model_fields.items() if not info.description]
    if bare := [field for field in bare if field != "op"]:
        raise TypeError(f"{where}: describe {', '.join(bare)} with Field(..., description=...)")


@dataclass
class FailureLimit:
    """How many rows may fail before nothing more is paid for: a run that fails anyway stops early.

    `most` is what `max_failed` leaves of the rows of a step; None sets no limit.
    """

    place: str = ""
    most: int | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def begin(self, place: str, most: int | None) -> None:
        """Counts anew, for rows at another place."""
        self.place, self.most = place, most
        self.reasons.clear()

    def add(self, reason: str, detail: str) -> None:
        """Counts a row that failed. Raises `RunError` where there are too many, and
        `UnavailableError` where there would not be, had the server answered."""
        if not self.reasons:
            self.first = detail
        self.reasons[reason] += 1
        if self.most is not None and self.reasons.total() > self.most:
            told = ", ".join(f"{name} {count:,}" for name, count in self.reasons.most_common(5))
            others = self.reasons.total() - self.reasons[NO_ANSWER]
            raise (UnavailableError if others <= self.most else RunError)(
                f"{self.place}: {self.reasons.total():,} rows failed ({told}), more than "
                "max_failed allows of all that arrive; nothing more was asked",
                f"the first: {self.first[:300]}; what was answered is kept and not asked again: "
                "for other answers change the prompt, the seed or the model",
            )


@dataclass(frozen=True)
class Services:
    """The registered LLM backends and the folder in which their answers are remembered; in `shared`
    they are too, where results lie elsewhere.

    `failures` limits how many rows may fail before nothing more is paid for.
    """

    backends: Mapping[str, Callable[[], LLMBackend]]
    cache: Path
    failures: FailureLimit = field(default_factory=FailureLimit, compare=False)
    shared: Folder | None = None
    _clients: dict[str, LLMClient] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def llm(self, name: str) -> LLMClient:
        """The client of a backend, the same at every call; an unknown name is a `DatachefError`."""
        if name not in self.backends:
            raise DatachefError(
                f"there is no LLM backend {name!r}",
                hint=did_you_mean(name, self.backends)
                or "install a plugin that has datachef_llm_backends",
            )
        if name not in self._clients:
            self._clients[name] = LLMClient(
                name, self.backends[name], self.cache, shared=self.shared
            )
        return self._clients[name]
