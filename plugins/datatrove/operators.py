"""Operators that call a step of datatrove with one row after another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import polars as pl
from pydantic import Field, create_model

from datachef.core import Filter, Operator, TextTransform, Transform, extra
from datachef.plugins.datatrove.signatures import StepParameter, StepSignature, signatures
from datachef.plugins.importing.table import equivalent

if TYPE_CHECKING:
    from datachef.core import Signal

_MOST = 1_000_000_000
_OWN = frozenset({"op", "keep_signals"})
_NEW_WORD = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
REJECTED = "rejected"


class DatatroveStep(Operator):
    """Base of all: a step of datatrove with its parameters."""

    not_for_policies: ClassVar[str] = (
        "It looks at one row after another, many times slower than the steps that do the same."
    )
    step: ClassVar[StepSignature]

    def requires(self) -> Mapping[str, str]:
        return dict.fromkeys(("datatrove", "spacy"), extra("datatrove"))

    @cached_property
    def _step(self) -> Any:
        import datatrove  # noqa: F401 - its version is part of what a result depends on

        computed = {p.name for p in self.step.parameters if p.computed}
        values = {n: getattr(self, n) for n in type(self).model_fields if n not in _OWN}
        given = {n: v for n, v in values.items() if v is not None or n not in computed}
        kind = getattr(import_module(self.step.module), self.step.name)
        return kind(**given, **self.step.fixed)


class DatatroveFilter(DatatroveStep, Filter):
    """Base of filters: the reason that datatrove gives is the signal."""

    @property
    def _signal(self) -> str:
        return f"{self.op}_reason"

    def signals(self) -> Mapping[str, Signal]:
        return {self._signal: self._reasons_of}

    def _reasons_of(self, batch: pl.DataFrame) -> pl.Series:
        return _filtered(self._step, batch)[0]

    def rules(self) -> Mapping[str, pl.Expr]:
        reason = pl.col(self._signal)
        named = {name: reason == name for name in self.step.reasons}
        return named | {REJECTED: reason.is_not_null()}


class DatatroveRewritingFilter(DatatroveStep, Transform):
    """Base of filters that also rewrite what they keep; of conversations nothing is rewritten."""

    def reasons(self) -> tuple[str, ...]:
        return (*self.step.reasons, REJECTED)

    def transform(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        reasons, text = _filtered(self._step, batch)
        if "messages" in batch.columns:
            text = text.zip_with(batch["messages"].is_null(), batch["text"])
        known = reasons.is_in(self.step.reasons) | reasons.is_null()
        named = reasons.zip_with(known, pl.repeat(REJECTED, len(reasons), eager=True))
        return batch.with_columns(text).filter(reasons.is_null()), named


def _filtered(step: Any, batch: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """For each row the reason for which it goes, and the text that the filter leaves."""
    from datatrove.data import Document

    reasons: list[str | None] = []
    texts: list[str] = []
    for name, text in batch.select("id", "text").iter_rows():
        document = Document(text=text or "", id=str(name))
        answer = step.filter(document)
        kept, reason = answer if isinstance(answer, tuple) else (answer, REJECTED)
        reasons.append(None if kept else str(reason))
        texts.append(document.text)
    return pl.Series("reason", reasons, pl.String), pl.Series("text", texts, pl.String)


class DatatroveFormatter(DatatroveStep, TextTransform):
    """Base of formatters, which rewrite text."""

    def rewrite(self, text: pl.Series) -> pl.Series:
        made = [None if one is None else self._step.format(one) for one in text]
        return pl.Series(text.name, made, dtype=pl.String)


class DatatroveExtractor(DatatroveStep, TextTransform):
    """Base of extractors, which take the text out of HTML."""

    def rewrite(self, text: pl.Series) -> pl.Series:
        made = [None if one is None else self._step.extract(one) or "" for one in text]
        return pl.Series(text.name, made, dtype=pl.String)


_BASES: Mapping[str, type[DatatroveStep]] = {
    "filter": DatatroveFilter, "formatter": DatatroveFormatter, "extractor": DatatroveExtractor,
}  # fmt: skip


@lru_cache(maxsize=1)
def operators() -> Mapping[str, type[DatatroveStep]]:
    """The operators by the name of datatrove's class; none where it is not installed."""
    return {step.name: _operator(step) for step in signatures()}


def _operator(step: StepSignature) -> type[DatatroveStep]:
    words = re.sub(_NEW_WORD, "_", step.name.replace("FineWeb", "Fineweb"))
    name = f"datatrove_{words.lower()}"
    rewriting = step.kind == "filter" and step.rewrites
    create: Any = create_model
    kind: type[DatatroveStep] = create(
        step.name,
        __base__=DatatroveRewritingFilter if rewriting else _BASES[step.kind],
        __module__="datachef.plugins.datatrove",
        __doc__=_description(step),
        op=(Literal[name], name),
        **{p.name: (p.type, _field(p)) for p in step.parameters},
    )
    kind.step = step
    kind.__abstractmethods__ = frozenset()
    return kind


def _description(step: StepSignature) -> str:
    ours = equivalent("datatrove", step.name, {})
    same = f" `{'` and `'.join(ours.steps)}` does the same faster." if ours and ours.steps else ""
    return (
        f"Calls the {step.kind} {step.name} of datatrove with one row after another.\n\n"
        f"{step.summary}{same} Parameters, defaults and reasons are datatrove's "
        "(https://github.com/huggingface/datatrove)."
    )


def _field(parameter: StepParameter) -> Any:
    kinds = set(get_args(parameter.type) or (parameter.type,))
    limits: dict[str, Any] = {"ge": -_MOST, "le": _MOST} if kinds & {int, float} else {}
    limits |= {"max_length": 10_000} if str in kinds else {}
    text = f"As `{parameter.name}` of datatrove."
    return Field(parameter.default, description=text, **limits)
