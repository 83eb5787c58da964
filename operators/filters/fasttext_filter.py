"""Quality, or any other class, by a classifier of fastText."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import DatachefError, asset_folder, input_file, threshold
from datachef.operators.filters.label_score import LabelScoreFilter
from datachef.operators.models.fasttext_classifier import REQUIRED, TextClassifier

if TYPE_CHECKING:
    from datachef.core import Signal


class FastTextFilter(LabelScoreFilter):
    """Drops text to which a fastText classifier gives a label with too low a probability.

    As DCLM (Li et al. 2024, arXiv 2406.11794) keeps pages by a classifier of instruction-like text
    against web pages, by its label `hq`. `chef train-classifier` trains one from two sources. The
    probability is kept as the signal `fasttext_` and the label: DCLM keeps the best tenth of its
    pool, which `top_selection` by that signal does.
    """

    model_example: ClassVar[str] = "quality.bin"

    op: Literal["fasttext_filter"] = "fasttext_filter"

    model: str | None = input_file(max_length=4096, description="Path of a fastText model.")
    label: str = Field(
        "hq", pattern=r"^[\w-]+$", max_length=64, description="Label, without __label__."
    )
    min_probability: float = threshold(
        0.5, ge=0, le=1, description="Least probability of the label."
    )

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def labels(self) -> list[str]:
        return sorted(self._classifier().labels())

    def _classifier(self) -> TextClassifier:
        if self.model is not None:
            return TextClassifier(self.model)
        folder = asset_folder(self.asset or "")
        found = [path for path in folder.iterdir() if path.suffix in (".bin", ".ftz")]
        if len(found) != 1:
            raise DatachefError(f"the asset {self.asset} holds no fastText model (.bin or .ftz)")
        return TextClassifier(found[0])

    @property
    def _signal(self) -> str:
        return f"fasttext_{self.label}"

    def signals(self) -> Mapping[str, Signal]:
        return {self._signal: self._probabilities}

    def _probabilities(self, batch: pl.DataFrame) -> pl.Series:
        return self._classifier().probabilities(batch["text"], self.label)

    def reasons(self) -> tuple[str, ...]:
        return ("no_text", "low_probability")

    def rules(self) -> Mapping[str, pl.Expr]:
        probability = pl.col(self._signal)
        return {
            "no_text": probability.is_null(),
            "low_probability": probability < self.min_probability,
        }
