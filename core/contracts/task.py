"""What a recipe is for: the benchmark, how it is scored, what the corpus should resemble."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from datachef.core.contracts.metric import PROGRAM, Metric
from datachef.core.contracts.source import CsvOptions, Encoding
from datachef.core.system.paths import located, located_or_named


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _ItemFile(_Model):
    """A local file of items: JSON, Parquet, CSV or TSV, packed or not."""

    path: str = Field(description="The file, relative to the task file.")
    encoding: Encoding | None = None
    csv: CsvOptions | None = Field(None, description="How a table in text is written.")


class BenchmarkFile(_ItemFile):
    """Test items in a local file (JSON, Parquet, CSV or TSV, packed or not)."""

    prompt: str = Field(
        "prompt", description='The field with the question, or fields composed: "{context} {ask}".'
    )
    answer: str = Field("answer", description="The field that holds the gold answer.")
    reference: str | None = Field(
        None,
        description="The field with a worked answer, whose bits per byte are measured; the answer "
        "itself by default.",
    )
    choices: str | None = Field(None, description="The field that lists the options, if any.")
    program: str = Field(
        PROGRAM,
        description="For unit tests, what is run: fields in braces, {answer} being what is tested; "
        "a line #SOLUTION# in it also stands for the answer.",
    )


class LMEvalBenchmark(_Model):
    """A task of lm-evaluation-harness, by name."""

    lm_eval: str


class Examples(_ItemFile):
    """A training split that the corpus should resemble; never the benchmark itself."""

    prompt: str = Field("prompt", description="The field with the question, or fields composed.")
    answer: str = Field("answer", description="The field with the answer, or fields composed.")


class Budget(_Model):
    """The size of a corpus: exactly one of tokens and rows."""

    tokens: Annotated[int, Field(gt=0, le=10**15, description="Tokens of text.")] | None = None
    rows: Annotated[int, Field(gt=0, le=10**12, description="Rows.")] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Budget:
        if (self.tokens is None) == (self.rows is None):
            raise ValueError("give exactly one of tokens and rows")
        return self


class Task(_Model):
    """The contents of a `task.yaml`.

    `Vocabulary.task` gives it with the class of its metric; one that was made in another way may
    name any, and `registry.installed.metric_of` looks for it among those that are installed.
    """

    name: str
    instruction: str = ""
    benchmark: BenchmarkFile | LMEvalBenchmark
    examples: Examples | None = None
    metric: str = Field("exact_match", description="How answers are scored: a registered metric.")
    base_model: str = "tiny"
    budget: Budget | None = None

    _metric_type: type[Metric] | None = PrivateAttr(None)

    @property
    def metric_type(self) -> type[Metric] | None:
        """The registered metric, where it was looked up when the task was read."""
        return self._metric_type

    def scored_by(self, metric: type[Metric] | None) -> Task:
        """This task with the class of its metric."""
        copy = self.model_copy()
        copy._metric_type = metric
        return copy

    def located_in(self, folder: Path) -> Task:
        """This task with its relative paths resolved against the folder of its file."""
        updates: dict[str, Any] = {}
        if self.base_model != "tiny":
            updates["base_model"] = located_or_named(folder, self.base_model)
        for name in ("benchmark", "examples"):
            part = getattr(self, name)
            if part is not None and hasattr(part, "path"):
                updates[name] = part.model_copy(update={"path": str(located(folder, part.path))})
        return self.model_copy(update=updates)
