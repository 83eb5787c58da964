"""Test items are recognised in any dress, and what only resembles them is left alone."""

from __future__ import annotations

import gzip
import json
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from datachef.core import BenchmarkFile, DatachefError, Task, read_benchmark
from datachef.core.contracts.task import LMEvalBenchmark
from datachef.core.run.signals import decide, measure
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


ARABIC = "كم عدد التفاحات التي بقيت مع أحمد بعد أن أعطى أخته ثلاث تفاحات من سلته؟"
VOWELLED = "كَمْ عَدَدُ التُّفَّاحَاتِ الَّتِي بَقِيَتْ مَعَ أَحْمَدَ بَعْدَ أَنْ أَعْطَى أُخْتَهُ ثَلَاثَ تُفَّاحَاتٍ مِنْ سَلَّتِهِ؟"
HEBREW = "כמה תפוחים נשארו לילד אחרי שנתן שלושה תפוחים לאחותו הקטנה בגנה של הסבתא?"
POINTED = "כַּמָּה תַּפּוּחִים נִשְׁאֲרוּ לַיֶּלֶד אַחֲרֵי שֶׁנָּתַן שְׁלוֹשָׁה תַּפּוּחִים לַאֲחוֹתוֹ הַקְּטַנָּה בַּגִּנָּה שֶׁל הַסָּבְתָא?"
FRENCH = (
    "Combien de crêpes a-t-elle préparées à Noël pour l’école où étudie son frère aîné Étienne?"
)
THAI = "วันนี้แม่ซื้อส้มมาสิบผลแล้วให้น้องไปสามผลแม่เหลือส้มกี่ผล"
JAPANESE = "太郎くんはリンゴを１２個持っていて、花子さんに５個あげました。残りはいくつですか？"
CHINESE = "小明有12个苹果，他给了小红5个，请问小明现在还剩下几个苹果？"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (ARABIC, VOWELLED),
        (VOWELLED, ARABIC),
        (ARABIC, ARABIC.replace("كم", "كـــم").replace("التي", "الــتي")),
        (HEBREW, POINTED),
        (POINTED, HEBREW),
        (FRENCH, unicodedata.normalize("NFD", FRENCH)),
        (unicodedata.normalize("NFD", FRENCH), FRENCH),
        (FRENCH, FRENCH.replace("’", "'")),
        (FRENCH, FRENCH.replace("’", "´").upper()),
        (FRENCH, unicodedata.normalize("NFD", FRENCH).encode("ascii", "ignore").decode()),
        (FRENCH, FRENCH.replace("préparées", "prépa\u00adrées").replace("Noël", "\u2066Noël")),
        (THAI, "\u200b".join(THAI)),
        (THAI, f"ครูถามว่า {THAI} ใครตอบได้บ้าง"),
        (JAPANESE, unicodedata.normalize("NFKC", JAPANESE)),
        (JAPANESE, unicodedata.normalize("NFD", JAPANESE)),
        (JAPANESE, f"問題：{JAPANESE}（答えは七個です。）"),
        (CHINESE, " ".join(CHINESE)),
        (CHINESE, CHINESE.translate({c: c + 0xFEE0 for c in range(0x30, 0x3A)})),
        (CHINESE, f"请回答下面的问题。{CHINESE}谢谢！"),
        ("Все ещё помнят, сколько ёлок стоит на каждой улице этого города?",
         "Все еще помнят, сколько елок стоит на каждой улице этого города?"),
    ],
)  # fmt: skip
def test_an_item_is_recognised_in_any_form_of_its_script(
    tmp_path: Path, item: str, text: str
) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"prompt": item, "answer": ""}))
    operator = Decontaminate(benchmark=BenchmarkFile(path=str(path)))
    assert reasons(operator, text, "Something else that has nothing to do with any of it.") == [
        "contaminated",
        None,
    ]


