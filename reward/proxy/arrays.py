"""Arrays that travel as JSON, and the base of everything a proxy is made of."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Floats = NDArray[np.float64]


def _read(value: Any) -> Floats:
    return np.asarray(value, np.float64)


def _write(value: Floats) -> Any:
    return value.tolist()


Vector = Annotated[Floats, BeforeValidator(_read), PlainSerializer(_write)]
Matrix = Annotated[Floats, BeforeValidator(_read), PlainSerializer(_write)]


class State(BaseModel):
    """Something fitted: immutable, and JSON all the way down."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def spread_or_one(values: Floats) -> Floats:
    """The standard deviation of each column, or 1 where a column does not vary."""
    deviation = values.std(axis=0)
    constant = deviation <= 1e-12 * (1 + np.abs(values).max(axis=0, initial=0.0))
    return np.where(constant, 1.0, deviation)
