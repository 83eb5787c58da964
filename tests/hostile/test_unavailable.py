"""Servers, packages and sources that are not there are never the fault of a recipe."""

from __future__ import annotations

import importlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from datachef.core import (
    DatachefError,
    Host,
    MissingPackageError,
    PluginError,
    Request,
    RewardConfig,
    Score,
    document,
)
from datachef.core.errors import UnavailableError
from datachef.core.language_models.client import LLMClient, Persistence
from datachef.core.recipe.contributions import leave_one_out
from datachef.policy.evolve.rounds import measure_candidate
from datachef.policy.scored_recipes import ScoreTracker
from datachef.policy.settings import EvolveSettings
from datachef.reward.evaluation_backend import FineTuningBackend
from datachef.reward.scorer import ParallelReward, RecipeReward

PROBLEM = {"prompt": "question", "completion": "answer"}
REPHRASED = {
    "name": "fruit",
    "sources": {"rows": {"path": "rows.jsonl", "format": PROBLEM, "max_failed": 1.0}},
    "steps": [
        {"op": "rephrase_text", "model": "tiny", "prompt": "{{ text }}", "budget_tokens": 10**6}
    ],
    "output": {"schema": "text"},
}
PLAIN = {key: value for key, value in REPHRASED.items() if key != "steps"}


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task and rows, where nobody waits for a server."""
    rows = [{"question": f"What is {n} + 1?", "answer": f"It is {n + 1}."} for n in range(90)]
    (tmp_path / "rows.jsonl").write_text(lines(rows))
    (tmp_path / "test.jsonl").write_text(lines([{"question": "1 + 1?", "answer": "It is 2."}]))
    benchmark = {"path": "test.jsonl", "prompt": "question", "answer": "answer"}
    task = {"name": "sums", "metric": "number_match", "benchmark": benchmark}
    (tmp_path / "task.yaml").write_text(document.dump(task))
    models = {"models": ["tiny"], "budget_tokens": 10**6}
    (tmp_path / "pool.yaml").write_text(
        document.dump({"sources": REPHRASED["sources"], "language_models": models})
    )
    monkeypatch.setattr(Persistence.__init__, "__defaults__", (2, 0.0, 0.0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that is down."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", url)
    return url


def reward_of(folder: Path, host: Host | None = None, **options: Any) -> RecipeReward:
    config = RewardConfig(folder / "task.yaml", None, folder, folder / "cache", options=options)
    return RecipeReward(config, host)


@pytest.mark.parametrize("most", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("step", [{}, {"max_concurrency": 1}])
def test_a_dead_server_is_not_scored(
    workspace: Path, dead: str, most: float, step: dict[str, Any]
) -> None:
    recipe = json.loads(json.dumps(REPHRASED))
    recipe["sources"]["rows"]["max_failed"] = most
    recipe["steps"][0] |= step
    with pytest.raises(UnavailableError, match=r"refused|no_answer"):
        reward_of(workspace).score(recipe, workspace)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
@pytest.mark.parametrize("rows", [15, 90])
def test_a_server_that_refuses_everybody_is_not_scored(
    workspace: Path, llm_server: Any, monkeypatch: pytest.MonkeyPatch, status: int, rows: int
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    file = workspace / "rows.jsonl"
    file.write_text("\n".join(file.read_text().splitlines()[:rows]))
    llm_server.script.extend([status] * 1000)
    with pytest.raises(UnavailableError):
        reward_of(workspace).score(REPHRASED, workspace)
    llm_server.script.clear()
    assert reward_of(workspace).score(REPHRASED, workspace).gate == (
        "enough_rows" if rows < 50 else ""
    )


def test_a_server_that_is_down_for_a_part_of_the_rows_is_not_scored(
    workspace: Path, llm_server: Any, refusal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)

    # for every tenth row and one more, however often it is asked
    def answer(prompt: str) -> str:
        if (number := int(prompt.split()[2])) % 10 == 0 or number == 7:
            raise refusal(503)
        return f"answer to {prompt}"

    llm_server.answer = answer
    with pytest.raises(UnavailableError, match=r"left 10 of 90 rows without an answer"):
        reward_of(workspace).score(REPHRASED, workspace)


def test_a_request_that_is_refused_for_itself_is_of_the_recipe(
    workspace: Path, llm_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    llm_server.script.extend([400] * 1000)
    assert reward_of(workspace).score(REPHRASED, workspace).gate in ("runs", "not_empty")


def test_a_server_that_was_never_named_is_not_scored(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATACHEF_LLM_BASE_URL", raising=False)
    with pytest.raises(UnavailableError, match="does not know its server"):
        reward_of(workspace).score(REPHRASED, workspace)


class TroubledBackend:
    """A backend that raises what it likes."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def complete(self, request: Any) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ConnectionRefusedError(111, "refused"), UnavailableError),
        (TimeoutError("slow"), UnavailableError),
        (DatachefError("a wrong key"), UnavailableError),
        (MissingPackageError("openai", "openai", "it"), MissingPackageError),
        (KeyError("choices"), PluginError),
    ],
)
def test_what_a_backend_raises_is_told_apart(
    tmp_path: Path, raised: Exception, kind: type[Exception]
) -> None:

    client = LLMClient("odd", lambda: TroubledBackend(raised), tmp_path)  # type: ignore[arg-type,return-value]
    with pytest.raises(kind) as caught:
        client.complete(Request("m", (("user", "x"),), 10))
    assert type(caught.value) is kind


