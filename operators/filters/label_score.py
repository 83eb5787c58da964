"""The base of filters by the score of a label, which a model at a path or in an asset gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from datachef.core import CheckContext, DatachefError, Filter, MissingAssetError, asset_name


class LabelScoreFilter(Filter):
    """Drops rows by the score that a model gives one of its labels.

    A subclass says what a path as `model` names, and by `labels` which labels the model has.
    """

    not_for_policies: ClassVar[str] = "The model is a file or an asset of whoever runs the policy."
    model_example: ClassVar[str]

    model: str | None = None
    asset: str | None = asset_name(description="Asset with such a model, in place of a path.")
    label: str | None = Field(
        None, max_length=100, description="Label to score, of a model that has several."
    )

    def labels(self) -> Sequence[str]:
        """The labels of the model. Raises `DatachefError` for what is no model."""
        raise NotImplementedError

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if (self.model is None) == (self.asset is None):
            yield "model", "give either model or asset", f"model: {self.model_example}"
            return
        try:
            labels = self.labels()
        except (ImportError, MissingAssetError):  # there is a problem about it
            return
        except DatachefError as error:
            yield "model" if self.asset is None else "asset", error.message, error.hint
            return
        if self.label not in labels and not (self.label is None and len(labels) == 1):
            named = "it has several" if self.label is None else f"it has no {self.label!r}"
            known = ", ".join(labels[:20])
            yield "label", f"name a label of the model: {named}", f"they are {known}"
