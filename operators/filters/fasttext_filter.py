"""Quality, or any other class, by a classifier of fastText."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    CheckContext,
    DatachefError,
    Filter,
    MissingAssetError,
    asset_folder,
    asset_name,
    input_file,
    raise_environment_failure,
    threshold,
)
from datachef.operators.models.fasttext_classifier import REQUIRED, TextClassifier

if TYPE_CHECKING:
    from datachef.core import Signal


class FastTextFilter(Filter):
    """Drops text to which a fastText classifier gives a label with too low a probability.

    As DCLM (Li et al. 2024, arXiv 2406.11794) keeps pages by a classifier of instruction-like text
    against web pages, by its label `hq`. `chef train-classifier` trains one from two sources. The
    probability is kept as the signal `fasttext_` and the label: DCLM keeps the best tenth of its
    pool, which `top_selection` by that signal does.
    """

    not_for_policies: ClassVar[str] = (
        "The classifier is a file, or an asset, of whoever runs the policy."
    )

    op: Literal["fasttext_filter"] = "fasttext_filter"

    model: str | None = input_file(max_length=4096, description="Path of a fastText model.")
    asset: str | None = asset_name(description="Asset with one fastText model, in place of a path.")
    label: str = Field(
        "hq", pattern=r"^[\w-]+$", max_length=64, description="Label, without __label__."
    )
    min_probability: float = threshold(
        0.5, ge=0, le=1, description="Least probability of the label."
    )

    def requires(self) -> Mapping[str, str]:
        return REQUIRED

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if (self.model is None) == (self.asset is None):
            yield "model", "give either model or asset", "model: quality.bin"
            return
        try:
            known = self._classifier().labels()
        except (ImportError, MissingAssetError):  # there is a problem about it
            return
        except DatachefError as error:
            yield "asset", error.message, error.hint
        except (OSError, ValueError) as error:
            if self.model is not None and not Path(self.model).is_file():
                return
            yield "model", f"no fastText model: {error}", "chef train-classifier makes one"
        else:
            if self.label not in known:
                labels = ", ".join(sorted(known)[:20])
                yield "label", f"the model has no label {self.label}", f"it has: {labels}"

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
        try:
            return self._classifier().probabilities(batch["text"], self.label)
        except ValueError as error:
            raise_environment_failure(error)
            raise DatachefError(f"fasttext_filter: no fastText model: {error}") from error

    def reasons(self) -> tuple[str, ...]:
        return ("no_text", "low_probability")

    def rules(self) -> Mapping[str, pl.Expr]:
        probability = pl.col(self._signal)
        return {
            "no_text": probability.is_null(),
            "low_probability": probability < self.min_probability,
        }
