import pickle
from typing import Literal

import polars as pl
import pytest
from pydantic import Field, ValidationError

from datachef.core import (
    Completion,
    Context,
    LLMBackend,
    PluginError,
    PromptTemplate,
    RunError,
    Services,
    Synthesis,
    UnparsableAnswerError,
)

CONTEXT = Context(seed=0)
NOTHING = pl.DataFrame(schema={"id": pl.String, "reason": pl.String})


class SplitAnswer(Synthesis):
    """One row for each word of the answer."""

    op: Literal["split_answer"] = "split_answer"
    prompt: PromptTemplate = Field("{{ text }}", description="Template.")

    def parse(self, answer, row):
        if answer == "garbage":
            raise UnparsableAnswerError("garbage")
        return [{"text": word} for word in answer.split()]


class Upper(LLMBackend):
    def complete(self, request):
        text = request.messages[-1][1]
        return Completion(text.upper(), truncated=text == "long")


def batch(*texts, **columns):
    ids = [f"r{i}" for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "source": "s", "text": texts, **columns})


def connected(folder, **parameters):
    operator = SplitAnswer(model="tiny", backend="upper", **parameters)
    return operator.connect(Services({"upper": Upper}, folder))


def test_rows_made_of_rows(tmp_path):
    rows = batch("one", "two words", " ", licence=["a", "b", "c"])
    outcome = connected(tmp_path).apply(rows, NOTHING)
    assert outcome.rows.to_dicts() == [
        {"id": "r0", "source": "s", "text": "ONE", "licence": "a", "synthesized_by": "tiny"},
        {"id": "r1.0", "source": "s", "text": "TWO", "licence": "b", "synthesized_by": "tiny"},
        {"id": "r1.1", "source": "s", "text": "WORDS", "licence": "b", "synthesized_by": "tiny"},
    ]
    assert outcome.dropped is None
    assert outcome.failed.select("id", "reason").rows() == [("r2", "empty_answer")]
    assert outcome.created == 1


def test_conversations_become_documents(tmp_path):
    messages = [[{"role": "user", "content": "hi"}]]
    outcome = connected(tmp_path).apply(batch("hi", messages=messages), NOTHING)
    assert outcome.rows.select("text", "messages").rows() == [("HI", None)]


def test_every_failure_has_a_reason(tmp_path):
    class Mixed(Upper):
        def complete(self, request):
            completion = super().complete(request)
            return Completion("garbage") if completion.text == "BAD" else completion

    rows = batch("good", "bad", "long", "x" * 200, n=[1, 2, 3, 4])
    operator = SplitAnswer(model="tiny", backend="m", max_prompt_chars=100)
    outcome = operator.connect(Services({"m": Mixed}, tmp_path)).apply(rows, NOTHING)
    assert outcome.rows["text"].to_list() == ["GOOD"]
    assert dict(outcome.failed.select("id", "reason").iter_rows()) == {
        "r1": "unparsable_answer",
        "r2": "truncated_answer",
        "r3": "prompt_too_long",
    }
    assert outcome.failed["detail"].null_count() == 0
    assert outcome.failed["n"].to_list() == [2, 3, 4]


def test_a_template_with_half_a_surrogate_pair_fails_its_rows(tmp_path):
    outcome = connected(tmp_path, prompt='{{ "\\ud800" }}{{ text }}').apply(batch("a"), NOTHING)
    assert outcome.failed["reason"].to_list() == ["prompt_error"]
    whole = connected(tmp_path, prompt='{{ "\\ud83d\\ude00" }}{{ text }}').apply(
        batch("a"), NOTHING
    )
    assert whole.rows["text"].to_list() == ["😀A"]


def test_rows_that_do_not_fit_the_template_fail(tmp_path):
    operator = connected(tmp_path, prompt="{{ extra.word }}")
    rows = batch("a", "b", extra=[{"word": "x"}, None])
    outcome = operator.apply(rows, NOTHING)
    assert outcome.rows["text"].to_list() == ["X"]
    assert outcome.failed["reason"].to_list() == ["prompt_error"]


def test_all_failed_and_none_given(tmp_path):
    outcome = connected(tmp_path, max_prompt_chars=1).apply(batch("abc"), NOTHING)
    assert outcome.rows.height == 0
    assert outcome.failed.height == 1
    empty = connected(tmp_path).apply(batch("abc").clear(), NOTHING)
    assert empty.rows.height == 0
    assert "synthesized_by" in empty.rows.columns


