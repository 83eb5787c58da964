"""New instructions after the example of those that are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from datachef.core import (
    Context,
    DroppedRowError,
    Outcome,
    PromptTemplate,
    Synthesis,
    UnparsableAnswerError,
    json_answer,
    sampling_priority,
    without_reasoning,
)
from datachef.operators.synthesis.exchange import exchange_of
from datachef.operators.text.rouge import most_similar, rouge_words

if TYPE_CHECKING:
    import polars as pl

_PROMPT = """\
Below are {{ examples | length }} different tasks. Write {{ instructions }} new tasks.

- They differ in subject, verb and form from the tasks below and from one another.
- A language model that reads and writes text can do them; each says all that it needs.
- Each is an instruction or a question of one or two sentences, without its answer.

Answer with JSON: {"instructions": ["...", "..."]}

{% for example in examples %}
{{ loop.index }}. {{ example }}
{% endfor %}
"""
# What the source's code leaves out: tasks that need more than text.
_UNFIT = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|videos?|audio|music|flowcharts?|"
    r"diagrams?)\b|\A\W",
    re.IGNORECASE,
)
_FEWEST_WORDS, _MOST_WORDS = 4, 150
# Of how many instructions examples are drawn, with all of which new ones are compared.
_POOL = 1000


class _Answer(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, strict=True, defer_build=True)

    instructions: list[Annotated[str, AfterValidator(without_reasoning)]]


class SelfInstruct(Synthesis):
    """Makes of each row new instructions, after the example of the rows that are there.

    Self-Instruct (Wang et al. 2022, arXiv 2212.10560): the prompt shows the instruction of the row
    and others drawn from the corpus; kept is what has a ROUGE-L below 0.7 with each of them and of
    the pool of 1,000 that they are drawn from, has 4 to 150 words and needs no more than text. The
    source also shows instructions that it made before, whose order decides; here every row depends
    on the rows alone, and `rouge_dedup` behind this step compares what was made of different rows.
    Answers are for `answer_question`. Templates may name `examples` and `instructions`.
    """

    op: Literal["self_instruct"] = "self_instruct"

    max_rows: ClassVar[int | None] = 20

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    temperature: float = Field(0.7, ge=0, le=2, description="Randomness of the answers.")
    examples: int = Field(8, ge=1, le=32, description="Instructions that the prompt shows.")
    instructions: int = Field(8, ge=1, le=20, description="New instructions to ask for.")
    max_similarity: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Leave out what has a ROUGE-L with another instruction that is this high.",
    )

    _pool: tuple[str, ...] = PrivateAttr(())
    _pool_words: tuple[list[str], ...] = PrivateAttr(())

    @property
    def rows_per_row(self) -> int:
        return self.instructions

    def reads(self) -> set[str]:
        return super().reads() - {"examples"}

    def writes(self) -> set[str]:
        return super().writes() | {"messages"}

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_question", "not_novel", "unfit_instructions")

    @property
    def decides(self) -> str:
        return ""  # beside the rows to drop, the decision has the pool

    def variables(self) -> Mapping[str, Any]:
        return {"instructions": self.instructions}

    def messages(self, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        own = exchange_of(row).question
        generator = Random(f"{self.seed} {row['id']}")
        others = sorted((o for o in self._pool if o != own), key=lambda _: generator.random())
        return super().messages(row | {"examples": [own, *others[: self.examples - 1]]})

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        questions = [_question(row) for row in batch.iter_rows(named=True)]
        found = pl.Series("instruction", questions, pl.String)
        return super().summarize(batch).with_columns(found)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        import polars as pl

        table = summaries.collect()
        shown = table.filter(pl.col("instruction").is_not_null())
        priority = sampling_priority(shown["id"], context.seed)
        pool = shown[priority.arg_sort()[:_POOL]].select("id", "instruction")
        # A prompt may show the longest of them.
        lengths = pool["instruction"].str.len_bytes().sort(descending=True).head(self.examples - 1)
        longest = -(-int(lengths.sum()) // 4)
        asked = pl.when(pl.col("tokens") > 0).then(pl.col("tokens") + longest).otherwise(0)
        over = super().resolve(table.with_columns(asked.alias("tokens")).lazy(), context)
        return pl.concat([over, pool], how="diagonal")

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        import polars as pl

        ready = self.model_copy()
        if "instruction" in decision.columns:
            ready._pool = tuple(decision["instruction"].drop_nulls())
            ready._pool_words = tuple(map(rouge_words, ready._pool))
        return super(SelfInstruct, ready).apply(
            batch, decision.filter(pl.col("reason").is_not_null())
        )

    def response_schema(self) -> Mapping[str, Any]:
        texts = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": self.instructions,
        }
        return {
            "type": "object",
            "properties": {"instructions": texts},
            "required": ["instructions"],
            "additionalProperties": False,
        }

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        said = json_answer(answer)
        try:
            found = _Answer.model_validate(
                {"instructions": said} if isinstance(said, list) else said
            )
        except ValidationError as error:
            raise UnparsableAnswerError(str(error)) from error
        known = [rouge_words(exchange_of(row).question), *self._pool_words]
        kept: list[str] = []
        unfit = 0
        for instruction in found.instructions[: self.instructions]:
            words = rouge_words(instruction)
            if not _FEWEST_WORDS <= len(words) <= _MOST_WORDS or _UNFIT.search(instruction):
                unfit += 1
            elif most_similar(words, known, self.max_similarity) is None:
                kept.append(instruction)
                known.append(words)
        if not kept:
            all_unfit = unfit == len(found.instructions)
            reason = "unfit_instructions" if all_unfit else "not_novel"
            raise DroppedRowError(reason, "; ".join(found.instructions)[:500])
        return [{"messages": [{"role": "user", "content": text}]} for text in kept]

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        state["__pydantic_private__"] |= {"_pool": (), "_pool_words": ()}
        return state


def _question(row: dict[str, Any]) -> str | None:
    """The instruction of a row; None where it has none that can be shown among others."""
    try:
        question = exchange_of(row).question
    except DroppedRowError:
        return None
    return question if len(rouge_words(question)) <= _MOST_WORDS else None
