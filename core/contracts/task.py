"""What a recipe is for: the benchmark, how it is scored, what the corpus should resemble."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datachef.core.contracts.source import CsvOptions, Encoding
from datachef.core.system.paths import located, located_or_named

# How an answer is scored by each metric, in words for models that write or judge training data.
SCORED_BY = {
    "number_match": "the last number in the answer must be the right one",
    "exact_match": "the answer must be the expected text",
    "multiple_choice": "the answer must name the right option",
    "label": "the answer must name the right label",
    "yes_no": "the answer must say yes or no, whichever is right",
    "unit_tests": "the answer is code that must pass unit tests",
    "math_match": "the final expression must equal the right one",
    "number_tolerance": "the last number in the answer must be within 5 % of the right one",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
        "{answer}\n{tests}",
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
    """The contents of a `task.yaml`."""

    name: str
    instruction: str = ""
    benchmark: BenchmarkFile | LMEvalBenchmark
    examples: Examples | None = None
    metric: Literal[
        "number_match", "exact_match", "multiple_choice", "label", "yes_no", "unit_tests",
        "math_match", "number_tolerance",
    ] = "exact_match"  # fmt: skip
    base_model: str = "tiny"
    budget: Budget | None = None

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
