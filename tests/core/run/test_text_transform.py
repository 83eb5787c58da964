from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import turns_of
from datachef.core.contracts.transform import rewrite_text
from datachef.core.text.conversations import MESSAGES, SEPARATOR

MakeCorpus = Callable[..., Any]

PLUGIN = '''
from typing import Literal
import polars as pl
from datachef.core import TextTransform, hookimpl

class Redact(TextTransform):
    """Replaces secrets."""
    op: Literal["redact"] = "redact"

    def rewrite(self, text: pl.Series) -> pl.Series:
        return text.str.replace_all(r"\\S+@\\S+", "[MAIL]").str.replace_all("drop", "")

@hookimpl
def datachef_operators():
    return [Redact]
'''
ADDRESS = "jo@example.org"

words = st.text(st.sampled_from("ab \n~ü"), max_size=6)
conversations = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": words}),
    min_size=1,
    max_size=4,
)


def mangled(text: str) -> str:
    """What `mangle` does, for one string: takes some letters away, doubles others."""
    return text.replace("a", "").replace("b", "bb")


def mangle(text: pl.Series) -> pl.Series:
    return text.str.replace_all("a", "").str.replace_all("b", "bb")


def expected(content: Any) -> tuple[Any, str]:
    if isinstance(content, str):
        return None, mangled(content)
    chat = [turn | {"content": mangled(turn["content"])} for turn in content]
    return chat, SEPARATOR.join(turn["content"] for turn in chat)


def answered(content: Any) -> bool:
    """Whether the assistant says something in a conversation."""
    return isinstance(content, list) and any(
        turn["role"] == "assistant" and turn["content"].strip() for turn in content
    )


class TestRewriting:
    @given(st.lists(conversations | words, max_size=8))
    def test_every_turn_and_every_document_in_its_place(self, contents: list[Any]) -> None:
        chats = [None if isinstance(content, str) else content for content in contents]
        texts = [content if isinstance(content, str) else "stale" for content in contents]
        batch = pl.DataFrame(
            {
                "id": pl.Series([str(n) for n in range(len(contents))], dtype=pl.String),
                "text": pl.Series(texts, dtype=pl.String),
                "messages": pl.Series(chats, dtype=MESSAGES),
                # Names that an implementation might want for itself.
                "row": pl.Series([*range(len(contents))], dtype=pl.Int64),
                "_row": pl.Series([*range(len(contents))], dtype=pl.Int64),
                "role": pl.Series(["mine"] * len(contents), dtype=pl.String),
                "content": pl.Series(["mine"] * len(contents), dtype=pl.String),
            }
        )
        left = [
            (str(n), *expected(content), n, n, "mine", "mine")
            for n, content in enumerate(contents)
            if expected(content)[1].strip() and answered(content) == answered(expected(content)[0])
        ]
        order = ["id", "messages", "text", "row", "_row", "role", "content"]
        rewritten = rewrite_text(batch, mangle).drop_nulls("text").select(order).rows()
        plain = [
            (id_, messages and turns_of(messages), *rest) for id_, messages, *rest in rewritten
        ]
        assert plain == left

    @given(st.lists(words, max_size=8))
    def test_documents_do_not_depend_on_the_company_of_chats(self, texts: list[str]) -> None:
        alone = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
        empty = pl.lit(None, MESSAGES).alias("messages")
        beside = rewrite_text(alone.with_columns(empty), mangle)
        assert rewrite_text(alone, mangle)["text"].to_list() == beside["text"].to_list()

    @pytest.mark.parametrize("chat", [[], [{"role": "user", "content": None}]])
    def test_empty_conversations_are_dropped(self, chat: list[Any]) -> None:
        batch = pl.DataFrame({"text": ["stale"], "messages": pl.Series([chat], dtype=MESSAGES)})
        assert rewrite_text(batch, mangle)["text"].to_list() == [None]

    def test_a_conversation_that_loses_its_only_answer_is_dropped(self) -> None:
        def chat(*answers: str) -> list[dict[str, str]]:
            turns = [("user", "b"), *(("assistant", answer) for answer in answers)]
            return [{"role": role, "content": content} for role, content in turns]

        chats = [chat("a"), chat("a", "b"), chat(), chat("")]
        batch = pl.DataFrame({"text": ["stale"] * 4, "messages": pl.Series(chats, dtype=MESSAGES)})
        kept = rewrite_text(batch, mangle).drop_nulls("text")["messages"].list.len().to_list()
        assert kept == [3, 1, 2]


class TestInARun:
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Path:
        file = tmp_path / "redaction.py"
        file.write_text(PLUGIN)
        return file

    @pytest.fixture
    def sources(self, tmp_path: Path) -> dict[str, Any]:
        chats = [
            {"messages": [{"role": r, "content": f"{r} {n} <{ADDRESS}>"} for r in ("user", "gpt")]}
            for n in range(20)
        ]
        chats[7]["messages"] = [{"role": "user", "content": "drop"}]
        documents = [{"text": f"{n} {ADDRESS}"} for n in range(20)]
        for name, rows in {"chats": chats, "documents": documents}.items():
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return {"chats": {"path": "chats.jsonl"}, "documents": {"path": "documents.jsonl"}}

    @pytest.mark.parametrize("schema", ["messages", "prompt_completion", "text"])
    def test_nothing_redacted_is_left_in_any_schema(
        self, make_corpus: MakeCorpus, plugin: Path, sources: dict[str, Any], schema: str
    ) -> None:
        if schema != "text":
            del sources["documents"]
        result = make_corpus(
            sources, plugins=[plugin], steps=[{"op": "redact"}], output={"schema": schema}
        )
        assert ADDRESS not in result.rows.write_json()
        assert result.rows.height == (39 if schema == "text" else 19)
        assert "[MAIL]" in result.rows.write_json()
        entry = result.report.ledger["steps[0]"]
        assert dict(entry.dropped) == {"emptied": 1}

    def test_documents_and_chats_in_one_corpus(
        self, make_corpus: MakeCorpus, plugin: Path, sources: dict[str, Any]
    ) -> None:
        result = make_corpus(sources, plugins=[plugin], steps=[{"op": "redact"}])
        assert result.manifest["schema"] == "text"
        assert result.rows["text"][0] == "user 0 [MAIL]\n\ngpt 0 [MAIL]"
        assert result.rows["text"][-1] == "19 [MAIL]"
        assert dict(result.report.ledger["sources.chats"].failed) == {}

    def test_documents_do_not_fit_a_corpus_of_messages(
        self, make_corpus: MakeCorpus, plugin: Path, sources: dict[str, Any]
    ) -> None:
        from datachef.core import RecipeError

        with pytest.raises(RecipeError, match="rows of documents are plain text"):
            make_corpus(sources, plugins=[plugin], output={"schema": "messages"})
