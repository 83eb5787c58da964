"""An operator that swaps, loses, repeats or invents rows is named and stopped."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from one_step import StepRunner

from datachef.core import PluginError, RecipeError, run_recipe
from datachef.core.run import output as unique_ids


@pytest.fixture
def run(tmp_path: Path) -> StepRunner:
    return StepRunner(tmp_path)


def apply(body: str) -> str:
    return f"def apply(self, b, decision):\n    {body}"


def resolve(decision: str) -> str:
    return f"def resolve(self, summaries, _):\n    s = summaries.collect()\n    return {decision}"


LIES = [
    ("Transform", "def transform(self, b):\n    return b.with_columns(b['text'].reverse())",
     "makes something else of a row in another batch"),
    ("Transform", "def transform(self, b): return b.with_columns(b['id'].reverse())",
     "makes something else of a row"),
    ("TextTransform", "def rewrite(self, text): return text.reverse()", "makes something else"),
    ("TextTransform", "def rewrite(self, text): return text.sort(descending=True)",
     "makes something else of a row"),
    ("TextTransform", "def rewrite(self, text): return text + str(random.random())",
     "makes something else of a row"),
    ("TextTransform", "def rewrite(self, text): return text[:1]", "rewrite() gave 1 texts for 4"),
    ("TextTransform", "def rewrite(self, text): return list(text)", "rewrite() gave a list, not a"),
    ("TextTransform", "def rewrite(self, text): return (t for t in text)", "gave a generator, not"),
    ("TextTransform", "def rewrite(self, text): return None", "rewrite() gave None, not a polars"),
    ("TextTransform", "def rewrite(self, text): return text.str.len_chars()",
     "rewrite() gave UInt32, not String"),
    ("TextTransform", "def rewrite(self, text): return text.to_frame().lazy()", "gave a LazyFrame"),
    ("Transform", "def transform(self, b): return b.with_columns(pl.lit('z').alias('source'))",
     "changes the source of the row 'a/rows.jsonl:"),
    ("Transform", "def transform(self, b):\n    nothing = pl.lit(None, pl.String)\n"
                  "    return b.with_columns(nothing.alias('source'))", "changes the source of"),
    ("Transform", "def transform(self, b):\n    return b.with_columns(b['id'].str.to_uppercase())",
     "returned rows that it was not given"),
    ("Transform", "def transform(self, b): yield b", "transform() gave a generator, not a polars"),
    ("Transform", "def transform(self, b): return b\ndef process(self, b): return Outcome(b[:3])",
     "process() took 4 rows and tells of 3"),
    ("Transform", "def transform(self, b): return b\ndef process(self, b):\n"
                  "    return Outcome(pl.concat([b[:3], b[:1]]))", "process() gave the row"),
    ("Chooser", apply("return Outcome(b[:3], created=-1)"), "created -1 rows, not a number"),
    ("Chooser", apply("return Outcome(b, created=True)"), "created True rows, not a number"),
    ("Chooser", apply("return Outcome(b, created=0.0)"), "created 0.0 rows, not a number"),
    ("Chooser", apply("return Outcome(pl.concat([b[:3], b[:1]]))"), "gave the row"),
    ("Chooser", apply("return Outcome(pl.concat([b, b[:1]]), created=1)"), "more than once"),
    ("Chooser", apply("new = b[:1].with_columns(pl.col('id') + '.1')\n"
                      "    return Outcome(pl.concat([b[:3], new]), created=0)"), "is lost"),
    ("Chooser", apply("new = b[:1].with_columns(pl.col('id') + '~2')\n"
                      "    return Outcome(pl.concat([b[:2], new]), created=-1)"), "created -1"),
    ("Chooser", apply("new = b[3:].with_columns(pl.lit('invented').alias('id'))\n"
                      "    return Outcome(pl.concat([b, new]), created=1)"),
     "gave rows that it was not given (id 'invented')"),
    ("Chooser", apply("return Outcome(b[:3], b[:1].with_columns(pl.lit('bad').alias('reason')))"),
     "is lost"),
    ("Chooser", apply("return Outcome(b.with_columns(pl.lit('z').alias('source')))"),
     "changes the source of the row"),
    ("Chooser", apply("return Outcome(b.with_columns(b['text'].reverse()))"), "something else"),
    ("Chooser", resolve("s.select(id=pl.lit('nowhere'), reason=pl.lit('bad'))[:1]"),
     "resolve() decides on a row that is not there (id 'nowhere')"),
    ("Chooser", resolve("s.select('id', pl.lit(None, pl.String).alias('reason'))"),
     "resolve() gave no reason for the row"),
    ("Chooser", resolve("s.select('id', pl.lit('other').alias('reason'))[:1]"),
     "resolve() drops rows as 'other', which reasons() does not name"),
    ("Chooser", resolve("s.select(id=pl.lit(None, pl.String), reason=pl.lit('bad'))[:1]"),
     "resolve() decides on a row that is not there"),
    ("Mix", resolve("s.select('id', pl.lit(-1).alias('copies'))"), "gave copies that are no"),
    ("Mix", resolve("s.select('id', pl.lit(1.5).alias('copies'))"), "gave copies that are no"),
    ("Mix", resolve("s.select('id', pl.lit(None, pl.Int64).alias('copies'))"),
     "resolve() gave no copies for the row"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "body", "cause"), LIES)
def test_a_lie_about_rows_is_named_with_its_step(
    run: StepRunner, tmp_path: Path, base: str, body: str, cause: str
) -> None:
    with pytest.raises(PluginError) as raised:
        run(base, body)
    step = "mix" if base == "Mix" else "steps[0]"
    assert raised.value.message.startswith(f"{step} (x of {tmp_path / 'odd.py'}): ")
    assert cause in raised.value.message
    assert not (tmp_path / "out").exists()


HONEST = [
    ("Transform", "max_rows = None\ndef transform(self, b):\n    return pl.concat([b, b])", 8),
    ("Transform", "def transform(self, b): return b.sort('text', descending=True)", 4),
    ("Transform", "def transform(self, b): return b.filter(pl.col('text') != 'bb')[::-1]", 3),
    ("Chooser", apply("return Outcome(pl.concat([b, b.with_columns(pl.col('id') + '~2')]), created="
                      "b.height)"), 8),
    ("Chooser", apply("import numpy as np\n    n = np.full(1, b.height).sum()\n"
                      "    copies = b.with_columns(pl.col('id') + '~2')\n"
                      "    return Outcome(pl.concat([b, copies]), created=n)"), 8),
    ("Mix", "def reasons(self): return ('over_budget',)", 8),
]  # fmt: skip


# What a mix tells of its sources that is none: a method, what it gives, and what is said of it.
OF_SOURCES = [
    ("shares(self)", "[1]", r"shares\(\) gave the list \[1\], not a mapping of sources to numbers"),
    ("shares(self)", "{'a': float('nan')}", r"shares\(\) gave the float nan for the source 'a'"),
    ("asked(self, sizes)", "7", r"asked\(\) of x gave the int 7, not a mapping"),
    ("asked(self, sizes)", "{'a': 'all'}", r"asked\(\) of x gave the str 'all' for the source 'a'"),
    ("epochs(self, sizes)", "{'a': -1}", r"epochs\(\) of x gave the int -1 for the source 'a'"),
    ("epochs(self, sizes)", "{}", r"epochs\(\) of x says nothing of the source 'a'"),
    ("sizes(self, summaries, sources=())", "{'a': 4}", "the int 4 for the source 'a', .* no Size"),
]


@pytest.mark.parametrize(("method", "answer", "cause"), OF_SOURCES)
def test_what_a_mix_tells_of_sources_is_looked_at(
    run: StepRunner, method: str, answer: str, cause: str
) -> None:
    with pytest.raises((PluginError, RecipeError), match=cause):
        run("Mix", f"def {method}:\n    return {answer}")


@pytest.mark.parametrize("unit", ["'words'", "[]", "None"])
def test_a_mix_counts_tokens_or_rows(run: StepRunner, unit: str) -> None:
    with pytest.raises(RecipeError, match=r"unit\(\) is .*, not 'tokens' or 'rows'"):
        run("Mix", f"@property\ndef unit(self):\n    return {unit}")


@pytest.mark.parametrize(("base", "body", "rows"), HONEST)
def test_what_is_told_as_it_is_stays_allowed(
    run: StepRunner, tmp_path: Path, base: str, body: str, rows: int
) -> None:
    report = run(base, body)
    assert report.rows == rows
    written = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert written["id"].n_unique() == rows
    if base == "Transform" and rows <= 4:
        assert written["text"].to_list() == sorted(written["text"])


# A step that copies rows, with or without those that it copies, and steps after it.
COPIES = {
    "a mix": ("Mix", "def reasons(self): return ('over_budget',)"),
    "a copying step": (
        "Chooser",
        apply("copies = b.with_columns(pl.col('id') + '~2')\n"
              "    return Outcome(pl.concat([b, copies]), created=b.height)"),
    ),
    "a splitting step": (
        "Chooser",
        apply("return Outcome(pl.concat([b.with_columns(pl.col('id') + n) for n in ('.0', '.1')]),"
              " created=b.height)"),
    ),
}  # fmt: skip
AFTER = """
class Upper(TextTransform):
    "Upper."
    op: Literal["upper"] = "upper"
    def rewrite(self, text):
        return text.str.to_uppercase()

