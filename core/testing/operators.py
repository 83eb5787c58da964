"""The contract of operators, and the odd rows on which it is tried."""

from __future__ import annotations

import math
import pickle
from typing import ClassVar

import polars as pl

from datachef.core.contracts.corpus import Context, CorpusOperator, MixOperator, Size
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.transform import TextTransform, Transform
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.registry.promises import (
    broken_answers,
    broken_rules,
    is_unready,
)
from datachef.core.registry.registration import operator_problem
from datachef.core.rows.columns import concat
from datachef.core.run.ledger import Entry
from datachef.core.run.pipeline import StepPipeline
from datachef.core.run.signals import measure
from datachef.core.run.steps import Step
from datachef.core.text.conversations import turns_column, turns_of, with_text
from datachef.core.text.turns import PROSE, Turn

ODD_TEXTS = (
    "",
    " ",
    "\n\n\t",
    "a",
    "The quick brown fox jumps over the lazy dog. " * 20,
    "the same line\n" * 30,
    "1 2 3 4 5 " * 40,
    "日本語の文章です。これはテストです。",
    "שלום עולם, זהו משפט בעברית.",
    "e\u0301\u0301\u0301 combining \u200b\u200d\ufeff zero width",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    "nul \x00 and bell \x07",
    "<script>alert('x')</script> {{ template }} {% raw %}",
    "x" * 5000,
    "mail me: jane.doe@example.org or +44 20 7946 0958",
    "\u2028line separator\u2029paragraph separator\x85next line",
    "Ünïcödé wörds ænd ﬁgures ½ Ⅷ ①",
)


def _conversation(index: int, text: str) -> list[Turn]:
    """A question and its answer; every second time with a tool call, its result and reasoning."""
    question = {"role": "user", "content": "hello"}
    answer = {"role": "assistant", "content": text}
    if index % 2:
        return [question, answer]
    function = {"name": "look_up", "arguments": {"query": text, "limit": 3, "strict": None}}
    call = {"type": "function", "id": f"call{index}", "function": function}
    return [
        question,
        {"role": "assistant", "content": None, "reasoning_content": text, "tool_calls": [call]},
        {"role": "tool", "content": text, "name": "look_up", "tool_call_id": f"call{index}"},
        answer | {"weight": 1},
    ]


def _shape(messages: list[Turn]) -> list[Turn]:
    """The turns without their prose: every text that an operator may rewrite is a mark."""
    shape = turns_of(messages)
    for turn in shape:
        for key in {"content", *PROSE} & turn.keys():
            turn[key] = None if turn[key] is None else ""
        for call in turn.get("tool_calls", ()):
            call["function"]["arguments"] |= {"query": ""}
    return shape


class _NoMemory:
    def recall(self, group: int, place: int, rows: pl.DataFrame) -> pl.DataFrame | None:
        return None

    def remember(self, group: int, place: int, rows: pl.DataFrame, signals: pl.DataFrame) -> None:
        return None


def odd_rows(sources: tuple[str, ...] = ("a", "b")) -> pl.DataFrame:
    """Odd texts, each twice, in turn of each of the sources; some of them are conversations."""
    texts = [*ODD_TEXTS, *ODD_TEXTS]
    names = [sources[i % len(sources)] for i in range(len(texts))]
    ids = [f"{name}/file:{index}" for index, name in enumerate(names)]
    frame = pl.DataFrame({"id": ids, "source": names, "text": texts})
    chats = [
        _conversation(index, text) if index % 5 == 0 else None for index, text in enumerate(texts)
    ]
    return with_text(frame.with_columns(turns_column(chats)))


