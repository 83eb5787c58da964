"""A real server that is held to the schema of the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import RunError, Services, Task
from datachef.plugins.openai_backend import OpenAIBackend
from datachef.reward.verifier import Judge, Verdict, Verifier


@pytest.mark.slow
def test_a_model_of_random_weights_gives_verdicts(
    vllm_server: Any,
    tmp_path: Path,
    make_task: Callable[..., Task],
    make_rows: Callable[..., pl.DataFrame],
) -> None:
    services = Services({"openai": lambda: OpenAIBackend(vllm_server.url)}, tmp_path)
    # At temperature 0 random weights repeat one token; at 1 they end a string sooner or later.
    judge = Judge(model=vllm_server.model, temperature=1, max_tokens=1000)
    verifier = Verifier([judge], services, make_task(metric="number_match"))
    rows = make_rows("2 + 2 = 5", "?!", *(f"Ann has {n} + 1 = {n + 1} figs." for n in range(10)))
    result = verifier.verify(rows)
    exact = {row.id: row.verdicts[0].reason for row in result.rows if row.exact}
    assert exact == {"s-0": "2 + 2 is not 5", "s-1": "the row has neither letters nor digits"}
    judged = [row.verdicts[0] for row in result.rows if not row.exact]
    verdicts = [verdict for verdict in judged if isinstance(verdict, Verdict)]
    # The grammar leaves no way but to be cut off.
    reasons = [verdict.reason for verdict in judged if not isinstance(verdict, Verdict)]
    assert [reason for reason in reasons if "cut off" not in reason] == []
    assert len(verdicts) >= 5
    assert result.failures == 10 - len(verdicts)
    assert result.value == pytest.approx(sum(verdict.value for verdict in verdicts) / 12)
    assert verifier.verify(rows) == result
    # Its own error for a model that it does not serve.
    with pytest.raises(RunError, match="404"):
        Verifier([Judge(model="absent")], services, make_task()).verify(make_rows("a row"))
