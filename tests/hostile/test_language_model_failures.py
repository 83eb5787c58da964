"""Runs over a server that fails for some rows: what is asked again, and when a run gives up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from model_server import KEY, Connection, HostileServer, Play, body_of, honest, is_clean, says

from datachef.core import RunError, run_recipe
from datachef.core.language_models.client import Persistence

RECIPE = """
name: synthesis
sources:
  one: {path: one.jsonl, max_failed: 0.05}
  two: {path: two.jsonl, max_failed: 0.05}
steps:
  - {op: rephrase_text, model: tiny, prompt: "{{ text }}", max_concurrency: 2}
  - {op: length_filter, min_chars: 1}
  - op: exact_dedup
"""
ROWS = 100  # of each source: 10 may fail


@pytest.fixture
def run(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs a recipe over two files of rows through the scripted server; gives the texts."""
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", server.url)
    monkeypatch.setenv("DATACHEF_LLM_API_KEY", KEY)
    monkeypatch.setattr(Persistence, "__init__", _hasty)
    for name in ("one", "two"):
        rows = [{"text": f"{name} {number}"} for number in range(ROWS)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def run(engine: str = "inline") -> list[str]:
        report = run_recipe(
            tmp_path / "recipe.yaml", tmp_path / "out", engine=engine, workers=2,
            cache=tmp_path / "cache",
        )  # fmt: skip
        files = sorted((report.folder / "data").iterdir())
        return sorted(pl.concat(map(pl.read_parquet, files))["text"])

    return run


def _hasty(self: Persistence, *_: Any) -> None:
    """Two attempts without a pause between."""
    vars(self).update(attempts=2, first_wait=0.0, longest_wait=0.0)


UPPER = sorted(f"{name} {number}".upper() for name in ("one", "two") for number in range(ROWS))


def failing(share: int, play: Play) -> Play:
    """A server that fails for one row in each group of the given size."""

    def answer(connection: Connection) -> None:
        failed = int(connection.prompt.split()[1]) % share == 0
        (play if failed else honest)(connection)

    return answer


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_failures_above_max_failed_do_not_stick(
    server: HostileServer, run: Callable[..., Any], engine: str
) -> None:
    server.play = failing(2, says(b"{}", 429, retry_after="0"))
    with pytest.raises(RunError, match=r"more than max_failed|more than the 5%"):
        run(engine)
    answered = {prompt for prompt in server.asked if int(prompt.split()[1]) % 2}
    server.play = honest
    server.asked.clear()
    assert run(engine) == UPPER
    # Of a worker that was ended because another one gave up, calls may have been on their way.
    most = 0 if engine == "inline" else 2
    assert len(answered & set(server.asked)) <= most, "what was answered is not asked again"


def test_failures_below_max_failed_are_asked_again(
    server: HostileServer, run: Callable[..., Any]
) -> None:
    server.play = failing(25, says(b"", 500))
    assert len(run()) == 2 * ROWS - 8
    server.play = honest
    server.asked.clear()
    assert run() == UPPER
    assert sorted(server.asked) == sorted(
        f"{name} {number}" for name in ("one", "two") for number in (0, 25, 50, 75)
    )
    server.asked.clear()
    assert run() == UPPER
    assert server.asked == {}


@pytest.mark.parametrize("name", ["400", "refusals", "500", "truncated"])
def test_a_run_that_fails_anyway_stops_paying(
    server: HostileServer, run: Callable[..., Any], name: str
) -> None:
    server.play = {
        "400": says(b'{"error": {"message": "no"}}', 400),
        "refusals": says(body_of(None, refusal="I won't.")),
        "500": failing(2, says(b"", 500)),
        "truncated": says(body_of("half", "length")),
    }[name]
    with pytest.raises(RunError, match="more than max_failed allows") as caught:
        run()
    assert is_clean(caught.value.message)
    assert "the first: " in caught.value.hint
    assert len(server.asked) < 60, "11 failures are too many, of 200 rows"
