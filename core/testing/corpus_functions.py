"""The contracts of features and gates, and the corpus on which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

import polars as pl

from datachef.core.contracts.corpus_sample import CorpusSample
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.testing.operators import odd_rows


def corpus_sample(rows: pl.DataFrame, schema: str = "text") -> CorpusSample:
    """A corpus to try features and gates on: rows with `source` and `text`, each of which stands
    for one."""
    tokens = TokenCounter().count(rows["text"]).alias("tokens")
    frame = rows.with_columns(tokens, pl.lit(1.0).alias("weight"))
    task = Task(name="any", benchmark=BenchmarkFile(path="benchmark.jsonl"))
    return CorpusSample(frame, schema, dict.fromkeys(rows["source"].unique(), 1.0), task)


class _CorpusFunctionContract:
    function: ClassVar[Callable[[CorpusSample], Any]]
    kind: ClassVar[type]

    def corpus(self) -> CorpusSample:
        """Odd texts of two sources, some of them conversations."""
        return corpus_sample(odd_rows())

    def test_says_what_it_is(self) -> None:
        """The first line of the docstring is what `chef score` shows."""
        assert (type(self).function.__doc__ or "").strip()

    def test_takes_odd_texts_and_a_single_row(self) -> None:
        """It gives an answer for every corpus: mind means of nothing and missing columns."""
        whole = self.corpus()
        one = CorpusSample(whole.rows.head(1), whole.schema, whole.epochs, whole.task)
        for corpus in (whole, one):
            answer = type(self).function(corpus)
            assert isinstance(answer, self.kind), f"{answer!r} is no {self.kind.__name__}"

    def test_is_deterministic(self) -> None:
        """The same corpus gives the same answer."""
        first, second = (type(self).function(self.corpus()) for _ in range(2))
        assert repr(first) == repr(second)


class FeatureContract(_CorpusFunctionContract):
    """Subclass it in a test module and set `function`.

    Override `corpus` where it needs one of its own.
    """

    kind = Real


class GateContract(_CorpusFunctionContract):
    """Subclass it in a test module and set `function`.

    Override `corpus` where it needs one of its own.
    """

    kind = str
