from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from datachef.core import RecipeError, RunError, UnavailableError

MakeCorpus = Callable[..., Any]

FORMATS = ["parquet", "jsonl", "jsonl.zst"]
SCHEMAS = ["text", "messages", "prompt_completion"]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[[Path], Any]]:
    """Loads a folder as a user of `datasets` does."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    yield lambda folder: datasets.load_dataset(
        str(folder), split="train", cache_dir=str(tmp_path / "datasets")
    )
    datasets.enable_progress_bars()


@pytest.fixture
def chats(tmp_path: Path) -> str:
    """Conversations of one question and one answer, of which only late ones have a topic."""
    rows = [
        {"prompt": f"question {n} ü", "completion": f"answer {n}", "n": n, "topic": None}
        for n in range(200)
    ]
    for row in rows[100:]:
        row["topic"] = "late"
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return "chats.jsonl"


class TestFiles:
    @pytest.mark.parametrize("format", FORMATS)
    @pytest.mark.parametrize("schema", SCHEMAS)
    def test_several_files_that_datasets_loads(
        self,
        make_corpus: MakeCorpus,
        load: Callable[[Path], Any],
        chats: str,
        monkeypatch: pytest.MonkeyPatch,
        format: str,
        schema: str,
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 2000)
        output = {
            "format": format,
            "schema": schema,
            "columns": ["n", "topic"],
            "shard_bytes": 5000,
        }
        result = make_corpus(chats, output=output)
        names = sorted(path.name for path in (result.report.folder / "data").iterdir())
        assert len(names) > 2
        assert names == [f"train-{n:05d}-of-{len(names):05d}.{format}" for n in range(len(names))]
        loaded = load(result.report.folder)
        content = {
            "text": ["text"],
            "messages": ["messages"],
            "prompt_completion": ["prompt", "completion"],
        }
        assert loaded.column_names == ["id", "source", *content[schema], "n", "topic"]
        assert loaded["n"] == list(range(200))
        last = {
            "text": {"text": "question 199 ü\n\nanswer 199"},
            "messages": {
                "messages": [
                    {"role": "user", "content": "question 199 ü"},
                    {"role": "assistant", "content": "answer 199"},
                ]
            },
            "prompt_completion": {
                "prompt": [{"role": "user", "content": "question 199 ü"}],
                "completion": [{"role": "assistant", "content": "answer 199"}],
            },
        }
        assert {key: loaded[-1][key] for key in content[schema]} == last[schema]

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_column_that_is_null_in_whole_files(
        self,
        make_corpus: MakeCorpus,
        load: Callable[[Path], Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        format: str,
    ) -> None:
        """Sources that lack a column come before and after one that has it."""
        with_column = [{"text": f"b{n}", "url": f"u{n}", "stars": n / 2} for n in range(50)]
        without = [{"text": f"a{n}"} for n in range(50)]
        for name, rows in {"a": without, "b": with_column, "c": without}.items():
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        result = make_corpus(
            {name: {"path": f"{name}.jsonl"} for name in "abc"},
            output={"format": format, "columns": ["url", "stars"], "shard_bytes": 1000},
        )
        loaded = load(result.report.folder)
        assert loaded.features["url"].dtype in ("string", "large_string")
        assert loaded.features["stars"].dtype == "float64"
        assert loaded["url"] == [None] * 50 + [f"u{n}" for n in range(50)] + [None] * 50

    def test_the_same_files_for_any_number_of_workers(
        self, make_corpus: MakeCorpus, chats: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 2000)
        output = {"shard_bytes": 5000}
        inline = make_corpus(chats, output=output).manifest
        assert make_corpus(chats, output=output, engine="local").manifest == inline


class TestColumns:
    @pytest.mark.parametrize("column", ["id", "source", "text", "messages", "n"])
    @pytest.mark.parametrize("schema", SCHEMAS)
    def test_more_columns(
        self, make_corpus: MakeCorpus, chats: str, schema: str, column: str
    ) -> None:
        rows = make_corpus(chats, output={"schema": schema, "columns": [column, column]}).rows
        assert column in rows.columns
        assert rows[column].null_count() == 0

    @pytest.mark.parametrize("schema", SCHEMAS)
    def test_tokens_on_request(self, make_corpus: MakeCorpus, chats: str, schema: str) -> None:
        result = make_corpus(chats, output={"schema": schema, "columns": ["tokens"]})
        assert result.rows["tokens"].sum() == result.report.tokens > 0

    def test_a_field_of_a_source_does_not_take_the_place_of_the_content(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        row = {"q": "question", "a": "answer", "prompt": "other"}
        (tmp_path / "a.jsonl").write_text(json.dumps(row))
        source = {"path": "a.jsonl", "format": {"prompt": "q", "completion": "a"}}
        output = {"schema": "prompt_completion", "columns": ["prompt"]}
        turn = {"role": "user", "content": "question"}
        assert make_corpus({"s": source}, output=output).rows["prompt"].to_list() == [[turn]]


def chat(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": f"{role} {n}"} for n, role in enumerate(roles)]


def test_questions_without_an_answer_are_no_fault_of_a_server(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": chat("user")}))
    sources = {"s": {"path": "a.jsonl", "max_failed": 1.0}}
    with pytest.raises(RunError, match="unanswered 1") as caught:
        make_corpus(sources, output={"schema": "messages"})
    assert not isinstance(caught.value, UnavailableError)


class TestPromptCompletion:
    FIT = (
        ("user", "assistant"),
        ("system", "user", "assistant"),
        ("user", "assistant", "user", "assistant"),
        ("user", "user", "assistant"),
    )
    UNFIT: ClassVar = {
        "unanswered": ("system", "user"),
        "answer_is_not_last": ("user", "assistant", "user"),
        "no_prompt": ("assistant",),
    }

    @pytest.fixture
    def mixed(self, tmp_path: Path) -> dict[str, Any]:
        """Conversations that fit and that do not, and a document."""
        chats = [chat(*roles) for roles in (*self.FIT, *self.UNFIT.values())]
        rows = [json.dumps({"messages": turns}) for turns in chats]
        (tmp_path / "a.jsonl").write_text("\n".join(rows))
        return {"s": {"path": "a.jsonl", "max_failed": 0.5}}

    def test_all_before_the_last_answer_and_the_answer(
        self, make_corpus: MakeCorpus, mixed: dict[str, Any]
    ) -> None:
        result = make_corpus(mixed, output={"schema": "prompt_completion"})
        written = result.rows.select("prompt", "completion").rows()
        assert written == [(chat(*r)[:-1], chat(*r)[-1:]) for r in self.FIT]
        assert result.rows.columns == ["id", "source", "prompt", "completion"]
        assert dict(result.report.ledger["output"].failed) == dict.fromkeys(self.UNFIT, 1)

    def test_two_texts_with_a_separator(
        self, make_corpus: MakeCorpus, mixed: dict[str, Any]
    ) -> None:
        result = make_corpus(mixed, output={"schema": "prompt_completion", "separator": "\n### "})
        assert result.rows.select("prompt", "completion").rows() == [
            ("user 0\n### ", "assistant 1"),
            ("system 0\n### user 1\n### ", "assistant 2"),
            ("user 0\n### assistant 1\n### user 2\n### ", "assistant 3"),
            ("user 0\n### user 1\n### ", "assistant 2"),
        ]

    @pytest.mark.parametrize("schema", ["text", "messages", None])
    def test_a_separator_of_another_schema_is_a_problem(
        self, make_corpus: MakeCorpus, mixed: dict[str, Any], schema: str | None
    ) -> None:
        with pytest.raises(
            RecipeError, match=r"separator is used only with schema: prompt_completion"
        ):
            make_corpus(mixed, output={"schema": schema, "separator": "\n"})


class TestCard:
    def test_front_matter_and_hostile_words(
        self, make_corpus: MakeCorpus, tmp_path: Path, load: Callable[[Path], Any]
    ) -> None:
        hostile = "<img src=x onerror=alert(1)> | a\n---\n[link](javascript:x) # `x`"
        (tmp_path / "a.jsonl").write_text('{"text": "a"}')
        source = {"path": "a.jsonl", "description": hostile, "licence": hostile}
        folder = make_corpus({"s": source}, description=hostile).report.folder
        card = (folder / "README.md").read_text(encoding="utf-8")
        front = yaml.safe_load(card.split("---\n")[1])
        assert front["configs"][0]["data_files"][0]["split"] == "train"
        body = card.split("---\n", 2)[2]
        assert "<img" not in body
        assert "[link]" not in body
        assert "`x`" not in body
        assert "\n---\n" not in body
        assert load(folder).num_rows == 1


class TestFolder:
    def test_a_corpus_is_replaced(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "a"}')
        make_corpus("a.jsonl")
        (tmp_path / "a.jsonl").write_text('{"text": "other"}')
        assert make_corpus("a.jsonl").rows["text"].to_list() == ["other"]
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"a.jsonl", "recipe.yaml", "corpus", "cache"}

    @pytest.mark.parametrize("name", ["thesis.tex", "manifest.json"])
    def test_a_folder_that_is_no_corpus_is_left_alone(
        self, make_corpus: MakeCorpus, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "a"}')
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus" / name).write_text('{"manifest_version": 3, "name": "a web app"}')
        with pytest.raises(RunError, match="is not a corpus"):
            make_corpus("a.jsonl")
        assert [path.name for path in (tmp_path / "corpus").iterdir()] == [name]

    def test_a_file_is_left_alone(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "a"}')
        (tmp_path / "corpus").write_text("precious")
        with pytest.raises(RunError):
            make_corpus("a.jsonl")
        assert (tmp_path / "corpus").read_text() == "precious"