def test_budget_takes_rows_in_order_while_they_fit(tmp_path):
    operator = connected(tmp_path, budget_tokens=40, max_tokens=10)
    rows = batch("a" * 40, "b" * 80, "c" * 4, "d" * 4)
    summaries = [operator.summarize(rows[:1]), operator.summarize(rows[1:])]
    assert pl.concat(summaries)["tokens"].to_list() == [20, 30, 11, 11]
    decision = operator.resolve(pl.concat(summaries).lazy(), CONTEXT)
    assert decision.rows() == [("r1", "over_budget"), ("r3", "over_budget")]
    outcome = operator.apply(rows, decision)
    assert outcome.rows["id"].to_list() == ["r0", "r2"]
    assert outcome.dropped.select("id", "reason").rows() == decision.rows()


def test_without_a_budget_nothing_is_over_it(tmp_path):
    operator = connected(tmp_path)
    decision = operator.resolve(operator.summarize(batch("a", "b")).lazy(), CONTEXT)
    assert decision.height == 0
    assert decision.schema == NOTHING.schema


def test_bytes_count_towards_the_budget(tmp_path):
    operator = connected(tmp_path, budget_tokens=100, max_tokens=1)
    assert operator.summarize(batch("漢" * 4))["tokens"].to_list() == [4]


def test_not_connected():
    with pytest.raises(RunError, match="not connected"):
        SplitAnswer(model="tiny").apply(batch("a"), NOTHING)


def test_connection_does_not_travel(tmp_path):
    operator = connected(tmp_path)
    operator.apply(batch("a"), NOTHING)
    travelled = pickle.loads(pickle.dumps(operator))  # noqa: S301
    assert travelled.identity() == operator.identity()
    with pytest.raises(RunError, match="not connected"):
        travelled.apply(batch("a"), NOTHING)


def test_connecting_leaves_the_operator_alone(tmp_path):
    operator = SplitAnswer(model="tiny", backend="upper")
    operator.connect(Services({"upper": Upper}, tmp_path))
    with pytest.raises(RunError):
        operator.apply(batch("a"), NOTHING)


def test_identity_is_without_concurrency():
    one, two = (SplitAnswer(model="tiny", max_concurrency=n) for n in (1, 2))
    assert one.identity() == two.identity()
    assert one.identity() != SplitAnswer(model="other").identity()


def test_reads_what_the_templates_name():
    operator = SplitAnswer(model="tiny", system="{{ language }}", prompt="{{ text }} {{ title }}")
    assert operator.reads() == {"text", "title", "language"}


@pytest.mark.parametrize("field", ["system", "prompt"])
def test_bad_templates_are_bad_parameters(field):
    with pytest.raises(ValidationError, match="not available in prompts"):
        SplitAnswer(model="tiny", **{field: "{{ text.__class__ }}"})


def test_system_message(tmp_path):
    operator = SplitAnswer(model="tiny", system="Be brief.")
    row = {"text": "hi"}
    assert operator.messages(row) == (("system", "Be brief."), ("user", "hi"))


WRONG = [
    (lambda answer: answer, "gave the str 'A', not a list of dictionaries"),
    (lambda answer: None, "gave None, not a list"),
    (lambda answer: {"text": answer}, "gave the dict {'text': 'A'}, not a list"),
    (lambda answer: [answer], "gave the list \\['A'\\], not a list of dictionaries"),
    (lambda answer: [{"text": 3}], "made the int 3 as text"),
]


@pytest.mark.parametrize(("made", "cause"), WRONG)
def test_what_is_no_list_of_rows_is_the_authors_mistake(tmp_path, made, cause):
    class Wrong(SplitAnswer):
        """Makes what it may not."""

        def parse(self, answer, row):
            return made(answer)

    operator = Wrong(model="tiny", backend="upper").connect(Services({"upper": Upper}, tmp_path))
    with pytest.raises(PluginError, match=rf"parse\(\) of split_answer {cause}"):
        operator.apply(batch("a"), NOTHING)


def test_other_columns_are_the_authors_mistake(tmp_path):
    class Wrong(SplitAnswer):
        """Makes what it may not."""

        def parse(self, answer, row):
            return [{"title": answer}]

    operator = Wrong(model="tiny", backend="upper").connect(Services({"upper": Upper}, tmp_path))
    with pytest.raises(PluginError, match="title"):
        operator.apply(batch("a"), NOTHING)