TINY = [
    ("Fido barks.", "yes"),
    ("Protect you.", "no"),
    ("Welcome!", "neutral"),
    ("He left early.", ""),
    ("🙂🙃", "good"),
]


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("Fido barks.", 1),
        ("fido BARKS", 1),
        ("Sentence: Fido barks.\n\nyes", 1),
        ("1. Fido barks.\n2. Nobody came to the party.", 1),
        ("Is it right?\n\nProtect you. -> no", 2),
        ("Welcome!", 3),
        ("Text: Welcome! neutral", 3),
        ("He left early.", 4),
        ("And then:\nHe left early!", 4),
        ("🙂🙃", 5),
        ("🙂 🙃", 5),
    ],
)
def test_items_of_few_words_are_found_where_they_stand_alone(
    tmp_path: Path, text: str, item: int
) -> None:
    operator = Decontaminate(benchmark=written(tmp_path / "tiny.jsonl", TINY))
    assert reasons(operator, text) == ["contaminated"]
    [detail] = operator.details(pl.DataFrame({"text": [text]}))
    assert detail == f"100% of tiny.jsonl, item {item}: {TINY[item - 1][0]}"


@pytest.mark.parametrize(
    "text",
    [
        "My dog Fido barks at night, and nobody sleeps.",
        "Welcome!\nThis is the page of our village.",
        "Then he left early in the morning.",
        "A smile 🙂 and another one 🙃",
    ],
)
def test_items_of_few_words_are_not_found_amid_others(tmp_path: Path, text: str) -> None:
    operator = Decontaminate(benchmark=written(tmp_path / "tiny.jsonl", TINY))
    assert reasons(operator, text) == [None]


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("café au lait", "coffee with hot milk"),
        ("Name the capital", "Wien"),
        ("Who wrote Faust anyway?", "Johann Wolfgang von Goethe in Weimar"),
        ("How many legs has a spider?", "eight of them, four on either side"),
    ],
)
def test_a_short_item_stands_alone_without_its_answer(
    tmp_path: Path, prompt: str, answer: str
) -> None:
    operator = Decontaminate(benchmark=written(tmp_path / "short.jsonl", [(prompt, answer)]))
    texts = [prompt, f"An order:\n{prompt.upper()}\nThanks.", f"Q: {prompt}", f"So {prompt} is it."]
    assert reasons(operator, *texts) == ["contaminated"] * 3 + [None]


def written(path: Path, items: list[tuple[str, str]]) -> BenchmarkFile:
    lines = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in items]
    path.write_text("\n".join(lines))
    return BenchmarkFile(path=str(path))


def test_items_that_are_all_template_are_found_whole(tmp_path: Path) -> None:
    prompts = [
        ("Is the following statement true or false?", "yes" if i % 2 else "no") for i in range(9)
    ]
    operator = Decontaminate(benchmark=written(tmp_path / "same.jsonl", prompts))
    assert reasons(
        operator,
        "Is the following statement true or false?",
        "Is the following statement true or false?\n\nWater boils at a hundred degrees.",
    ) == ["contaminated", None]


@pytest.mark.parametrize("name", ["cola", "fpb", "svamp", "xcopa"])
def test_every_item_of_a_real_benchmark_is_found_in_itself(shared_data: Path, name: str) -> None:
    [path] = (shared_data / "bench").glob(f"{name}.test.jsonl*")
    benchmark = BenchmarkFile(path=str(path))
    items = read_benchmark(benchmark)
    operator = Decontaminate(benchmark=benchmark)
    texts = [f"{item.prompt}\n\n{item.answer}" for item in items]
    assert set(reasons(operator, *texts)) == {"contaminated"}


def test_a_rejected_row_says_which_item_it_holds(make_corpus: Any, tmp_path: Path) -> None:
    benchmark = written(tmp_path / "test.jsonl", ITEMS)
    rows = [
        LONG,
        "Nothing of the kind is in here.",
        f"So: {MIDDLE} Carbon dioxide, oxygen, helium.",
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(json.dumps({"text": text, "detail": "mine"}) for text in rows))
    plugin = tmp_path / "guards.py"
    plugin.write_text(
        "from datachef.core import hookimpl\n"
        "from datachef.operators.dedup.decontaminate import Decontaminate\n"
        "@hookimpl\ndef datachef_operators():\n    return [Decontaminate]\n"
    )
    step = {"op": "decontaminate", "benchmark": {"path": benchmark.path}}
    made = make_corpus(str(source), steps=[step], plugins=[plugin])
    first, second = made.rejects["detail"].to_list()
    assert first.startswith("100% of test.jsonl, item 1: Question: A baker fills 36 trays")
    assert second.startswith("100% of test.jsonl, item 2: Question: Which gas do green plants")
