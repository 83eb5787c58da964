"""Real sources, as dirty as published: what can be read is read, the rest is accounted for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import RecipeError

MakeCorpus = Callable[..., Any]

TASKS = [
    "math_gsm8k", "math_svamp", "math_mc_aqua", "code_mbpp", "code_humaneval", "code_leetcode",
    "science_arc", "commonsense_csqa", "commonsense_strategyqa", "reasoning_logical_deduction",
    "finance_sentiment", "physics_scibench", "language_cola", "multilingual_xcopa",
]  # fmt: skip


def count(file: Path) -> int:
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return sum(1 for line in raw.split(b"\n") if line.strip())


# Where content is nested, `tasks.json` names the field that holds it.
CONVERSATIONS = {"conversations": "conversations"}
QUESTION = {"prompt": "question.stem", "completion": "answerKey"}
FIRST_ANSWER = {"prompt": "question", "completion": "answer.0"}
NESTED: dict[str, Any] = {
    "cmrc2018_zh": {"prompt": "{context} {question}", "completion": "answers.0"},
    "csqa_train": QUESTION,
    "dolphin_number": {"prompt": "text", "completion": "equations.1"},
    "fiqasa_train": CONVERSATIONS,
    "gold_headlines": CONVERSATIONS,
    "riddlesense_train": QUESTION,
    "scieval_dynamic_phy": FIRST_ANSWER,
    "scieval_valid": FIRST_ANSWER,
    "stock_tweets_cikm18": CONVERSATIONS,
}
FAILED = {"mbxp_js": {"missing_field": 28}, "theoremqa": {"schema_mismatch": 73}}


def format_of(source: dict[str, Any]) -> Any:
    if source["prompt"]:
        usual = {"prompt": source["prompt"], "completion": source["response"]}
        return NESTED.get(source["name"], usual)
    return {"text": source["text"]}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_source_of_the_pools_can_be_read(
    make_corpus: MakeCorpus, shared_data: Path, task: str
) -> None:
    tasks = json.loads((shared_data / "tasks.json").read_text())
    (pool,) = [entry["pool"] for entry in tasks if entry["name"] == task]
    sources = {
        source["name"]: {"path": str(shared_data / source["file"]), "format": format_of(source)}
        for source in pool
    }
    result = make_corpus(sources, output={"schema": "text", "columns": ["messages"]})
    for source in pool:
        entry = result.report.ledger[f"sources.{source['name']}"]
        assert entry.rows_in == count(shared_data / source["file"])
        assert dict(entry.failed) == FAILED.get(source["name"], {})
    roles = result.rows["messages"].drop_nulls().explode().struct.field("role")
    assert set(roles) <= {"system", "user", "assistant"}


CORPORA = {
    "noise/bad_words.jsonl": None,
    "noise/clickbait_headlines.jsonl.gz": None,
    "noise/fakenews_corpus_sample.jsonl.gz": None,
    "noise/machine_text.jsonl.gz": None,
    "noise/naughty_strings.jsonl": None,
    "noise/raw_html_pages.jsonl.gz": {"text": "html"},
    "noise/sms_spam.jsonl.gz": None,
    "noise/spamassassin_spam.jsonl.gz": None,
    "noise/system_logs.jsonl.gz": None,
    "noise/toxicity_madlibs.jsonl.gz": {"text": "Text"},
    "multilingual/bible_verses.jsonl.gz": None,
    "multilingual/cmrc2018_zh.jsonl.gz": {"text": "{context} {question}"},
    "multilingual/masakhanews.jsonl.gz": {"text": "{headline} {text}"},
    "multilingual/ruby_site_pages.jsonl.gz": None,
    "multilingual/tldr_pages.jsonl.gz": None,
    "multilingual/udhr.jsonl.gz": None,
    "multilingual/xquad.jsonl.gz": None,
}


@pytest.mark.parametrize("name", CORPORA)
def test_noise_and_languages_come_through_whole(
    make_corpus: MakeCorpus, shared_data: Path, name: str
) -> None:
    source = {"path": str(shared_data / name), "max_failed": 0}
    if CORPORA[name]:
        source["format"] = CORPORA[name]
    result = make_corpus({"s": source})
    assert result.report.rows == count(shared_data / name)
    key = "messages" if "messages" in result.rows.columns else "text"
    assert result.rows[key].null_count() == 0


INSTRUCTION = {"format": {"text": "instruction"}}
RAW: dict[str, tuple[dict[str, Any], set[str]]] = {
    "climate_tweet_ids_semicolon.csv": ({"format": {"text": ";tweetid;stance;sent"}}, set()),
    "fpb_latin1_at_separated.txt": ({"rows": "line"}, {"not_utf8"}),
    "instructionwild_user_1.jsonl": (INSTRUCTION, set()),
    "instructionwild_user_2.jsonl": (INSTRUCTION, {"not_json"}),
    "instructionwild_user_3.jsonl": (INSTRUCTION, {"not_json"}),
    "sms_spam_latin1.csv": ({"format": {"text": "v2"}}, {"not_utf8"}),
    "mctaco_headerless.tsv": ({"format": {"text": "Stationarity"}}, set()),
}


@pytest.mark.parametrize("name", RAW)
def test_files_as_they_were_found(make_corpus: MakeCorpus, shared_data: Path, name: str) -> None:
    options, reasons = RAW[name]
    file = shared_data / "noise" / "raw" / name
    result = make_corpus(
        {"s": {"path": str(file), "max_failed": 0.2, **options}}, rejects={"keep": "all"}
    )
    entry = result.report.ledger["sources.s"]
    assert set(entry.failed) == reasons
    raw = file.read_bytes().split(b"\n")
    for row in result.rejects.filter(reason="not_utf8").iter_rows(named=True):
        with pytest.raises(UnicodeDecodeError):
            raw[row["line"] - 1].decode()


@pytest.mark.parametrize("name", ["SVAMP_array.json", "geography_nested.json", "ASDiv.xml"])
def test_what_is_no_table_of_rows_is_refused(
    make_corpus: MakeCorpus, shared_data: Path, name: str
) -> None:
    with pytest.raises(RecipeError):
        make_corpus({"s": {"path": str(shared_data / "noise" / "raw" / name)}})
