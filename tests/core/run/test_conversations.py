"""What stands beside the turns of conversations, and what steps do with all that they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversations import ANSWERED, ASKED, CALL, CALLED, TOLD, TOOL, USED, Row, calling, say

MakeCorpus = Callable[..., Any]


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
