"""Drafts from a vLLM engine, which has an environment of its own."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from datachef.core import MissingPackageError, Problem, extra
from datachef.core.distribution import install_command
from datachef.policy.decoding.vllm import VLLMDecoder
from datachef.policy.prompt.writer import Prompt
from datachef.policy.space import RecipeSpace


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingPackageError) as caught:
        VLLMDecoder("tiny")
    assert caught.value.hint == install_command(extra("vllm"))


@pytest.mark.slow
def test_an_engine_of_this_process_writes_nothing_but_recipes(
    vllm_installation: Any,
    tmp_path: Path,
    prompts: list[Prompt],
    problems: Callable[[RecipeSpace, dict[str, Any]], list[Problem]],
) -> None:
    asked, written = tmp_path / "prompts.pickle", tmp_path / "drafts.json"
    # What decoders have no use for cannot be pickled.
    bare = replace(prompts[0].space, sources={}, vocabulary=cast(Any, None))
    asked.write_bytes(pickle.dumps([replace(prompt, space=bare) for prompt in prompts]))
    script = Path(__file__).with_name("draft_in_process.py")
    done = subprocess.run(
        [vllm_installation.python, script, vllm_installation.model, asked, written],
        env=vllm_installation.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads(written.read_bytes())
    assert len(found["first"]) == 16
    drafts = found["first"] + found["other"]
    assert [problems(prompts[0].space, draft) for draft in drafts] == [[]] * 32
    assert found["again"] == found["first"]
    assert found["other"] != found["first"]
    assert len({json.dumps(draft) for draft in drafts}) > 16
    for error, hint in (found["cut off"], found["too long"]):
        assert hint
        assert "Traceback" not in error
    assert "was cut off" in found["cut off"][0]
    assert "context" in found["too long"][1]
