"""Tokens are those that training sees, by whatever name the tokenizer is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import DatachefError, Host, check_recipe
from datachef.core.language_models.tokens import TokenCounter, find_tokenizer

MakeCorpus = Callable[..., Any]

TEMPLATE = (
    "{% if tools %}tools {{ tools | tojson }} {% endif %}"
    "{% for m in messages %}{% if m.role == 'robot' %}{{ raise_exception('no robots') }}{% endif %}"
    "<s> {{ m.role }} {{ m.content }} </s> {% endfor %}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer of words, with a chat template, that was saved while it cut and padded."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    unknown = {"unk_token": "?"}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "<pad>": 1}, **unknown))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.enable_truncation(3)
    words.enable_padding(length=40)
    saved = transformers.PreTrainedTokenizerFast(tokenizer_object=words, **unknown)
    saved.chat_template = TEMPLATE
    saved.save_pretrained(tmp_path / "tokenizer")
    words.save(str(tmp_path / "alone.json"))
    return tmp_path / "tokenizer"


@pytest.fixture
def chats(tmp_path: Path) -> str:
    rows = [[("user", "one two three"), ("assistant", "four")]] * 10
    lines = [
        json.dumps({"messages": [{"role": role, "content": text} for role, text in row]})
        for row in rows
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(lines))
    return "chats.jsonl"


@pytest.mark.parametrize(
    ("tokenizer", "schema", "tokens"),
    [
        ("tokenizer", "messages", 10 * (6 + 4)),
        ("tokenizer/tokenizer.json", "messages", 10 * (6 + 4)),
        ("tokenizer", "prompt_completion", 10 * (6 + 4)),
        ("tokenizer", "text", 10 * 4),
        ("alone.json", "messages", 10 * 4),
    ],
)
def test_rows_are_counted_as_they_are_trained_on(
    make_corpus: MakeCorpus, folder: Path, chats: str, tokenizer: str, schema: str, tokens: int
) -> None:
    result = make_corpus(
        chats, tokenizer=tokenizer, output={"schema": schema, "columns": ["tokens"]}
    )
    assert result.report.ledger["sources.s"].tokens == tokens
    assert result.report.ledger["output"].tokens == result.report.tokens == tokens
    assert result.rows["tokens"].to_list() == [tokens // 10] * 10
    assert result.manifest["shares"][0]["tokens"] == tokens
    assert f"10 rows, {tokens:,} tokens" in (result.report.folder / "README.md").read_text()
    codes = [problem.code for problem in result.report.warnings]
    assert codes == (["no_chat_template"] if tokenizer == "alone.json" else [])


def test_a_budget_counts_what_the_ledger_counts(
    make_corpus: MakeCorpus, folder: Path, chats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,mixing")
    mix = {"op": "weighted_mix", "budget": {"tokens": 50}}
    report = make_corpus(chats, tokenizer="tokenizer", mix=mix).report
    assert (report.rows, report.tokens) == (5, 50)


def test_tools_count_and_what_the_template_refuses_is_counted_as_text(folder: Path) -> None:
    from datachef.core import turns_column

    told = [{"role": "user", "content": "a b"}]
    rows = pl.DataFrame(
        {
            "text": ["a b", "a b", "plain words here"],
            "messages": turns_column([told, [{"role": "robot", "content": "a b"}], None]),
            "tools": ['[{"name": "f"}]', None, None],
        }
    )
    counter = TokenCounter(str(folder), chat=True)
    assert counter.count_rows(rows).to_list() == [1 + 2 + 5, 2, 3]
    assert counter.count_rows(rows.drop("tools")).to_list() == [5, 2, 3]


def test_every_token_counts_though_the_file_says_to_cut_and_pad(folder: Path) -> None:
    for path in (folder, folder.parent / "alone.json"):
        counted = TokenCounter(str(path)).count(pl.Series(["a b c d e", ""]))
        assert counted.to_list() == [5, 0]


def test_another_tokenizer_under_the_same_name_counts_anew(
    make_corpus: MakeCorpus, folder: Path, chats: str
) -> None:
    assert make_corpus(chats, tokenizer="tokenizer").report.tokens == 100
    template = folder / "chat_template.jinja"
    template.write_text(TEMPLATE.replace("<s>", "<s> <s>"))
    assert make_corpus(chats, tokenizer="tokenizer").report.tokens == 120


@pytest.mark.parametrize("name", ["gone.json", "gone", "./org/name", "empty"])
def test_what_is_no_tokenizer_is_a_problem(tmp_path: Path, chats: str, name: str) -> None:
    (tmp_path / "empty").mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: t\nsources:\n  s: {{path: {chats}}}\ntokenizer: {name}\n")
    (problem,) = check_recipe(recipe, Host(only={"sources"})).problems
    assert (problem.code, problem.path) == ("no_file", "tokenizer")
    assert "tokenizer.json" in problem.hint


def test_an_id_on_the_hub(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[str] = []

    def download(name: str, **options: Any) -> str:
        asked.append(name)
        assert "tokenizer.json" in options["allow_patterns"]
        if name == "org/gone":
            raise OSError("no such repository")
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "huggingface.co")
    found = find_tokenizer("org/model", tmp_path / "org/model")
    assert (found.path, found.template) == (str(folder), True)
    assert str(folder / "tokenizer.json") in found.files()
    with pytest.raises(DatachefError, match="nor on the Hub: no such repository"):
        find_tokenizer("org/gone", tmp_path / "org/gone")
    with pytest.raises(DatachefError):
        find_tokenizer("../model", tmp_path / "../model")
    assert asked == ["org/model", "org/gone"]
