"""What becomes of conversations: of their turns' fields, and of what stands beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeCorpus = Callable[..., Any]
Row = dict[str, Any]

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "n": 2}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "q"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "rain"}
ANSWERED = {"role": "assistant", "content": "a"}
USED = [ASKED, CALLED, TOLD, ANSWERED]


def say(role: str, content: Any, **more: Any) -> Row:
    return {"role": role, "content": content, **more}


def calling(**call: Any) -> list[Row]:
    return [ASKED, say("assistant", None, **call), TOLD, ANSWERED]


# A row of a source, its format, and the turns that are written.
TURNS: dict[str, tuple[Row, Any, list[Row]]] = {
    "as they are": ({"messages": USED}, None, USED),
    "no content beside a call": (
        {"messages": [ASKED, {"role": "assistant", "tool_calls": [CALL]}, TOLD, ANSWERED]},
        None,
        USED,
    ),
    "arguments as JSON text": (
        {"messages": calling(tool_calls=[CALL | {"function": {
            "name": "weather", "arguments": '{"city": "Köln", "n": 2}'}}])},
        None,
        USED,
    ),
    "calls as JSON text": ({"messages": calling(tool_calls=json.dumps([CALL]))}, None, USED),
    "each call as JSON text": ({"messages": calling(tool_calls=[json.dumps(CALL)])}, None, USED),
    "turns as JSON text": ({"messages": json.dumps(USED)}, None, USED),
    "calls without a function around them": (
        {"messages": calling(tool_calls=[CALL["function"]])}, None, USED,
    ),
    "the call of OpenAI's first functions": (
        {"messages": [
            ASKED,
            say("assistant", None, function_call=CALL["function"]),
            say("function", "rain", name="weather"),
            ANSWERED,
        ]},
        None,
        [ASKED, CALLED, TOLD | {"name": "weather"}, ANSWERED],
    ),
    "the parts of Anthropic's content": (
        {"messages": [
            ASKED,
            say("assistant", [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "weather",
                 "input": {"city": "Köln", "n": 2}},
            ]),
            say("user", [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "c2", "is_error": True,
                 "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "wind"}]},
                {"type": "text", "text": "So?"},
            ], weight=1),
            ANSWERED,
        ]},
        None,
        [
            ASKED,
            say("assistant", "I look.", reasoning_content="hm", tool_calls=[CALL | {"id": "c1"}]),
            say("tool", "rain", tool_call_id="c1"),
            say("tool", "no\nwind", is_error=True, tool_call_id="c2"),
            say("user", "So?", weight=1),
            ANSWERED,
        ],
    ),
    "parts with the fields of all parts": (
        {"messages": [
            say("user", [{"type": "text", "text": "q", "thinking": None, "input": None}]),
            say("assistant", [{"type": "tool_use", "text": None, "name": "weather",
                               "input": {"city": "Köln", "n": 2}}]),
            say("user", [{"type": "tool_result", "content": "rain", "text": None, "name": None}]),
            say("assistant", [{"type": "text", "text": "a", "thinking": None, "input": None}]),
        ]},
        None,
        USED,
    ),
    "thinking in parts of its own, and before": (
        {"messages": [ASKED, say("assistant", [
            {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]},
            {"type": "reasoning", "text": "or"},
            {"type": "text", "text": "a"},
        ], reasoning_content="hm")]},
        None,
        [ASKED, ANSWERED | {"reasoning_content": "hm\nso\nor"}],
    ),
    "a refusal among the parts": (
        {"messages": [ASKED, say("assistant", [{"type": "refusal", "refusal": "no"}])]},
        None,
        [ASKED, say("assistant", None, refusal="no")],
    ),
    "a system message in parts": (
        {"messages": [ASKED, ANSWERED], "system": [
            {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "t"},
        ]},
        None,
        [say("system", "s\nt"), ASKED, ANSWERED],
    ),
    "no arguments": (
        {"messages": calling(tool_calls=[
            {"id": "c1", "function": {"name": "now", "arguments": ""}}
        ])},
        None,
        calling(tool_calls=[
            {"type": "function", "id": "c1", "function": {"name": "now", "arguments": {}}}
        ]),
    ),
    "integers beyond 64 bits, which datasets cannot read": (
        {"messages": [
            say("user", 2**70),
            say("assistant", None, tool_calls=[
                {"function": {"name": "f", "arguments": {"n": 2**70, "m": [2**63, -(2**64)]}}}
            ]),
            say("tool", {"n": 2**70}),
            ANSWERED,
        ]},
        None,
        [
            say("user", "1180591620717411303424"),
            say("assistant", None, tool_calls=[
                {"type": "function", "function": {"name": "f", "arguments": {
                    "n": "1180591620717411303424", "m": [2**63, "-18446744073709551616"],
                }}}
            ]),
            say("tool", '{"n":1180591620717411303424}'),
            ANSWERED,
        ],
    ),
    "an empty list of calls": (
        {"messages": [ASKED, ANSWERED | {"tool_calls": []}]}, None, [ASKED, ANSWERED],
    ),
    "ids and names": (
        {"messages": [
            ASKED,
            say("assistant", "", tool_calls=[{"id": "c1", **CALL}]),
            say("tool", "rain", tool_call_id="c1", name="weather"),
            ANSWERED,
        ]},
        None,
        [
            ASKED,
            say("assistant", "", tool_calls=[{"id": "c1", **CALL}]),
            say("tool", "rain", tool_call_id="c1", name="weather"),
            ANSWERED,
        ],
    ),
    "ShareGPT with tools": (
        {"conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps(CALL["function"])},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "a"},
        ]},
        None,
        USED,
    ),
    "several calls of ShareGPT": (
        {"conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps([CALL["function"]] * 2)},
        ]},
        None,
        [ASKED, CALLED | {"tool_calls": [CALL, CALL]}],
    ),
    "conversations of roles and contents": (
        {"conversations": [ASKED, ANSWERED]}, None, [ASKED, ANSWERED],
    ),
    "messages of ShareGPT": (
        {"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        None,
        [ASKED, ANSWERED],
    ),
    "what a tool returns as JSON": (
        {"messages": [ASKED, CALLED, say("tool", {"sky": ["rain"]}), ANSWERED]},
        None,
        [ASKED, CALLED, say("tool", '{"sky":["rain"]}'), ANSWERED],
    ),
    "reasoning": (
        {"messages": [ASKED, ANSWERED | {"reasoning_content": "hm"}]},
        None,
        [ASKED, ANSWERED | {"reasoning_content": "hm"}],
    ),
    "reasoning by other names": (
        {"messages": [ASKED, ANSWERED | {"thinking": "hm"}, ASKED, ANSWERED | {"reasoning": "so"}]},
        None,
        [ASKED, ANSWERED | {"thinking": "hm"}, ASKED, ANSWERED | {"reasoning": "so"}],
    ),
    "what nobody knows": (
        {"messages": [ASKED | {"mood": {"glad": 0.5}, "role_": None}, ANSWERED | {"weight": 0}]},
        None,
        [ASKED | {"mood": {"glad": 0.5}}, ANSWERED | {"weight": 0}],
    ),
    "parts": (
        {"messages": [say("user", [{"type": "text", "text": "q"}]), ANSWERED]},
        None,
        [ASKED, ANSWERED],
    ),
    "several parts": (
        {"messages": [
            say("user", [{"type": "text", "text": "one"}, {"text": "two"}, "three"]),
            ANSWERED,
        ]},
        None,
        [say("user", "one\ntwo\nthree"), ANSWERED],
    ),
    "roles of other makers, in any case": (
        {"messages": [
            say(role, "x")
            for role in ("System", "DEVELOPER", "Human", " prompter", "GPT", "Observation", "Model")
        ]},
        None,
        [
            say(role, "x")
            for role in ("system", "developer", "user", "user", "assistant", "tool", "assistant")
        ],
    ),
    "roles of one's own": (
        {"messages": [say("Student", "q"), say("tutor", "a")]},
        {"messages": "messages", "roles": {"student": "user", "TUTOR": "assistant"}},
        [ASKED, ANSWERED],
    ),
    "a system message beside": (
        {"system": "be kind", "messages": [ASKED, ANSWERED]},
        None,
        [say("system", "be kind"), ASKED, ANSWERED],
    ),
    "a blank system message": (
        {"system": " ", "messages": [ASKED, ANSWERED]}, None, [ASKED, ANSWERED],
    ),
    "two system messages": (
        {"system": "be kind", "conversations": [say("system", "be brief"), ASKED, ANSWERED]},
        None,
        [say("system", "be kind\n\nbe brief"), ASKED, ANSWERED],
    ),
    "system and history of Alpaca": (
        {"instruction": "q", "input": "", "output": "a", "system": "s", "history": [["x", "y"]]},
        None,
        [say("system", "s"), say("user", "x"), say("assistant", "y"), ASKED, ANSWERED],
    ),
    "a history of turns": (
        {"prompt": "q", "response": "a", "history": [say("human", "x"), say("bot", "y")]},
        None,
        [say("user", "x"), say("assistant", "y"), ASKED, ANSWERED],
    ),
    "a prompt and its completion as turns": (
        {"prompt": [say("system", "s"), ASKED], "completion": [ANSWERED]},
        None,
        [say("system", "s"), ASKED, ANSWERED],
    ),
    "several turns of one role, and one in the middle of the system": (
        {"messages": [ASKED, ASKED, say("system", "s"), ANSWERED, ANSWERED, ASKED]},
        None,
        [ASKED, ASKED, say("system", "s"), ANSWERED, ANSWERED, ASKED],
    ),
}  # fmt: skip


@pytest.fixture
def written(make_corpus: MakeCorpus, tmp_path: Path) -> Callable[..., Any]:
    """Runs rows through a recipe that writes conversations as JSON lines."""

    def run(*rows: Row, format: Any = None, max_failed: float = 0.1, **recipe: Any) -> Any:
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = {"path": "a.jsonl", "max_failed": max_failed}
        output = {"format": "jsonl", "schema": "messages"} | recipe.pop("output", {})
        sources = {"s": source | ({"format": format} if format else {})}
        result = make_corpus(sources, output=output, **recipe)
        lines = (result.report.folder / "data").glob("*.jsonl")
        return result, [json.loads(line) for f in lines for line in f.read_text().splitlines()]

    return run


@pytest.mark.parametrize(("row", "format", "turns"), TURNS.values(), ids=TURNS)
def test_turns_keep_what_they_carry(
    written: Callable[..., Any], row: Row, format: Any, turns: list[Row]
) -> None:
    _, rows = written(row, format=format)
    assert [row["messages"] for row in rows] == [turns]


REFUSED: dict[str, tuple[Any, str, str]] = {
    "an unknown role": ([say("hummany", "q")], "unknown_role", "did you mean human"),
    "no role": ([{"content": "q"}], "missing_field", "no field 'role'"),
    "a role that is a number": ([say(1, "q")], "schema_mismatch", "the role 1 is not a name"),  # type: ignore[arg-type]
    "nothing said": ([say("user", None)], "missing_field", "a turn of user has no content"),
    "NaN said": ([say("user", float("nan"))], "missing_field", "has no content"),  # type: ignore[arg-type]
    "an image": (
        [say("user", [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "u"}])],
        "unsupported_content",
        "'image_url': only text is supported",
    ),
    "an image that a tool returned": (
        [say("user", [{"type": "tool_result", "content": [{"type": "image", "source": "x"}]}])],
        "unsupported_content",
        "'image': only text",
    ),
    "thinking that none can read": (
        [ASKED, say("assistant", [{"type": "redacted_thinking", "data": "x"}])],
        "missing_field",
        "a turn of assistant has no content",
    ),
    "reasoning under another key": (
        [ASKED, say("assistant", [{"type": "reasoning", "summary": "x"}])],
        "missing_field",
        "a part of a turn is reasoning without its text",
    ),
    "a part whose type is no name": (
        [say("user", [{"type": ["text"], "text": "q"}])],
        "unsupported_content",
        "a part of a turn is 'type'",
    ),
    "sound": ([say("user", [{"audio": "u"}])], "unsupported_content", "'audio': only text"),
    "arguments that are no JSON": (
        calling(tool_calls=[{"function": {"name": "f", "arguments": "{city: 1"}}]),
        "bad_tool_call",
        "what f is called with is not JSON",
    ),
    "arguments that are no object": (
        calling(tool_calls=[{"function": {"name": "f", "arguments": [1]}}]),
        "bad_tool_call",
        "the arguments of 'f' are not an object",
    ),
    "a call of nothing": (calling(tool_calls=[{"id": "1"}]), "bad_tool_call", "names no function"),
    "NaN for what is said": (
        [ASKED, say("assistant", float("nan"))],
        "missing_field",
        "no content",
    ),
    "no turns": ([], "schema_mismatch", "not a list of turns"),
}


@pytest.mark.parametrize(("turns", "reason", "detail"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_named(
    written: Callable[..., Any], turns: list[Row], reason: str, detail: str
) -> None:
    good = {"messages": [ASKED, ANSWERED]}
    result, rows = written(good, {"messages": turns}, max_failed=0.5)
    assert len(rows) == 1
    assert dict(result.report.ledger["sources.s"].failed) == {reason: 1}
    assert result.rejects["line"].to_list() == [2]
    assert detail in result.rejects["detail"][0]


OBJECTS = """
from typing import ClassVar
import numpy
from datachef.core import hookimpl
from datachef.core import RawRow, Source, Partition

