"""An empty corpus is none, a source that vanishes is told, failures are bounded at every step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import RecipeError, RunError

MakeCorpus = Callable[..., Any]

OPERATORS = '''
from typing import Literal
import polars as pl
from pydantic import Field
from datachef.core import Filter, TextTransform, hookimpl, threshold

class Longer(Filter):
    """Keeps long texts."""
    op: Literal["longer"] = "longer"
    least: int = threshold(1, ge=0, le=1000, description="Least.")

    def signals(self):
        return {"size": pl.col("text").str.len_chars()}

    def rules(self):
        return {"short": pl.col("size") < self.least}

class Erase(TextTransform):
    """Leaves nothing."""
    op: Literal["erase"] = "erase"

    def rewrite(self, text):
        return text.str.replace_all("(?s).", "")

class Fail(TextTransform):
    """Fails on texts with an x."""
    op: Literal["fail"] = "fail"

    def rewrite(self, text):
        if text.str.contains("x").any():
            raise ValueError("an x")
        return text

@hookimpl
def datachef_operators():
    return [Longer, Erase, Fail]
'''

SHORT, LONG = "a" * 10, "b" * 100


@pytest.fixture
def run(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs a recipe with the operators above on sources of the given texts."""
    (tmp_path / "operators.py").write_text(OPERATORS)
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,mixing,selection")

    def run(sources: dict[str, list[str]], own: dict[str, Any] | None = None, **recipe: Any) -> Any:
        described = {}
        for name, texts in sources.items():
            lines = [json.dumps({"text": text}) + "\n" for text in texts]
            (tmp_path / f"{name}.jsonl").write_text("".join(lines))
            described[name] = {"path": f"{name}.jsonl", **(own or {}).get(name, {})}
        return make_corpus(described, plugins=[tmp_path / "operators.py"], **recipe)

    return run


def warned(result: Any) -> dict[str, str]:
    codes = {problem.code: problem for problem in result.report.warnings}
    stated = {problem["code"]: problem for problem in result.manifest["warnings"]}
    card = (result.report.folder / "README.md").read_text()
    for code, problem in codes.items():
        assert stated[code]["message"] == problem.message
        assert stated[code]["severity"] == "warning"
        assert f"`{code}`" in card
    assert codes.keys() == stated.keys()
    return {code: problem.path for code, problem in codes.items()}


EMPTY: dict[str, tuple[dict[str, Any], str]] = {
    "filter on the corpus": (
        {"steps": [{"op": "longer", "least": 500}]},
        r"steps\[0\] \(longer\) drops all 20 rows: short 20",
    ),
    "transform that leaves no text": (
        {"steps": [{"op": "longer"}, {"op": "erase"}]},
        r"steps\[1\] \(erase\) drops all 20 rows: emptied 20",
    ),
    "steps of every source": (
        {"own": {key: {"steps": [{"op": "longer", "least": 500}]} for key in "st"}},
        r"sources\.s\.steps\[0\] \(longer\) drops all 10 rows: short 10; "
        r"sources\.t\.steps\[0\]",
    ),
    "mix of a source that is emptied": (
        {
            "own": {"s": {"steps": [{"op": "longer", "least": 500}]}},
            "mix": {"op": "weighted_mix", "weights": {"s": 1}, "budget": {"rows": 5}},
        },
        r"mix \(weighted_mix\) drops all 10 rows: over_budget 10",
    ),
}


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_corpus_is_refused_with_the_step_that_emptied_it(
    run: Callable[..., Any], tmp_path: Path, case: str
) -> None:
    recipe, message = EMPTY[case]
    before = run({"s": [SHORT]}).rows
    with pytest.raises(RunError, match="the corpus is empty: " + message) as caught:
        run({"s": [SHORT] * 10, "t": [LONG] * 10}, rejects={"keep": "all"}, **recipe)
    assert caught.value.exit_code == 4
    assert str(tmp_path / "corpus.failed") in caught.value.hint
    rejects = pl.read_parquet(tmp_path / "corpus.failed" / "rejects.parquet")
    assert rejects.height == 20
    assert (
        json.loads((tmp_path / "corpus.failed" / "ledger.json").read_bytes())[-1]["rows_out"] == 0
    )
    assert pl.read_parquet(tmp_path / "corpus" / "data" / "*.parquet").equals(before)
    run({"s": [SHORT]})
    assert not (tmp_path / "corpus.failed").exists()


def test_the_hint_says_which_source_the_mix_lacks(run: Callable[..., Any]) -> None:
    recipe, _ = EMPTY["mix of a source that is emptied"]
    with pytest.raises(RunError) as caught:
        run({"s": [SHORT], "t": [LONG]}, **recipe)
    assert "s gives 0 rows of the 5 that its share of 100.0% asks for" in caught.value.hint


def test_a_corpus_without_a_word_is_empty(run: Callable[..., Any]) -> None:
    with pytest.raises(RunError, match="not one of its 3 rows holds any text"):
        run({"s": [""] * 3})


