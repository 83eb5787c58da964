from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import ChangedInputError, Host, RewardConfig, document, run_recipe
from datachef.reward.gates import malformed_share
from datachef.reward.sampled_run import SampledCorpus
from datachef.reward.scorer import RecipeReward

ASKED = {"role": "user", "content": "q"}
ANSWERED = {"role": "assistant", "content": "a"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {}}}
CHATS = [
    [ASKED, ANSWERED],
    [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    [ASKED, {"role": "assistant", "content": "", "reasoning_content": "hm"}],
    [ASKED, ANSWERED, ASKED],
    [ASKED, ASKED],
    [ASKED, {"role": "assistant", "content": " "}],
    [{"role": "system", "content": "s"}],
    [ANSWERED],
]


def test_a_source_that_changes_is_no_fault_of_a_recipe(workspace: Path, host: Host) -> None:
    source = {"path": "good.jsonl", "format": {"prompt": "question", "completion": "answer"}}
    recipe = {"name": "fruit", "sources": {"rows": source}}
    config = RewardConfig(workspace / "task.yaml", None, workspace, workspace / "cache")
    reward = RecipeReward(config, host)
    wrong = recipe | {"steps": [{"op": "length_filter", "min_chars": "few"}]}
    assert reward.score(wrong, workspace).gate == "check"
    assert "task" not in wrong, "the recipe that was given stays as it is"
    good = workspace / "good.jsonl"
    good.write_text(good.read_text().upper())
    with pytest.raises(ChangedInputError):
        reward.score(recipe, workspace)


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        ({"schema": "text"}, 8),
        ({"schema": "messages"}, 5),
        ({"schema": "prompt_completion"}, 3),
        ({"schema": "prompt_completion", "separator": "\n"}, 3),
    ],
)
def test_what_is_malformed_is_what_a_run_does_not_write(
    run_sampled: Callable[..., SampledCorpus],
    workspace: Path,
    host: Host,
    output: dict[str, Any],
    kept: int,
) -> None:
    rows = [json.dumps({"messages": turns}) for turns in CHATS]
    (workspace / "chats.jsonl").write_text("\n".join(rows))
    source = {"path": "chats.jsonl", "max_failed": 1.0}
    recipe = {"name": "chats", "sources": {"s": source}, "output": output}
    (workspace / "recipe.yaml").write_text(document.dump(recipe))
    cache = workspace / "cache"
    report = run_recipe(
        workspace / "recipe.yaml", workspace / "corpus", host=host, engine="inline", cache=cache
    )
    assert report.rows == kept
    assert malformed_share(run_sampled(recipe)) == pytest.approx(1 - kept / len(CHATS))