class Objects(Source):
    "Conversations that hold Python's objects."
    key: ClassVar[str] = "objects"
    objects: bool
    def partitions(self): return [Partition("all", "", 10)]
    def read(self, partition):
        for n, value in enumerate([object(), numpy.array([1, 2]), {3}, 1j, None]):
            call = {"function": {"name": "f", "arguments": {"x": [value]}}}
            rows = [
                {"meta": value}, {"meta": {"a": [value]}}, {"meta": {str(n): (value,)}},
                {"tool_calls": [call]}, {"tool_calls": numpy.array([call])},
            ]
            for place, row in enumerate(rows):
                turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
                turns[1] |= row
                yield RawRow(10 * n + place, 0, 5, {"messages": numpy.array(turns)})
            yield RawRow(10 * n + 9, 0, 5, {"messages": turns[:1] + [{"role": value}]})

@hookimpl
def datachef_sources(): return [Objects]
"""


def test_objects_inside_turns_cost_their_rows_alone(
    make_corpus: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("numpy")
    plugin = tmp_path / "objects.py"
    plugin.write_text(OBJECTS)
    source = {"objects": True, "format": {"messages": "messages"}, "max_failed": 0.5}
    output = {"schema": "messages", "order": "source"}
    result = make_corpus({"s": source}, plugins=[plugin], output=output)
    failed = dict(result.report.ledger["sources.s"].failed)
    assert failed == {"unsupported_value": 12, "schema_mismatch": 3}
    assert not any("0x" in detail for detail in result.rejects["detail"])
    answers = [row[1] for row in result.rows["messages"].to_list()]
    metas = [answer["meta"] for answer in answers]
    arrays, sets = ["[1,2]", '{"a":[[1,2]]}', '{"1":[[1,2]]}'], ["[3]", '{"a":[[3]]}']
    assert metas[:8] == [*arrays, None, None, *sets, '{"2":[[3]]}']
    for answer in answers[3:5]:
        (call,) = json.loads(answer["tool_calls"])
        assert call["function"] == {"name": "f", "arguments": {"x": [[1, 2]]}}


def test_pictures_beside_turns_are_named(written: Callable[..., Any]) -> None:
    rows = [
        {"conversations": [say("user", "<image>\nWhat is it?"), ANSWERED], "image": "a.png"},
        {"conversations": [say("user", "What is <image> in HTML?"), ANSWERED], "image": None},
    ]
    result, kept = written(*rows, max_failed=0.5)
    assert len(kept) == 1
    assert dict(result.report.ledger["sources.s"].failed) == {"unsupported_content": 1}


class TestBeside:
    @pytest.mark.parametrize(
        "beside",
        [
            {"tools": [TOOL]},
            {"tools": json.dumps([TOOL])},
            {"tools": [json.dumps(TOOL)]},
            {"tools": [TOOL["function"]]},
            {"functions": [TOOL["function"]]},
            {"tools": [{"type": "function"} | TOOL["function"]]},
            {"tools": [{"type": "custom", "name": "weather", "input_schema": {"type": "object"}}]},
        ],
    )
    def test_tools(self, written: Callable[..., Any], beside: Row) -> None:
        _, rows = written({"messages": USED, **beside}, {"messages": USED, "tools": []})
        assert [row["tools"] for row in rows] == [[TOOL], None]

    def test_tools_by_another_name(self, written: Callable[..., Any]) -> None:
        format = {"messages": "messages", "tools": "toolbox"}
        row = {"messages": USED, "toolbox": [TOOL], "tools": "mine"}
        _, rows = written(row, format=format, output={"columns": ["original_tools"]})
        assert rows[0]["tools"] == [TOOL]
        assert rows[0]["original_tools"] == "mine"

    def test_tools_that_are_none(self, written: Callable[..., Any]) -> None:
        rows = [{"messages": USED, "tools": "hammer"}, {"messages": USED}]
        result, kept = written(*rows, max_failed=0.5)
        assert "write tools: null" in result.rejects["detail"][0]
        assert "tools" not in kept[0]
        format = {"messages": "messages", "tools": None}
        _, kept = written(*rows, format=format, output={"columns": ["original_tools"]})
        assert [row["original_tools"] for row in kept] == ["hammer", None]

    def test_arguments_of_the_template(self, written: Callable[..., Any]) -> None:
        thinking = {"chat_template_kwargs": {"enable_thinking": False}}
        _, rows = written({"messages": USED, **thinking}, {"messages": USED})
        assert [row["chat_template_kwargs"] for row in rows] == [{"enable_thinking": False}, {}]

    def test_a_source_of_texts_has_tools_of_its_own(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "how to build", "tools": ["saw"]}')
        result = make_corpus("a.jsonl", output={"columns": ["original_tools"]})
        assert result.rows["original_tools"].to_list() == ['["saw"]']


class TestSimpleCorpora:
    @pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
    def test_nothing_is_added_to_turns(
        self, make_corpus: MakeCorpus, tmp_path: Path, schema: str
    ) -> None:
        (tmp_path / "a.jsonl").write_text(json.dumps({"messages": [ASKED, ANSWERED], "tools": []}))
        rows = make_corpus("a.jsonl", output={"schema": schema}).rows
        expected = {
            "messages": {"messages": [ASKED, ANSWERED]},
            "prompt_completion": {"prompt": [ASKED], "completion": [ANSWERED]},
        }
        (row,) = rows.drop("id", "source").to_dicts()
        assert row == expected[schema]


class TestReading:
    def test_a_reading_holds_all_that_is_said(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        turns = [ASKED, CALLED | {"reasoning_content": "let me\nlook"}, TOLD, ANSWERED]
        (tmp_path / "a.jsonl").write_text(json.dumps({"messages": turns}))
        (text,) = make_corpus("a.jsonl", output={"schema": "text"}).rows["text"]
        assert text == 'q\n\nlet me\nlook\n\nweather {"city": "Köln", "n": 2}\n\nrain\n\na'

    @pytest.mark.parametrize(
        "other",
        [
            {"city": "Bonn", "n": 2},
            {"city": "Köln", "n": "2"},
            {"city": "Köln", "n": 2, "m": None},
            {},
        ],
    )
    def test_rows_that_differ_in_a_call_alone_read_differently(
        self, make_corpus: MakeCorpus, tmp_path: Path, other: Row
    ) -> None:
        second = {"type": "function", "function": {"name": "weather", "arguments": other}}
        rows = [{"messages": calling(tool_calls=[call])} for call in (CALL, second)]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert make_corpus("a.jsonl", output={"schema": "text"}).rows["text"].n_unique() == 2


PLUGIN = '''
from typing import Literal
import polars as pl
from datachef.core import Transform, hookimpl

class Answer(Transform):
    """Makes turns as structs, with more than role and content and without."""
    op: Literal["answer"] = "answer"

    def writes(self):
        return {"messages"}

    def transform(self, batch):
        chats = [
            [
                {"role": "user", "content": text},
                {"role": "assistant", "content": "a"}
                | ({"thinking": "hm", "weight": 2} if text == "one" else {}),
            ]
            for text in batch["text"]
        ]
        return batch.with_columns(pl.Series("messages", chats))

@hookimpl
def datachef_operators():
    return [Answer]
'''


def test_turns_that_an_operator_made_as_structs(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text(PLUGIN)
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}')
    output = {"schema": "messages", "format": "jsonl"}
    result = make_corpus(
        "a.jsonl", plugins=[tmp_path / "answer.py"], steps=[{"op": "answer"}], output=output
    )
    (file,) = (result.report.folder / "data").iterdir()
    rows = [json.loads(line)["messages"] for line in file.read_text().splitlines()]
    assert rows == [
        [say("user", "one"), ANSWERED | {"thinking": "hm", "weight": 2}],
        [say("user", "two"), ANSWERED],
    ]


class TestTransforms:
    """With the operators that come along."""

    TURNS = (
        say("user", "mail jo@example.org"),
        say(
            "assistant",
            None,
            reasoning_content="jo@example.org is an address",
            tool_calls=[
                {
                    "type": "function",
                    "id": "c1",
                    "function": {
                        "name": "send",
                        "arguments": {"to": ["jo@example.org"], "n": 1, "cc": None},
                    },
                }
            ],
        ),
        say("tool", "sent to jo@example.org", tool_call_id="c1"),
        say("assistant", "Done.", weight=1),
    )

    def run(self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: Any, op: Row) -> list[Row]:
        monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,transforms")
        row = {"messages": self.TURNS, "tools": [TOOL]}
        (tmp_path / "a.jsonl").write_text(json.dumps(row))
        result = make_corpus(
            "a.jsonl", steps=[op], output={"schema": "messages", "format": "jsonl"}
        )
        (file,) = (result.report.folder / "data").iterdir()
        (written,) = map(json.loads, file.read_text().splitlines())
        assert written["tools"] == [TOOL]
        turns: list[Row] = written["messages"]
        return turns

    def test_redaction_reaches_all_that_is_said(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = self.run(make_corpus, tmp_path, monkeypatch, {"op": "redact_personal_data"})
        text = json.dumps(turns)
        assert "jo@example.org" not in text
        marked = json.dumps(self.TURNS)
        hidden = turns[0]["content"].removeprefix("mail ")
        assert text == marked.replace("jo@example.org", hidden)

    def test_cleaning_lines_leaves_calls_alone(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = self.run(make_corpus, tmp_path, monkeypatch, {"op": "clean_c4_lines"})
        assert turns[1]["tool_calls"] == self.TURNS[1]["tool_calls"]
        assert [turn["role"] for turn in turns] == [turn["role"] for turn in self.TURNS]
        assert turns[1]["content"] is None
        assert turns[3]["weight"] == 1


class TestDeduplicationAndDecontamination:
    @pytest.fixture(autouse=True)
    def _operators(self, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,dedup")

    def test_rows_that_differ_in_a_call_alone_are_no_copies(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        bonn = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}}
        calls = [CALL, bonn, CALL]
        rows = [{"messages": calling(tool_calls=[call])} for call in calls]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        result = make_corpus(
            "a.jsonl", steps=[{"op": "exact_dedup"}], output={"schema": "messages"}
        )
        assert result.rows.height == 2
        assert dict(result.report.ledger["steps[0]"].dropped) == {"duplicate": 1}

    ITEM = 'How many clips did Natalia sell altogether in April and\nMay to her "best" friends?'

    @pytest.mark.parametrize(
        "hidden",
        [
            {"content": ITEM},
            {"content": "x", "reasoning_content": f"The question is: {ITEM}"},
            {"content": "x", "thinking": ITEM},
            {
                "content": None,
                "tool_calls": [
                    {"type": "function", "function": {"name": "f", "arguments": {"q": [ITEM]}}}
                ],
            },
        ],
        ids=["content", "reasoning", "thinking", "arguments"],
    )
    def test_test_items_are_found_wherever_they_are_said(
        self, make_corpus: MakeCorpus, tmp_path: Path, hidden: Row
    ) -> None:
        chats = [[ASKED, {"role": "assistant"} | hidden, ANSWERED], [ASKED, ANSWERED]]
        rows = [json.dumps({"messages": turns}) for turns in chats]
        (tmp_path / "a.jsonl").write_text("\n".join(rows))
        (tmp_path / "b.jsonl").write_text(json.dumps({"prompt": self.ITEM, "answer": "72"}))
        step = {"op": "decontaminate", "benchmark": {"path": "b.jsonl"}}
        result = make_corpus("a.jsonl", steps=[step], output={"schema": "messages"})
        assert result.rows.height == 1
        assert dict(result.report.ledger["steps[0]"].dropped) == {"contaminated": 1}


@pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.zst"])
def test_a_corpus_is_a_source(
    make_corpus: MakeCorpus, written: Callable[..., Any], tmp_path: Path, schema: str, format: str
) -> None:
    """Whatever the schema and the files, the same conversations come out again."""
    turns = [ASKED | {"weight": 0, "mood": None}, CALLED, TOLD, ANSWERED | {"thinking": "0"}]
    output = {"schema": schema, "format": format}
    written({"messages": turns, "tools": [TOOL]}, {"messages": [ASKED, ANSWERED]}, output=output)
    (tmp_path / "corpus").rename(tmp_path / "first")
    again = make_corpus(f"first/data/*.{format}", output={"format": "jsonl", "schema": "messages"})
    (file,) = (again.report.folder / "data").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    del turns[0]["mood"]
    assert [row["messages"] for row in rows] == [turns, [ASKED, ANSWERED]]
    assert [row["tools"] for row in rows] == [[TOOL], None]