class Twice(Transform):
    "Makes two of each and drops rows as it likes, with a reason."
    op: Literal["twice"] = "twice"
    max_rows = 2
    def reasons(self):
        return ("short", "emptied")
    def transform(self, b):
        return pl.concat([b, b])
    def process(self, b):
        short = pl.col("text").str.len_bytes() < 2
        made = super().process(b.filter(~short))
        dropped = b.filter(short).with_columns(pl.lit("short").alias("reason"))
        return Outcome(made.rows, dropped, created=made.created)

class Still(Chooser):
    "Keeps all."
    op: Literal["still"] = "still"
    def resolve(self, summaries, context):
        return summaries.head(0).select("id", pl.lit("bad").alias("reason")).collect()

@hookimpl(specname="datachef_operators")
def more_operators():
    return [Upper, Twice, Still]
"""


@pytest.mark.parametrize("kind", COPIES)
def test_rows_that_were_copied_go_through_more_steps(
    run: StepRunner, tmp_path: Path, kind: str
) -> None:
    base, body = COPIES[kind]
    after = "{op: upper}, {op: twice}, {op: still}, {op: upper}, {op: twice}"
    report = run(base, body, more=AFTER, after=after)
    assert report.ledger["steps[0]" if base == "Mix" else "steps[1]"].rows_in == 8
    assert report.rows == 2 * 2 * 2 * 3
    written = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert written["id"].n_unique() == report.rows
    assert sorted(written["text"]) == sorted(["BB", "CCC", "DDDD"] * 8)
    assert sum(entry.dropped["short"] for entry in report.ledger) == 2


CALLED = """
def called():
    with open(CALLS, "a") as file:
        file.write("called\\n")