def test_a_judge_that_is_down_ends_the_scoring(workspace: Path, dead: str) -> None:
    reward = reward_of(workspace, judges=[{"model": "tiny"}], judged_rows=10)
    with pytest.raises(UnavailableError, match="unanswered"):
        reward.score(PLAIN, workspace)
    with pytest.raises(UnavailableError):
        leave_one_out(
            REPHRASED, workspace, reward, Score(0.1, 0.1, schema="text"), Host().vocabulary
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sources": {"rows": {"path": "http://127.0.0.1:9/rows.jsonl"}}}, "Connect|refused|9"),
        ({"steps": [{"op": "heavy"}]}, "a_module_that_does_not_exist"),
    ],
)
def test_what_the_check_misses_outside_is_no_gate(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "127.0.0.1:9")
    host = Host([str(Path(__file__).parents[1] / "core" / "sample_operators.py")])
    reward = reward_of(workspace, host)
    with pytest.raises(UnavailableError, match=said):
        reward.score({**PLAIN, **change}, workspace)


@pytest.fixture
def backend(workspace: Path) -> FineTuningBackend:
    settings = {
        "train": {"tasks": [{"task": "task.yaml", "pool": "pool.yaml"}]},
        "output": "run",
        "evaluation": {"base_model": "nobody/has-it", "items": 1},
    }
    found = EvolveSettings.model_validate(settings).located_in(workspace)
    cache = workspace / "cache"
    return FineTuningBackend(
        found.evaluation_config(folder=workspace, cache=cache, plugin_files=())
    )


BOUND = {**REPHRASED, "sources": {"rows": {}}, "task": "task.yaml"}


@pytest.mark.parametrize(
    ("steps", "said"), [(REPHRASED["steps"], "no_answer|in a row"), ([], "nobody/has-it")]
)
def test_nothing_outside_is_recorded_as_a_failed_recipe(
    workspace: Path, dead: str, backend: FineTuningBackend, steps: Any, said: str
) -> None:
    """For the one recipe the server is down, for the other the base model is nowhere."""
    recipe = {**BOUND, "steps": steps}
    with pytest.raises(UnavailableError, match=said):
        measure_candidate(backend, recipe, Score(0.1), workspace / "r-1.yaml", [0])
    empty = {**BOUND, "steps": [{"op": "length_filter", "min_chars": 10_000}]}
    found = measure_candidate(backend, empty, Score(0.1), workspace / "r-2.yaml", [0])
    assert "empty" in found.failure, "what is the recipe's stays so"


FAILING_REWARD = """
from datachef.core import MissingPackageError, Reward
from datachef.core.errors import UnavailableError


class FailingReward(Reward):
    def score(self, recipe, base_dir):
        raise {
            "package": MissingPackageError("torch", "datachef-core[train]", "scoring"),
            "server": UnavailableError("no server", "start it"),
        }[recipe["name"]]


def build(config):
    return FailingReward()
"""


@pytest.mark.parametrize(
    ("name", "kind"), [("package", MissingPackageError), ("server", UnavailableError)]
)
def test_processes_of_a_reward_tell_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[DatachefError]
) -> None:
    (tmp_path / "failing_reward.py").write_text(FAILING_REWARD)
    monkeypatch.syspath_prepend(str(tmp_path))  # the processes look there too
    build = importlib.import_module("failing_reward").build
    reward = ParallelReward(build, None, 1)  # type: ignore[arg-type]
    try:
        with pytest.raises(kind) as caught:
            ScoreTracker(reward, Path()).score_all([{"name": name, "sources": {}}])
        assert caught.value.hint
    finally:
        reward.close()
