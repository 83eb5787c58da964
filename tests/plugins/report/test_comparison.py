"""Two runs beside each other: what their recipes say, and the rows gained, lost and changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core import FinishedRun, Host, document, run_recipe
from datachef.core.pages.rendering import MARK
from datachef.plugins.report.comparison import Comparison
from datachef.plugins.report.diff_page import diff_page
from datachef.plugins.report.recipe_changes import RecipeChange
from datachef.plugins.report.row_changes import ComparedRow, LossReason, RowChanges, RowCount

Run = Callable[..., FinishedRun]
HOST = Host()
LENGTH = {"op": "length_filter", "min_chars": 10}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a recipe over 30 pages of growing length, of which two have spaces at their ends."""
    texts = [f"page {n:02} {'x' * n}{'  ' if n in (20, 25) else ''}" for n in range(30)]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))

    def run(
        name: str, *steps: dict[str, Any], path: str = "pages.jsonl", **more: Any
    ) -> FinishedRun:
        sources = {"pages": {"path": path, "steps": [*steps]}}
        recipe = {"name": "test", "sources": sources, "rejects": {"keep": "all"}, **more}
        (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
        run_recipe(
            tmp_path / "recipe.yaml", tmp_path / name, host=HOST, engine="inline",
            cache=tmp_path / "cache",
        )  # fmt: skip
        return FinishedRun.open(tmp_path / name)

    return run


def test_a_changed_recipe_beside_what_came_of_it(run: Run, tmp_path: Path) -> None:
    before = run("before", LENGTH, {"op": "fix_unicode"})
    after = run("after", {"op": "normalize_whitespace"}, LENGTH | {"min_chars": 15})
    found = Comparison.of(before, after, examples=1)
    steps = "sources.pages.steps"
    versions = [made.manifest["operators"] for made in (before, after)]
    assert {change.path: (change.before, change.after) for change in found.recipe} == {
        f"{steps}[0]": (None, {"op": "normalize_whitespace"}),
        f"{steps}[1].min_chars": (10, 15),
        f"{steps}[1]": ({"op": "fix_unicode"}, None),
        "operators.fix_unicode": (versions[0]["fix_unicode"], None),
        "operators.normalize_whitespace": (
            None,
            after.manifest["operators"]["normalize_whitespace"],
        ),
    }
    (source,) = found.sources
    assert source.rows == (28, 23)
    told = {(step.op, step.paths): step for step in found.steps if step.differs}
    length = told["length_filter", (f"{steps}[0]", f"{steps}[1]")]
    assert length.rejected == {"too_few_chars": (2, 7)}
    assert told["fix_unicode", (f"{steps}[1]", None)].rows_out == (28, 0)
    assert [(count.kind, count.rows) for count in found.rows] == [
        ("same", 21), ("changed", 2), ("lost", 5),
    ]  # fmt: skip
    (loss,) = found.reasons
    assert loss == LossReason("pages", "lost", f"{steps}[1]", "too_few_chars", 5, loss.tokens)
    lost, changed = found.samples
    assert (lost.kind, lost.after) == ("lost", None)
    assert json.loads(lost.signals or "") == {"length_chars": len(lost.before or "")}
    assert (changed.before or "").rstrip() == changed.after != changed.before
    shifts = {(shift.path, shift.signal): shift for shift in found.signals}
    assert shifts["output", "tokens"].median[0] < shifts["output", "tokens"].median[1]
    shown = chef("diff", tmp_path / "before", tmp_path / "after").stdout
    assert f"{steps}[1].min_chars: 10 → 15" in shown
    assert 'too_few_chars {"length_chars":' in shown
    assert "[-  -]" in shown, "what went of a changed row"
    as_json = chef("diff", tmp_path / "before", tmp_path / "after", "--json").stdout
    assert json.loads(as_json)["result"]["rows"] == [
        {"source": c.source, "kind": c.kind, "rows": c.rows, "tokens": c.tokens}
        for c in Comparison.of(before, after, 2).rows
    ]


def test_the_page_shows_the_same_and_rows_as_text(run: Run, tmp_path: Path) -> None:
    attack = "<script>window.attacked = 1</script>"
    (tmp_path / "other.jsonl").write_text(json.dumps({"text": attack + "x" * 50}) + "\n")
    once, other = run("once", LENGTH), run("other", LENGTH, path="other.jsonl")
    found = Comparison.of(once, other, examples=1)
    page = diff_page(found, attack)
    assert page.startswith(MARK)
    assert "<script" not in page
    assert page.count(escape(attack)) == 3, "title twice, and the row that was gained"
    for count in found.rows:
        assert f'<td class="n">{count.rows:,}</td><td class="n">{count.tokens:,}</td>' in page
    done = chef("diff", once.folder, other.folder, "--html", "page.html", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "page.html\n")
    assert "<title>once and other</title>" in (tmp_path / "page.html").read_text()


def test_a_run_beside_itself_differs_in_nothing(run: Run) -> None:
    once = run("once", LENGTH)
    found = Comparison.of(once, once, examples=2)
    assert not [step for step in found.steps if step.differs]
    assert [count.kind for count in found.rows] == ["same"]
    assert not (found.recipe or found.reasons or found.samples or found.signals)


def test_copies_are_no_new_rows_and_a_renamed_file_loses_none(run: Run, tmp_path: Path) -> None:
    mix = {"op": "weighted_mix", "weights": {"pages": 1}, "budget": {"rows": 60}, "max_epochs": 2}
    once, twice = run("once"), run("twice", mix=mix)

    def kinds(before: FinishedRun, after: FinishedRun) -> dict[str, int]:
        counts: list[RowCount] = RowChanges(before, after).counts
        return {count.kind: count.rows for count in counts}

    assert kinds(once, twice) == {"same": 30, "more_copies": 30}
    assert kinds(twice, once) == {"same": 30, "fewer_copies": 30}
    rows = (tmp_path / "pages.jsonl").read_text()
    (tmp_path / "moved.jsonl").write_text(rows + '{"text": "a new one"}\n')
    moved = run("moved", path="moved.jsonl")
    assert kinds(once, moved) == {"renamed": 30, "gained": 1}
    (row,) = RowChanges(once, moved).samples(each=3, characters=6)
    assert row == ComparedRow(row.id, "pages", "gained", None, "a new ")
    assert (
        RecipeChange("sources.pages.path", "pages.jsonl", "moved.jsonl")
        in Comparison.of(once, moved, examples=0).recipe
    )


def test_conversations_are_the_same_in_every_schema_and_format(
    conversations: FinishedRun, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text(
        document.dump(dict(conversations.recipe) | {"output": {"schema": "prompt_completion"}})
    )
    (tmp_path / "sft.jsonl").write_text((conversations.folder.parent / "sft.jsonl").read_text())
    made = run_recipe(
        tmp_path / "other.yaml", tmp_path / "other", host=HOST, engine="inline",
        cache=tmp_path / "cache",
    )  # fmt: skip
    counts = RowChanges(conversations, made.opened).counts
    assert [(count.kind, count.rows) for count in counts] == [("same", made.rows)]
