"""Synthesis: rows in, new rows out, through a language model."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias

from pydantic import Field, PrivateAttr

from datachef.core.contracts.corpus import Context, CorpusOperator
from datachef.core.contracts.operator import FailureLimit, Outcome
from datachef.core.contracts.parameters import corpus_size
from datachef.core.errors import NO_ANSWER, DatachefError, PluginError, RunError
from datachef.core.language_models.answers import (
    AnswerFailure,
    DroppedRowError,
    UnparsableAnswerError,
    answer_text,
)
from datachef.core.language_models.client import (
    Completion,
    LLMClient,
    LLMError,
    Request,
    tokens_of,
)
from datachef.core.language_models.prompts import (
    PromptError,
    PromptTemplate,
    PromptTooLongError,
    names_in,
    render,
)
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.values import described

if TYPE_CHECKING:
    import polars as pl

    from datachef.core.contracts.operator import Services


class Synthesis(CorpusOperator):
    """Makes new rows from each row with a language model.

    A subclass gives `prompt` a default and writes `parse`; where the answer is JSON it also writes
    `response_schema`. Templates may name columns, and the parameters returned by `variables`. A new
    row has the columns of the row that it was made from, with another `text` or other `messages`,
    and names the model in `synthesized_by`. `columns` announces what an answer adds to a row; an
    operator that only adds columns leaves `synthesized_by` out of `writes`.

    Rows are dropped as `over_budget` before any call, as `emptied` when `parse` returns none, and
    for the reason of a `DroppedRowError` that it or `messages` raises. A row that is asked about
    several times (`calls`) is made of the answers that are good, but fails where a server left a
    call without any.
    Rows fail as `prompt_error`, `prompt_too_long`, `no_answer` (of a server that is down, after
    several tries), `llm_error` (this request cannot be answered), `truncated_answer`,
    `filtered_answer` (by a content filter), `refused_answer`, `empty_answer`,
    `unparsable_answer` or an exception of `parse`, with the particulars in a column `detail`.
    `parse` is given what is left of an answer without its reasoning (`<think>...</think>`).
    """

    shape: ClassVar[str] = "synthesis"
    max_rows: ClassVar[int | None] = None
    paid: ClassVar[bool] = True
    transient: ClassVar[frozenset[str]] = frozenset({NO_ANSWER, "llm_error"})

    backend: str = Field(
        "openai", min_length=1, max_length=100, description="Registered LLM backend."
    )
    model: str = Field(
        min_length=1, max_length=200, description="Name by which the backend knows the model."
    )
    system: PromptTemplate = Field("", description="Template of the system message; may be empty.")
    prompt: PromptTemplate = Field(description="Template of the user message.")
    max_tokens: int = Field(
        1024, ge=1, le=1_000_000, description="Longest answer; a longer one is a failure."
    )
    temperature: float = Field(0.0, ge=0, le=2, description="Randomness of the answers.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Sent with every request.")
    max_prompt_chars: int = Field(
        32_000, ge=1, le=10_000_000, description="Rows whose prompt is longer fail."
    )
    budget_tokens: int | None = corpus_size(
        ge=1,
        le=10**12,
        description="Tokens of prompts (estimated) and answers (at most) for the whole corpus.",
    )
    max_concurrency: int = Field(8, ge=1, le=1000, description="Requests at a time per worker.")

    _client: LLMClient | None = PrivateAttr(default=None)
    _failures: FailureLimit = PrivateAttr(default_factory=FailureLimit)

    @abstractmethod
    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The new rows in an answer: dictionaries with either `text` or `messages`.

        Raises `UnparsableAnswerError` when the answer is not what was asked for.
        """
        raise NotImplementedError

    @property
    def calls(self) -> int:
        """How often each row is asked about, with seeds that follow one another."""
        return 1

    @property
    def rows_per_row(self) -> int:
        """How many rows a row becomes at most, for estimates of what later steps ask."""
        return 1

    def choose(self, made: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
        """What is kept of all that was made of a row, in the order of the calls."""
        return made

    def columns(self) -> Mapping[str, type]:
        """What every dictionary of `parse` holds besides `text` or `messages`, each with `str`,
        `int`, `float` or `bool`."""
        return {}

    def response_schema(self) -> Mapping[str, Any] | None:
        """The JSON Schema of an answer; None where an answer is plain text."""
        return None

    def variables(self) -> Mapping[str, Any]:
        """What templates may name besides columns."""
        return {}

    def messages(self, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """The conversation that ends in the question.

        Raises `PromptError`, and `DroppedRowError` where there is nothing to ask.
        """
        values = row | dict(self.variables())
        limit = self.max_prompt_chars
        system = render(self.system, values, limit) if self.system else ""
        user = render(self.prompt, values, limit - len(system))
        return (("system", system), ("user", user)) if system else (("user", user),)

    def reads(self) -> set[str]:
        named = names_in(self.system) | names_in(self.prompt)
        return {"text", *(named - set(self.variables()))}

    def writes(self) -> set[str]:
        return {"synthesized_by", *self.columns()}

    def reasons(self) -> tuple[str, ...]:
        return ("over_budget", "emptied")

    def identity(self) -> dict[str, Any]:
        identity = super().identity()
        parameters = identity["parameters"]
        return identity | {
            "parameters": {k: v for k, v in parameters.items() if k != "max_concurrency"}
        }

    def connect(self, services: Services) -> Self:
        connected = self.model_copy()
        connected._client = services.llm(self.backend)
        connected._failures = services.failures
        return connected

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """`id` and the tokens that the row may use up; 0 where no budget is set."""
        import polars as pl

        reserved = [0] * batch.height
        if self.budget_tokens is not None:
            reserved = [self._reserved(row) for row in batch.iter_rows(named=True)]
        return batch.select("id").with_columns(pl.Series("tokens", reserved, pl.Int64))

    def _reserved(self, row: dict[str, Any]) -> int:
        try:
            return self.calls * (tokens_of(self.messages(row)) + self.max_tokens)
        except (PromptError, DroppedRowError):
            return 0  # no call is made

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        """The rows that no longer fit the budget, in the order of the data."""
        import polars as pl

        over = pl.lit("over_budget").alias("reason")
        if self.budget_tokens is None:
            return summaries.head(0).select("id", over).collect()
        table = summaries.select("id", "tokens").collect()
        left = self.budget_tokens
        fits = []
        for tokens in table["tokens"]:
            fits.append(tokens <= left)
            left -= tokens if fits[-1] else 0
        return table.filter(~pl.Series(fits, dtype=pl.Boolean)).select("id", over)

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        import polars as pl

        from datachef.core.contracts.accounting import account, joined_rejects

        if self._client is None:
            raise RunError(f"{self.op} is not connected to an LLM backend", hint="call connect()")
        budgeted = super().apply(batch, decision)
        rows = budgeted.rows
        answered = self._answers(self._client, list(rows.iter_rows(named=True)))
        result = self._assemble(rows, answered.made)
        failed = _set_aside(rows, answered.failures)
        refused = _set_aside(rows, answered.rejections)
        gone = [part["id"] for part in (failed, refused) if part is not None]
        left = rows.filter(~pl.col("id").is_in(pl.concat(gone).implode())) if gone else rows
        outcome = account(self.op, left, result, self.max_rows)
        return Outcome(
            outcome.rows,
            joined_rejects(budgeted.dropped, refused, outcome.dropped),
            failed,
            outcome.created,
            answered.counted,
            answered.effort,
        )

    def _answers(self, client: LLMClient, rows: list[dict[str, Any]]) -> _Answered:
        answered = _Answered([[] for _ in rows], [None] * len(rows), [None] * len(rows))
        asked: list[list[Request]] = [[] for _ in rows]
        for index, row in enumerate(rows):
            try:
                asked[index] = self._requests(row)
            except PromptError as error:
                too_long = isinstance(error, PromptTooLongError)
                reason = "prompt_too_long" if too_long else "prompt_error"
                answered.failures[index] = self._failed(reason, str(error))
            except DroppedRowError as error:
                answered.rejections[index] = self._dropped(error)
        places = [(index, call) for index, calls in enumerate(asked) for call in range(len(calls))]
        results: list[list[_Result | None]] = [[None] * len(calls) for calls in asked]
        requests = chain.from_iterable(asked)
        effort = answered.effort
        with closing(client.complete_each(requests, self.max_concurrency, effort)) as answers:
            for place, answer in answers:
                answered.count(answer)
                index, call = places[place]
                results[index][call] = self._read(answer, rows[index])
                if None not in results[index]:
                    self._settle(index, rows[index], results[index], answered)
                    results[index] = []
        return answered

    def _settle(
        self,
        index: int,
        row: dict[str, Any],
        results: Sequence[_Result | None],
        answered: _Answered,
    ) -> None:
        """Decides on a row by the results of its calls, in their order."""
        failures = [found for found in results if isinstance(found, AnswerFailure)]
        rejections = [found for found in results if isinstance(found, _Rejection)]
        made = [new for found in results if isinstance(found, list) for new in found]
        passing = next((found for found in failures if found.reason == NO_ANSWER), None)
        if passing or (failures and not made and not rejections):
            answered.failures[index] = self._failed(*(passing or failures[0]))
        elif made:
            answered.made[index] = self.choose(made, row)
        elif rejections:
            answered.rejections[index] = rejections[0]
        if len(results) > 1:
            answered.counted.update(failure.reason for failure in failures)
            answered.counted.update(rejection.reason for rejection in rejections)

    def _failed(self, reason: str, detail: str) -> AnswerFailure:
        self._failures.add(reason, detail)
        return AnswerFailure(reason, detail)

    def _dropped(self, error: DroppedRowError) -> _Rejection:
        if error.reason not in self.reasons():
            message = f"{self.op} drops rows as {error.reason!r}, which reasons() does not name"
            raise PluginError(message, "name all reasons in reasons()") from error
        return _Rejection(error.reason, str(error))

    def _requests(self, row: dict[str, Any]) -> list[Request]:
        messages, schema = self.messages(row), self.response_schema()
        return [
            Request(
                self.model,
                messages,
                self.max_tokens,
                self.temperature,
                (self.seed + number) % 2**31,
                schema,
            )
            for number in range(self.calls)
        ]

    def _read(self, answer: Completion | LLMError, row: dict[str, Any]) -> _Result:
        if isinstance(answer, LLMError):
            raise_environment_failure(answer)
        text = answer_text(answer, row["text"] or "")
        if isinstance(text, AnswerFailure):
            return text
        try:
            made: Any = self.parse(text, row)
            made = list(made) if isinstance(made, Iterator) else made
        except UnparsableAnswerError as error:
            return AnswerFailure("unparsable_answer", str(error))
        except DroppedRowError as error:
            return self._dropped(error)
        except DatachefError:
            raise
        except Exception as error:  # noqa: BLE001 - it costs this row alone, and is not paid again
            raise_environment_failure(error)
            return AnswerFailure(type(error).__name__, str(error)[:500])
        if not isinstance(made, list | tuple) or not all(isinstance(new, dict) for new in made):
            raise PluginError(
                f"parse() of {self.op} gave {described(made)}, not a list of dictionaries",
                hint="parse returns dictionaries with either text or messages",
            )
        for new in made:
            if not isinstance(new.get("text"), str | None):
                raise PluginError(f"parse() of {self.op} made {described(new['text'])} as text")
        return list(made)

    def _assemble(self, rows: pl.DataFrame, made: list[list[dict[str, Any]]]) -> pl.DataFrame:
        """One row per dictionary, with the other columns of the row that it was made from."""
        import polars as pl

        from datachef.core.text.conversations import TEMPLATE_COLUMNS, turns_column, with_text

        new = [(index, columns) for index, several in enumerate(made) for columns in several]
        added = self.columns()
        rewrites = "synthesized_by" in self.writes()
        for _, columns in new:
            said = set(columns) - set(added)
            if not set(added) <= set(columns) or said not in (
                ({"text"}, {"messages"}) if rewrites else (set(),)
            ):
                raise PluginError(
                    f"{self.op} made a row with {', '.join(sorted(columns)) or 'nothing'}",
                    hint="parse returns dictionaries with either text or messages, and with what "
                    "columns() names",
                )
        types = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
        result = rows[pl.Series([index for index, _ in new], dtype=pl.UInt32)].with_columns(
            pl.Series(name, [columns[name] for _, columns in new], types[kind])
            for name, kind in added.items()
        )
        if not rewrites:
            return result
        result = result.with_columns(
            pl.Series("text", [columns.get("text") for _, columns in new], pl.String),
            pl.lit(self.model).alias("synthesized_by"),
        )
        messages = [columns.get("messages") for _, columns in new]
        if "messages" in rows.columns or "messages" in self.writes():
            # What templates read beside the turns of the old row says nothing of the new.
            beside = [name for name in TEMPLATE_COLUMNS if name in result.columns]
            result = result.with_columns(
                turns_column(messages), *(pl.lit(None, pl.String).alias(name) for name in beside)
            )
        elif any(messages):
            raise PluginError(
                f"{self.op} made messages that it did not announce",
                hint="add messages to what writes() returns",
            )
        return with_text(result)

    def __getstate__(self) -> dict[Any, Any]:
        private = {"_client": None, "_failures": FailureLimit()}
        return super().__getstate__() | {"__pydantic_private__": private}


class _Rejection(NamedTuple):
    """Why nothing is made of a row or an answer."""

    reason: str
    detail: str


# The result of a call: rows, no answer that can be used, or one that is not good enough.
_Result: TypeAlias = "list[dict[str, Any]] | AnswerFailure | _Rejection"


@dataclass
class _Answered:
    """For every row what was made of it, why it failed and why it is dropped, or None; how many
    answers there are, with their tokens, and how many of several to a row were no good, by reason;
    and what was asked for them."""

    made: list[list[dict[str, Any]]]
    failures: list[AnswerFailure | None]
    rejections: list[_Rejection | None]
    counted: Counter[str] = field(default_factory=Counter)
    effort: Counter[str] = field(default_factory=Counter)

    def count(self, answer: Completion | LLMError) -> None:
        """Counts an answer that can be used or not: it was paid for."""
        if isinstance(answer, Completion):
            self.counted["answers"] += 1
            self.counted["prompt_tokens"] += answer.prompt_tokens
            self.counted["answer_tokens"] += answer.completion_tokens


def _set_aside(
    rows: pl.DataFrame, why: Sequence[AnswerFailure | _Rejection | None]
) -> pl.DataFrame | None:
    """The rows that there is something to say against, with their `reason` and `detail`."""
    import polars as pl

    from datachef.core.contracts.accounting import rejected

    reason = pl.Series("reason", [found and found.reason for found in why], pl.String)
    detail = pl.Series(
        "detail",
        [found and found.detail.encode(errors="replace").decode() for found in why],
        pl.String,
    )
    return rejected(rows, reason.is_null(), reason, detail)
