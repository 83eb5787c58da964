"""Test items are recognised in any dress, and what only resembles them is left alone."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import orjson
import polars as pl
import pytest

from datachef.core.errors import DatachefError
from datachef.core.signals import decide, measure
from datachef.core.task import BenchmarkFile, LMEvalBenchmark, Task
from datachef.operators.dedup.decontaminate import Decontaminate

LONG = (
    "A baker fills 36 trays with rolls, and every tray holds 14 of them. She sells 27 dozen in "
    "the morning, and gives what is left to her four neighbours. How many does each of them get?"
)
MIDDLE = "Which gas do green plants take in when sunlight falls on their leaves?"
ITEMS = [
    (f"Question: {LONG}\nAnswer:", "45"),
    (f"Question: {MIDDLE}\nA. carbon dioxide\nB. oxygen\nC. helium\nAnswer:", "A"),
    ("Question: What blocks sunshine?\nA. summer\nB. desktop\nC. clouds\nAnswer:", "C"),
    ("Question: Who sleeps?\nA. a clock\nB. a hungry bear in winter\nC. rain\nAnswer:", "B"),
    ("Question: 谁在昨天晚上的雨里把那把红色的雨伞借给了住在隔壁的老人?\nAnswer:", "小王"),
]


@pytest.fixture
def benchmark(tmp_path: Path) -> BenchmarkFile:
    path = tmp_path / "test.jsonl"
    path.write_text(
        "\n".join(json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in ITEMS)
    )
    return BenchmarkFile(path=str(path))


def reasons(operator: Decontaminate, *texts: str | None) -> list[str | None]:
    batch = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return decide(operator, measure(operator, batch)).to_list()


DISGUISES = {
    "verbatim": lambda text: text,
    "lower": str.lower,
    "upper": str.upper,
    "double spaces": lambda text: text.replace(" ", "  "),
    "newlines": lambda text: text.replace(" ", "\n"),
    "tabs and hard spaces": lambda text: text.replace(" ", "\t\u00a0"),
    "zero width": "\u200b".join,
    "punctuation": lambda text: text.replace(",", "").replace(".", " .").replace("?", " ?!"),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "embedded": lambda text: f"I am stuck on this one. {text} Thanks in advance! (3 replies)",
    "markup": lambda text: "<p>" + text.replace(". ", ".</p><p>") + "</p>",
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_an_item_is_recognised_in_any_dress(benchmark: BenchmarkFile, disguise: str) -> None:
    dress = DISGUISES[disguise]
    operator = Decontaminate(benchmark=benchmark)
    texts = [
        LONG,
        f"{MIDDLE}\n(1) carbon dioxide (2) oxygen (3) helium",
        "What blocks sunshine? a) summer b) desktop c) clouds",
        "Who sleeps? a clock; a hungry bear in winter; rain",
        ITEMS[4][0].removeprefix("Question: ").removesuffix("\nAnswer:"),
    ]
    assert reasons(operator, *map(dress, texts)) == ["contaminated"] * len(texts)


def test_a_long_item_with_a_few_changed_words_is_still_the_item(benchmark: BenchmarkFile) -> None:
    changed = LONG.replace("baker", "cook").replace("her four", "six")
    assert reasons(Decontaminate(benchmark=benchmark), changed) == ["contaminated"]


def test_what_only_resembles_an_item_stays(benchmark: BenchmarkFile) -> None:
    texts = [
        "A baker fills 12 trays with bread, and every tray holds 9 loaves. How many does she bake?",
        "Which gas do green plants give off when the night falls on their leaves?",
        "What blocks sunshine? That is what I asked the gardener on a long walk.",
        "Question: Answer:",
        "",
        None,
    ]
    assert reasons(Decontaminate(benchmark=benchmark), *texts) == [None] * len(texts)


def test_the_share_decides(benchmark: BenchmarkFile) -> None:
    half = LONG[: len(LONG) // 2]
    assert reasons(Decontaminate(benchmark=benchmark), half) == [None]
    assert reasons(Decontaminate(benchmark=benchmark, min_share=0.3), half) == ["contaminated"]


def test_the_template_of_the_prompts_is_no_item(tmp_path: Path) -> None:
    head = "Read the following statement with care and say whether it is true or is false"
    path = tmp_path / "test.jsonl"
    prompts = [f"{head}:\nTown {i} is now the capital of county {i * i}" for i in range(20)]
    path.write_text("\n".join(json.dumps({"prompt": p, "answer": "yes"}) for p in prompts))
    operator = Decontaminate(benchmark=BenchmarkFile(path=str(path)))
    assert reasons(operator, f"{head}: Water boils at a hundred degrees.") == [None]


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "parquet", "csv"])
def test_benchmarks_are_read_in_several_formats(tmp_path: Path, suffix: str) -> None:
    import zstandard

    path = tmp_path / f"test.{suffix}"
    frame = pl.DataFrame({"q": [LONG], "a": ["45"]})
    raw = orjson.dumps({"q": LONG, "a": "45"})
    if suffix == "parquet":
        frame.write_parquet(path)
    elif suffix == "csv":
        frame.write_csv(path)
    else:
        pack = gzip.compress if suffix.endswith("gz") else zstandard.ZstdCompressor().compress
        path.write_bytes(pack(raw))
    benchmark = BenchmarkFile(path=str(path), prompt="q", answer="a")
    assert reasons(Decontaminate(benchmark=benchmark), LONG) == ["contaminated"]


def test_the_benchmark_comes_from_the_task(benchmark: BenchmarkFile) -> None:
    open_operator = Decontaminate()
    assert open_operator.files() == ()
    filled = open_operator.for_task(Task(name="t", benchmark=benchmark))
    assert filled.files() == (benchmark.path,)
    assert reasons(pickle.loads(pickle.dumps(filled)), LONG) == ["contaminated"]  # noqa: S301
    by_name = Task(name="t", benchmark=LMEvalBenchmark(lm_eval="gsm8k"))
    assert open_operator.for_task(by_name).benchmark is None
    with pytest.raises(DatachefError, match="no benchmark"):
        reasons(open_operator, LONG)


def test_an_unreadable_benchmark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    operator = Decontaminate(benchmark=BenchmarkFile(path=str(path)))
    with pytest.raises(DatachefError, match="cannot read the benchmark"):
        reasons(operator, LONG)
    path.write_text('{"question": "?"}')
    with pytest.raises(DatachefError, match="has no 'prompt'"):
        reasons(operator, LONG)
