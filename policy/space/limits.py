"""What a policy may write, out of all that is registered."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]


class Limits(BaseModel):
    """How large recipes get and what they are made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operators: tuple[str, ...] | None = Field(
        None, description="Names of the operators to offer; all by default."
    )
    sources: tuple[str, ...] | None = Field(
        None, description="Names of the pool's sources to offer; all by default."
    )
    source_steps: int = Field(3, ge=0, le=20, description="Most steps of a source.")
    corpus_steps: int = Field(2, ge=0, le=20, description="Most steps on the mixed corpus.")
    weights: tuple[Weight, ...] = Field(
        (1, 2, 4, 8, 16), min_length=1, description="Weights in the mix to choose from."
    )
    budgets: tuple[Share, ...] = Field(
        (0.25, 0.5, 1.0), min_length=1, description="Shares of the task's budget to choose from."
    )
    values: int = Field(7, ge=2, le=50, description="Most values of a number to choose from.")
    parameters: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Values to choose from in place of our own, by OPERATOR.PARAMETER; of a single "
        "one, that it always has.",
    )
    reason_characters: int = Field(
        0, ge=0, le=1_000, description="Longest reason that is written for a step; 0: none."
    )