CALLS = """
PAID = {
    "Filter": "def signals(self): return {'n': self.n}\n"
              "def rules(self): return {}\n"
              "def n(self, b):\n"
              "    called()\n"
              "    return b['text'].str.len_chars()",
    "TextTransform": "def rewrite(self, text):\n    called()\n    return text",
}  # fmt: skip


@pytest.mark.parametrize("base", PAID)
def test_what_is_paid_for_is_asked_once(run: StepRunner, tmp_path: Path, base: str) -> None:
    for paid, calls in ((False, 3), (True, 1)):
        asked = tmp_path / str(paid)
        run(base, f"paid = {paid}\n{PAID[base]}", more=f"{CALLED}{str(asked)!r}\n")
        assert len(asked.read_text().splitlines()) == calls


SOURCE = """
class Twice(Source):
    "Gives rows one position."
    key = "twice"
    twice: str
    def partitions(self):
        return [Partition("u", str(n), 9, {"n": n}) for n in range(2)]
    def read(self, partition):
        yield RawRow(0, 0, 3, {"text": "same"})

@hookimpl
def datachef_sources():
    return [Twice]
"""


@pytest.mark.parametrize("order", ["source", "shuffled"])
@pytest.mark.parametrize("at_once", [1, 2**20])
def test_no_id_stands_twice_in_a_corpus(
    run: StepRunner, tmp_path: Path, order: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("TextTransform", "def rewrite(self, text): return text", more=SOURCE)
    monkeypatch.setattr(unique_ids, "AT_ONCE", at_once)
    (tmp_path / "twice.yaml").write_text(
        f"name: t\nsources: {{s: {{twice: x}}}}\noutput: {{order: {order}}}\n"
    )
    with pytest.raises(PluginError, match="two rows of the corpus have the id 's/u:0-"):
        run_recipe(
            tmp_path / "twice.yaml",
            tmp_path / "twice",
            host=run.host,
            engine="inline",
            cache=tmp_path / "cache",
        )
    assert not (tmp_path / "twice").exists()
