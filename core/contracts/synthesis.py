"""Synthesis: rows in, new rows out, through a language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from datachef.core.contracts.corpus import Context, CorpusOperator
from datachef.core.contracts.operator import FailureLimit, Outcome
from datachef.core.contracts.parameters import corpus_size
from datachef.core.errors import NO_ANSWER, DatachefError, PluginError, RunError
from datachef.core.language_models.answers import AnswerFailure, UnparsableAnswerError, answer_text
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
    and names the model in `synthesized_by`.

    Rows are dropped as `over_budget` before any call, and as `emptied` when `parse` returns none.
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

    def response_schema(self) -> Mapping[str, Any] | None:
        """The JSON Schema of an answer; None where an answer is plain text."""
        return None

    def variables(self) -> Mapping[str, Any]:
        """What templates may name besides columns."""
        return {}

    def messages(self, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """The conversation that ends in the question; raises `PromptError`."""
        values = row | dict(self.variables())
        limit = self.max_prompt_chars
        system = render(self.system, values, limit) if self.system else ""
        user = render(self.prompt, values, limit - len(system))
        return (("system", system), ("user", user)) if system else (("user", user),)

    def reads(self) -> set[str]:
        named = names_in(self.system) | names_in(self.prompt)
        return {"text", *(named - set(self.variables()))}

    def writes(self) -> set[str]:
        return {"synthesized_by"}

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
            return tokens_of(self.messages(row)) + self.max_tokens
        except PromptError:
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

        from datachef.core.contracts.accounting import account, rejected

        if self._client is None:
            raise RunError(f"{self.op} is not connected to an LLM backend", hint="call connect()")
        budgeted = super().apply(batch, decision)
        rows = budgeted.rows
        made, failures = self._answers(self._client, list(rows.iter_rows(named=True)))
        reason = pl.Series("reason", [f.reason if f else None for f in failures], pl.String)
        detail = pl.Series(
            "detail",
            [f.detail.encode(errors="replace").decode() if f else None for f in failures],
            pl.String,
        )
        succeeded = reason.is_null()
        result = self._assemble(rows, made)
        outcome = account(self.op, rows.filter(succeeded), result, self.max_rows)
        failed = rejected(rows, succeeded, reason, detail)
        dropped = [part for part in (budgeted.dropped, outcome.dropped) if part is not None]
        return Outcome(
            outcome.rows,
            pl.concat(dropped) if dropped else None,
            failed,
            outcome.created,
        )

    def _answers(
        self, client: LLMClient, rows: list[dict[str, Any]]
    ) -> tuple[list[list[dict[str, Any]]], list[AnswerFailure | None]]:
        """For every row what was made of it, and why it failed or None."""
        failures: list[AnswerFailure | None] = [None] * len(rows)
        made: list[list[dict[str, Any]]] = [[] for _ in rows]
        requests: dict[int, Request] = {}
        for index, row in enumerate(rows):
            try:
                requests[index] = self._request(row)
            except PromptError as error:
                too_long = isinstance(error, PromptTooLongError)
                reason = "prompt_too_long" if too_long else "prompt_error"
                failures[index] = self._failed(reason, str(error))
        places = list(requests)
        with closing(client.complete_each(requests.values(), self.max_concurrency)) as answers:
            for place, answer in answers:
                index = places[place]
                result = self._read(answer, rows[index])
                if isinstance(result, AnswerFailure):
                    failures[index] = self._failed(*result)
                else:
                    made[index] = result
        return made, failures

    def _failed(self, reason: str, detail: str) -> AnswerFailure:
        self._failures.add(reason, detail)
        return AnswerFailure(reason, detail)

    def _request(self, row: dict[str, Any]) -> Request:
        return Request(
            self.model,
            self.messages(row),
            self.max_tokens,
            self.temperature,
            self.seed,
            self.response_schema(),
        )

    def _read(
        self, answer: Completion | LLMError, row: dict[str, Any]
    ) -> list[dict[str, Any]] | AnswerFailure:
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
        for _, columns in new:
            if set(columns) not in ({"text"}, {"messages"}):
                raise PluginError(
                    f"{self.op} made a row with {', '.join(sorted(columns)) or 'nothing'}",
                    hint="parse returns dictionaries with either text or messages",
                )
        result = rows[pl.Series([index for index, _ in new], dtype=pl.UInt32)].with_columns(
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