def test_an_output_that_no_row_fits_is_empty(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    question = {"messages": [{"role": "user", "content": "why?"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(question) + "\n")
    source = {"path": "a.jsonl", "max_failed": 1.0}
    with pytest.raises(RunError, match=r"empty: output \(write\) drops all 1 rows"):
        make_corpus({"s": source}, output={"schema": "prompt_completion"})
    with pytest.raises(RunError, match=r"output \(write\): 1 of 1 rows failed .* 10% that max"):
        make_corpus({"s": source | {"max_failed": 0.1}}, output={"schema": "prompt_completion"})


def test_a_source_that_a_step_empties_is_told(run: Callable[..., Any]) -> None:
    result = run(
        {"s": [SHORT] * 200, "t": [LONG] * 200, "u": [SHORT] * 199 + [LONG]},
        own={key: {"steps": [{"op": "longer", "least": 50}]} for key in "su"},
    )
    assert result.report.rows == 201
    paths = [problem.path for problem in result.report.warnings]
    assert paths == ["sources.s.steps[0]", "sources.u.steps[0]"]
    assert "loses 199 of its 200 rows" in result.report.warnings[1].message
    assert warned(result).keys() == {"source_lost"}


def test_a_source_that_a_step_on_the_corpus_empties_is_told(run: Callable[..., Any]) -> None:
    result = run({"s": [SHORT] * 9, "t": [LONG] * 9}, steps=[{"op": "longer", "least": 50}])
    assert warned(result) == {"source_lost": "steps[0]"}
    assert "source s loses 9 of its 9 rows" in result.report.warnings[0].message


def test_a_step_that_keeps_as_many_as_asked_is_no_loss(run: Callable[..., Any]) -> None:
    texts = {"s": [SHORT] * 500, "t": [LONG] * 500}
    assert not warned(run(texts, steps=[{"op": "sample", "rows": 2}]))
    assert not warned(run(texts, own={key: {"take": 1} for key in "st"}))
    mix = {"op": "weighted_mix", "weights": {"s": 1, "t": 1}, "budget": {"rows": 2}}
    assert not warned(run(texts, mix=mix))


def test_a_few_rows_that_fail_at_a_step_are_put_aside(run: Callable[..., Any]) -> None:
    result = run({"s": ["fine"] * 19 + ["x"]}, steps=[{"op": "fail"}])
    assert result.report.ledger["steps[0]"].failed == {"ValueError": 1}
    assert result.report.rows == 19


def test_failures_are_bounded_by_the_rows_that_reach_the_step(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """That a thousand rows were read before does not excuse that all of twenty fail."""
    texts = {"s": ["."] * 1000 + ["x" * 20] * 20}
    steps = [{"op": "longer", "least": 5}, {"op": "fail"}]
    message = r"steps\[1\] \(fail\): 20 of 20 rows failed \(ValueError 20\), more than the 10%"
    for where in ({"steps": steps}, {"own": {"s": {"steps": steps}}}):
        with pytest.raises(RunError, match=message) as caught:
            run(texts, **where)
        assert "an x" in caught.value.hint
        assert str(tmp_path / "corpus.failed") in caught.value.hint


def test_each_source_has_a_bound_of_its_own_at_a_step_on_the_corpus(
    run: Callable[..., Any],
) -> None:
    texts = {"s": ["fine"] * 8 + ["x"] * 2, "t": ["fine"] * 10}
    with pytest.raises(RunError, match=r"2 of 20 rows failed .* more than the 5%"):
        run(texts, own={"s": {"max_failed": 0.1}, "t": {"max_failed": 0}}, steps=[{"op": "fail"}])
    bounds = {"s": {"max_failed": 0.2}, "t": {"max_failed": 0}}
    assert run(texts, own=bounds, steps=[{"op": "fail"}]).report.rows == 18


class TestShares:
    def test_asked_and_realised_stand_side_by_side(self, run: Callable[..., Any]) -> None:
        mix = {
            "op": "weighted_mix", "weights": {"s": 1, "t": 3}, "budget": {"tokens": 1000},
            "max_epochs": 2,
        }  # fmt: skip
        result = run({"s": [LONG] * 10, "t": [LONG] * 100}, mix=mix)
        s, t = result.report.shares
        assert (s.asked, s.share, s.rows, s.tokens, s.epochs) == (0.25, 0.25, 10, 250, 1.0)
        assert (t.asked, t.share, t.rows, t.tokens, t.epochs) == (0.75, 0.75, 30, 750, 0.3)
        assert not warned(result)
        stated = [share.to_data() for share in result.report.shares]
        assert result.manifest["shares"] == stated
        folder = result.report.folder
        ledger = json.loads((folder / "ledger.json").read_bytes())
        assert ledger[-1]["sources"]["t"] == {"rows_in": 30, "rows_out": 30, **stated[1]}
        assert "| t | 75.0% | 75.0% | 30 | 750 | 0.30 |" in (folder / "README.md").read_text()

    @pytest.mark.parametrize(
        ("shortage", "tokens"),
        [("stop", (250, 250)), ("redistribute", (250, 750)), ("repeat", (500, 500))],
    )
    def test_a_lack_is_told(
        self, run: Callable[..., Any], shortage: str, tokens: tuple[int, int]
    ) -> None:
        mix = {
            "op": "weighted_mix", "weights": {"s": 1, "t": 1}, "budget": {"tokens": 1000},
            "shortage": shortage,
        }  # fmt: skip
        result = run({"s": [LONG] * 10, "t": [LONG] * 100}, mix=mix)
        assert tuple(share.tokens for share in result.report.shares) == tokens
        assert [share.asked for share in result.report.shares] == [0.5, 0.5]
        assert warned(result) == {"shortage": "mix.budget"}

    def test_a_step_after_the_mix_that_changes_the_shares_is_named(
        self, run: Callable[..., Any]
    ) -> None:
        mix = {"op": "weighted_mix", "weights": {"s": 1, "t": 1}, "budget": {"rows": 40}}
        texts = {"s": [SHORT] * 50 + [LONG] * 50, "t": [LONG] * 100}
        steps = [{"op": "longer"}, {"op": "longer", "least": 50}]
        result = run(texts, mix=mix, steps=steps)
        s, t = result.report.shares
        assert s.asked == t.asked == 0.5
        assert t.rows == 20
        assert s.rows < 20
        assert warned(result) == {"shares_shifted": "steps[1]"}
        assert f"s 50.0% to {s.rows / (s.rows + 20):.1%}" in result.report.warnings[0].message

    def test_rows_too_few_for_the_shares_are_told_as_such(self, run: Callable[..., Any]) -> None:
        mix = {"op": "weighted_mix", "weights": {"s": 9, "t": 1}, "budget": {"tokens": 250}}
        result = run({"s": [LONG] * 50, "t": [LONG] * 50}, mix=mix)
        assert [share.tokens for share in result.report.shares] == [225, 25]
        assert warned(result) == {}
        result = run({"s": [LONG] * 50, "t": [LONG] * 50}, mix=mix | {"budget": {"tokens": 60}})
        assert [share.tokens for share in result.report.shares] == [50, 0]
        assert warned(result) == {"shares_shifted": "mix"}
        assert "t 10.0% to 0.0%" in result.report.warnings[0].message


def test_what_the_check_expected_of_the_first_rows_is_told_by_the_ledger_alone(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    odd = [{"role": "hummany", "content": "q"}, said[1]]
    rows = [said, odd, said[:1], said]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"messages": row}) for row in rows))
    result = make_corpus(
        {"s": {"path": "a.jsonl", "max_failed": 0.5}}, output={"schema": "messages"}
    )
    assert dict(result.report.ledger["sources.s"].failed) == {"unknown_role": 1}
    assert dict(result.report.ledger["output"].failed) == {"unanswered": 1}
    assert result.report.warnings == ()
    assert result.manifest["warnings"] == []


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_an_empty_corpus_is_made_where_it_is_allowed(run: Callable[..., Any], order: str) -> None:
    steps = [{"op": "longer", "least": 500}]
    result = run({"s": [SHORT] * 4}, steps=steps, output={"allow_empty": True, "order": order})
    assert (result.report.rows, result.report.corpus.collect().shape) == (0, (0, 3))
    assert warned(result)["empty_corpus"] == "output"
    (message,) = (w.message for w in result.report.warnings if w.code == "empty_corpus")
    assert message == "the corpus is empty: steps[0] (longer) drops all 4 rows: short 4"
    with pytest.raises(RunError, match="not one of its 1 rows holds any text"):
        run({"s": [""]}, output={"allow_empty": True})


@pytest.mark.parametrize("name", ["fail", "steps[0]"])
def test_a_step_may_fail_less_than_its_sources_allow(run: Callable[..., Any], name: str) -> None:
    sources, own = {"s": ["x", *[SHORT] * 9]}, {"s": {"max_failed": 0.5}}
    steps = [{"op": "fail"}]
    assert run(sources, own, steps=steps, max_failed={name: 0.1}).rows.height == 9
    said = r"steps\[0\] \(fail\): 1 of 10 rows failed .*, more than the 0.5% that max_failed allows"
    with pytest.raises(RunError, match=said):
        run(sources, own, steps=steps, max_failed={name: 0.005})
    with pytest.raises(RunError, match="more than the 0% that max_failed allows"):
        run(sources, steps=steps, own={"s": {"max_failed": 0}}, max_failed={name: 1})
    with pytest.raises(RecipeError, match=r"(?s)no step or operator 'fial' .*mean fail"):
        run(sources, own, steps=steps, max_failed={"fial": 0.1})