class OperatorContract:
    """Subclass it in a test module and set `operator`.

    Override `batch` for an operator that needs columns of its own, and `sources` for a mix.
    """

    operator: ClassVar[Operator]
    sources: ClassVar[tuple[str, ...]] = ("a", "b")

    def batch(self) -> pl.DataFrame:
        """Rows that the operator can take: odd texts, of two sources, each twice."""
        return odd_rows(self.sources)

    def test_can_be_registered(self) -> None:
        """A class that the host would refuse, or one that breaks a promise, says here why."""
        problem = operator_problem(type(self.operator))
        assert not problem, problem
        broken = broken_answers(self.operator)
        if not broken and not is_unready(self.operator):
            broken = broken_rules(self.operator)
        assert not broken, "; ".join(broken)

    def test_is_described(self) -> None:
        """People and policies read the docstring of the class and descriptions of parameters."""
        kind = type(self.operator)
        assert kind.summary()
        assert kind.shape in {"filter", "transform", "synthesis", "corpus", "mix"}
        assert isinstance(kind.version, int)
        undescribed = [
            name
            for name, field in kind.model_fields.items()
            if name != "op" and not field.description
        ]
        assert not undescribed, f"describe {undescribed}"

    def test_defaults_build(self) -> None:
        """What has a default for every parameter can be written without any."""
        kind = type(self.operator)
        required = [n for n, field in kind.model_fields.items() if field.is_required()]
        if not required:
            assert kind(op=kind.name()).op == kind.name()

    def test_numbers_are_bounded(self) -> None:
        """Every number says its range, so that people and policies know what makes sense."""
        for name, schema in type(self.operator).model_json_schema()["properties"].items():
            for option in [schema, *schema.get("anyOf", [])]:
                if option.get("type") in ("integer", "number") and "enum" not in option:
                    low = "minimum" in option or "exclusiveMinimum" in option
                    high = "maximum" in option or "exclusiveMaximum" in option
                    assert low and high, f"{name} has no bounds: give it ge= and le="

    def test_survives_yaml_and_pickle(self) -> None:
        """Keep heavy state in a `functools.cached_property`: it stays behind when steps travel."""
        written = self.operator.model_dump(mode="json")
        assert type(self.operator).model_validate(written).identity() == self.operator.identity()
        self.outcome([self.batch()])
        copy = pickle.loads(pickle.dumps(self.operator))  # noqa: S301 - our own bytes
        assert copy.identity() == self.operator.identity()

    def test_is_deterministic(self) -> None:
        """Chance comes from a parameter `seed` and the row's `id`; sort what comes out of a set."""
        first, second = self.outcome([self.batch()]), self.outcome([self.batch()])
        assert first[0].equals(second[0])

    def test_does_not_depend_on_batches(self) -> None:
        """A row is measured and rewritten by itself; what compares rows is a corpus operator."""
        batch = self.batch()
        whole, _ = self.outcome([batch])
        for rows in (1, 3):
            cut = [batch[start : start + rows] for start in range(0, batch.height, rows)]
            parts, _ = self.outcome(cut)
            assert parts.equals(whole), f"other rows come out of batches of {rows}"

    def test_takes_an_empty_batch(self) -> None:
        """No rows in, no rows out: do not ask for the first row of a batch."""
        rows, entry = self.outcome([self.batch().clear()])
        assert rows.height == 0
        assert entry.rows_in == entry.rows_out == 0

    def test_ledger_balances(self) -> None:
        """Every row is kept, or dropped for one of `reasons()`; odd texts break nothing."""
        batch = self.batch()
        rows, entry = self.outcome([batch])
        assert entry.rows_in == batch.height
        assert entry.rows_out == rows.height
        assert entry.missing == 0, "a row vanished or appeared unaccounted for"
        assert not entry.failed, f"rows broke the operator: {dict(entry.failed)}"
        unknown = set(entry.dropped) - set(self.operator.reasons())
        assert not unknown, f"reasons() does not name {unknown}"

    def test_turns_keep_what_they_carry(self) -> None:
        """Who rewrites text leaves alone who speaks, what is called and whatever else is there."""
        if not isinstance(self.operator, TextTransform):
            return
        batch = self.batch()
        rows, _ = self.outcome([batch])
        before = dict(batch.select("id", "messages").iter_rows())
        for row_id, messages in rows.select("id", "messages").iter_rows():
            if row_id in before and messages is not None:
                assert _shape(messages) == _shape(before[row_id]), f"other turns in {row_id}"

    def test_thresholds_do_not_touch_signals(self) -> None:
        """What signals read is no `threshold()`: signals from the cache would be stale."""
        if not isinstance(self.operator, Filter):
            return
        rows = self.batch()
        expected = measure(self.operator, rows)
        schema = type(self.operator).model_json_schema()["properties"]
        for name in self.operator.thresholds():
            for bound in ("minimum", "maximum"):
                if bound in schema[name]:
                    changed = self.operator.model_dump() | {name: schema[name][bound]}
                    other = type(self.operator).model_validate(changed)
                    assert measure(other, rows).equals(expected), f"{name} changes the signals"

    def test_copies_are_removed_as_declared(self) -> None:
        """Rewards trust `removes_copies`: such an operator removes copies made before it again."""
        if not isinstance(self.operator, CorpusOperator) or not self.operator.removes_copies:
            return
        batch = self.batch()
        again = batch.with_columns(pl.col("id") + "~2")
        once, _ = self.outcome([batch])
        twice, _ = self.outcome([batch, again])
        words = pl.col("text").str.contains(r"[\p{L}\p{N}]")
        assert twice.filter(words)["id"].to_list() == once.filter(words)["id"].to_list()

    def test_scaling_keeps_the_operator(self) -> None:
        """scaled() gives the same operator for a smaller corpus; `corpus_size()` fields do it."""
        scaled = self.operator.scaled(0.5)
        assert type(scaled) is type(self.operator)
        assert self.operator.scaled(1.0) == self.operator

    def test_epochs_foretell_the_copies(self) -> None:
        """A mix says of whole sources what it decides of their rows."""
        if not isinstance(self.operator, MixOperator):
            return
        batch = self.batch()
        counted = batch.with_columns(TokenCounter().count(batch["text"]).alias("tokens"))
        rows, _ = self.outcome([batch])
        taken = dict(rows["source"].value_counts().iter_rows())
        sizes = {
            name: Size(part.height, int(part["tokens"].sum()))
            for (name,), part in counted.group_by("source", maintain_order=True)
        }
        for name, epochs in self.operator.epochs(sizes).items():
            assert (taken.get(name, 0) > 0) <= (epochs > 0), f"{name} is taken against epochs()"
            assert taken.get(name, 0) <= sizes[name].rows * max(1, math.ceil(epochs))

    def outcome(self, batches: list[pl.DataFrame]) -> tuple[pl.DataFrame, Entry]:
        """The rows that the operator lets through, and its entry in the ledger."""
        operator, decision = self.operator, self._decision(batches)
        entry, out = Entry("step", operator.op), []
        for batch in batches:
            own = decision
            if decision is not None and isinstance(operator, CorpusOperator):
                # A partition is given what is said of its rows.
                said = pl.col("id").is_in(batch["id"].implode())
                own = decision.filter(said) if operator.decides_by_row else decision
            chain = StepPipeline([Step("step", operator, own)], _NoMemory(), lambda *_: None)
            out.append(chain.run(batch))
            entry.add(chain.ledger["step"])
        return concat(out), entry

    def _decision(self, batches: list[pl.DataFrame]) -> pl.DataFrame | None:
        operator = self.operator
        if not isinstance(operator, CorpusOperator):
            assert isinstance(operator, Filter | Transform)
            return None
        counted = [
            batch.with_columns(TokenCounter().count(batch["text"]).alias("tokens"))
            for batch in batches
        ]
        summaries = pl.concat([operator.summarize(batch) for batch in counted])
        decision = operator.resolve(summaries.lazy(), Context(seed=7, sources=self.sources))
        return decision.lazy().collect()
