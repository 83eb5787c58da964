"""How recipes evolve: the contents of an `evolve.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datachef.core.paths import located
from datachef.policy.training.settings import TrainSettings

POLICY = "policy"
PERSON = "person"
# What the folder of a run is marked as, and what of it is the run's alone.
EVOLUTION = "evolution"
JOURNAL, RECIPES, PROXIES = "journal", "recipes", "proxies"
PLOT = "progress.png"
# Of so many random recipes one is measured first, since many do not pass the gates.
DRAWN = 4


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EvolveBudget(_Settings):
    """What a run may spend; whatever is not given has no end."""

    minutes: float | None = Field(
        None, gt=0, description="Of the rounds, over all restarts; the comparison comes after them."
    )
    reward_calls: int | None = Field(
        None, ge=1, description="Of the policy; each baseline gets as many as the policy made."
    )
    evaluations: int | None = Field(
        None, ge=1, description="Trainings of a base model, those of the comparison included."
    )


class EvolveSettings(_Settings):
    """All of a run. Paths are relative to the file that holds the settings."""

    train: TrainSettings = Field(
        description="As in a train.yaml, for one task; its output and steps follow from the rest."
    )
    output: Path = Field(description="Where journal, checkpoints, recipes and the report go.")
    rounds: int = Field(5, ge=1, description="Each trains, measures, and refits the proxy.")
    steps_per_round: int = Field(20, ge=1, description="Updates of the policy before it measures.")
    samples_per_round: int = Field(
        64,
        ge=0,
        description="Recipes that the policy is asked for after a round's training.",
    )
    measured_first: int = Field(
        0, ge=0, description="Random recipes that are measured before all; 6 make a first proxy."
    )
    measured_per_round: int = Field(2, ge=1, description="The best recipes of a round.")
    seeds: int = Field(1, ge=1, le=100, description="Trainings of each recipe that is measured.")
    final_seeds: int = Field(
        3, ge=1, le=100, description="Fresh trainings of the recipes that are compared in the end."
    )
    budget: EvolveBudget = EvolveBudget()
    baselines: tuple[Literal["sources", "random", "tpe", "evolution"], ...] = Field(
        ("sources", "random", "tpe", "evolution"), description="What the policy is compared with."
    )
    persons: tuple[Path, ...] = Field((), description="Recipes by people, to compare with.")
    measured_per_baseline: int = Field(1, ge=1, description="Of these the best one is compared.")
    measuring: dict[str, Any] = Field(
        default_factory=dict, description="How recipes are measured; for the laboratory."
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_and_output(cls, data: Any) -> Any:
        """Fills in what `train` must not say otherwise."""
        if not isinstance(data, dict) or not isinstance(data.get("train"), dict):
            return data
        train = data["train"]
        for name, instead in (("steps", "rounds and steps_per_round"), ("output", "output")):
            if name in train:
                raise ValueError(f"train.{name} is not for this file: write {instead} beside train")
        return data | {"train": train | {"output": POLICY}}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.train.tasks) != 1:
            raise ValueError("evolve works for one task: give train.tasks exactly one")
        least = self.reserved + (self.measured_first or 1) * self.seeds
        if self.budget.evaluations is not None and self.budget.evaluations < least:
            raise ValueError(
                f"budget.evaluations is {self.budget.evaluations}, but the comparison takes "
                f"{self.reserved} and the first measurements {least - self.reserved}"
            )
        calls = DRAWN * self.measured_first + self.cold_calls + self.calls_per_round
        if self.budget.reward_calls is not None and self.budget.reward_calls < calls:
            raise ValueError(
                f"budget.reward_calls is {self.budget.reward_calls}, but the first round takes "
                f"{calls}"
            )
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """Whatever the policy is compared with."""
        return (*self.baselines, *([PERSON] if self.persons else ()))

    @property
    def reserved(self) -> int:
        """Evaluations that the comparison in the end may take."""
        chosen = self.measured_per_baseline * self.seeds if self.measured_per_baseline > 1 else 0
        return self.final_seeds + len(self.methods) * (chosen + self.final_seeds)

    @property
    def cold_calls(self) -> int:
        """Reward calls of the cold start."""
        return self.train.cold_start.reward_calls if self.train.cold_start else 0

    @property
    def calls_per_round(self) -> int:
        """Reward calls of a round."""
        return self.steps_per_round * self.train.recipes_per_step + self.samples_per_round

    def located_in(self, folder: Path) -> EvolveSettings:
        """These settings with relative paths resolved against the folder of their file."""
        output = located(folder, self.output)
        steps = self.rounds * self.steps_per_round
        train = self.train.located_in(folder)
        # A rate that fell to 0 would end what more rounds go on with.
        schedule = train.schedule if "schedule" in self.train.model_fields_set else "constant"
        filled = {"output": output / POLICY, "steps": steps, "schedule": schedule}
        train = train.model_copy(update=filled)
        persons = tuple(located(folder, path) for path in self.persons)
        return self.model_copy(update={"train": train, "output": output, "persons": persons})
