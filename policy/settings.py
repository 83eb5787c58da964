"""What a policy may write, out of all that is registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datachef.core.contracts.reward import EvaluationConfig, RewardConfig
from datachef.core.system.paths import located, located_or_named

Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Settings):
    """How large recipes get and what they are made of."""

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
    budgets: tuple[PositiveShare, ...] = Field(
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


Share = Annotated[float, Field(ge=0, le=1)]


class TaskAndPool(_Settings):
    """What recipes are written for, and what they may be made of."""

    task: Path
    pool: Path


class Subsets(_Settings):
    """Which parts of a space the briefs of training tell of: bounds of shares, drawn evenly."""

    operators: tuple[Share, Share] = Field((0.3, 1.0), description="Share of the operators.")
    sources: tuple[Share, Share] = Field((0.4, 1.0), description="Share of the sources.")
    budget: tuple[Share, Share] = Field((0.25, 1.0), description="Share of the task's budget.")
    held_out: tuple[str, ...] = Field(
        (), description="Operators that training never shows, to see how the policy takes to them."
    )


class ColdStart(_Settings):
    """Supervised fine-tuning before reinforcement learning, on recipes and briefs that fit them."""

    recipes: tuple[Path, ...] = Field((), description="Recipes given by people, as YAML files.")
    search: Literal["random", "tpe", "evolution"] = Field(
        "random", description="What draws further recipes: evenly, or learning from their reward."
    )
    drawn: int = Field(500, ge=0, description="How many it draws, for each task.")
    kept: float = Field(
        1.0, gt=0, le=1, description="Share of the drawn recipes that are kept, by their reward."
    )
    epochs: float = Field(1.0, gt=0, le=1000)
    learning_rate: float = Field(1e-3, gt=0, lt=1)

    @property
    def reward_calls(self) -> int:
        """What it asks the reward for each task: nothing for chance alone."""
        return self.drawn if self.search != "random" or self.kept < 1 else 0


class Lora(_Settings):
    """Low-rank adapters in place of all weights (Hu et al. 2021)."""

    rank: int = Field(16, ge=1, le=1024)
    alpha: int = Field(32, ge=1, le=4096)


class RewardChoice(_Settings):
    """A registered reward, and its options."""

    name: str = "proxy"
    options: dict[str, Any] = Field(default_factory=dict)

    def config(
        self,
        task: Path,
        pool: Path,
        *,
        folder: Path,
        cache: Path,
        plugin_files: tuple[str, ...],
        seed: int,
    ) -> RewardConfig:
        """What the reward is built from; relative paths in its options start at `folder`."""
        return RewardConfig(
            task=task.absolute(),
            pool=pool.absolute(),
            folder=folder.absolute(),
            cache=cache.absolute(),
            plugin_files=plugin_files,
            seed=seed,
            options=self.options,
        )


class TrainSettings(_Settings):
    """All of a training. Paths are relative to the file that holds the settings."""

    tasks: tuple[TaskAndPool, ...] = Field(min_length=1, description="Taken in turn.")
    output: Path = Field(description="Where checkpoints and the log of recipes go.")
    model: str = Field("tiny", description="A checkpoint's folder, a name of the hub, or tiny.")
    algorithm: Literal["grpo", "rloo", "ppo"] = "grpo"
    steps: int = Field(100, ge=1, description="Updates of the policy.")
    recipes_per_step: int = Field(32, ge=2, description="Recipes that are scored for an update.")
    recipes_per_brief: int = Field(32, ge=2, description="Of these, recipes for one brief.")
    batch: int = Field(32, ge=1, description="Recipes that are in memory at once, per process.")
    learning_rate: float = Field(1e-3, gt=0, lt=1)
    schedule: Literal["linear", "constant"] = Field(
        "linear", description="Of the learning rate: down to 0 at the last of all steps, or not."
    )
    critic_learning_rate: float = Field(1e-3, gt=0, lt=1, description="Of PPO's critic.")
    temperature: float = Field(1.0, gt=0, le=10)
    kl: float = Field(0.0, ge=0, description="Weight of the KL divergence from the first policy.")
    entropy: float = Field(0.0, ge=0, description="Weight of an entropy bonus; GRPO and PPO.")
    prompt_tokens: int = Field(256, ge=16, description="Longest brief, in tokens of the model.")
    recipe_tokens: int = Field(2048, ge=16, description="Room for a recipe; vLLM reserves it.")
    limits: Limits = Field(default_factory=Limits)
    subsets: Subsets | None = Field(None, description="Briefs over random parts of the space.")
    cold_start: ColdStart | None = None
    lora: Lora | None = None
    reward: RewardChoice = Field(default_factory=RewardChoice)
    vllm: Literal["colocate", "server"] | None = Field(
        None, description="Recipes are sampled by vLLM: in this process, or by trl vllm-serve."
    )
    report_to: str = Field("none", description="trackio, wandb, tensorboard or none.")
    save_steps: int = Field(20, ge=1)
    seed: int = Field(0, ge=0)
    trainer: dict[str, Any] = Field(
        default_factory=dict, description="Any other option of TRL's GRPOConfig or RLOOConfig."
    )

    @model_validator(mode="after")
    def _fits(self) -> TrainSettings:
        if "output_dir" in self.trainer:
            raise ValueError("trainer.output_dir is not for this file: write output beside trainer")
        if self.recipes_per_step % self.recipes_per_brief:
            raise ValueError("recipes_per_step must be a multiple of recipes_per_brief")
        if self.recipes_per_step % min(self.batch, self.recipes_per_step):
            raise ValueError("recipes_per_step must be a multiple of batch")
        if self.algorithm == "rloo" and self.entropy:
            raise ValueError("RLOO takes no entropy bonus: leave entropy out, or take grpo or ppo")
        if self.vllm and self.recipes_per_step != self.recipes_per_brief:
            raise ValueError(
                "vLLM samples the recipes of a step under one grammar: make recipes_per_brief "
                "equal to recipes_per_step"
            )
        return self

    def located_in(self, folder: Path) -> TrainSettings:
        """These settings with relative paths resolved against the folder of their file."""
        tasks = tuple(
            TaskAndPool(task=located(folder, each.task), pool=located(folder, each.pool))
            for each in self.tasks
        )
        cold = self.cold_start
        if cold is not None:
            cold = cold.model_copy(
                update={"recipes": tuple(located(folder, path) for path in cold.recipes)}
            )
        model = located_or_named(folder, self.model)
        changed = {"tasks": tasks, "output": located(folder, self.output), "cold_start": cold}
        return self.model_copy(update=changed | {"model": model})


POLICY = "policy"
PERSON = "person"
# What the folder of a run is marked as, and what of it is the run's alone.
EVOLUTION = "evolution"
JOURNAL, RECIPES, PROXIES = "journal", "recipes", "proxies"
PLOT = "progress.png"
# Of so many random recipes one is measured first, since many do not pass the gates.
DRAWN = 4


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
    evaluation_backend: str = Field(
        "fine_tuning", description="What measures recipes: the name of a registered backend."
    )
    measuring: dict[str, Any] = Field(
        default_factory=dict, description="How recipes are measured: options of the backend."
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

    def evaluation_config(
        self, *, folder: Path, cache: Path, plugin_files: tuple[str, ...]
    ) -> EvaluationConfig:
        """What the evaluation backend is built from; paths in its options start at `folder`."""
        (chosen,), reward = self.train.tasks, self.train.reward
        config = reward.config(
            chosen.task,
            chosen.pool,
            folder=folder,
            cache=cache,
            plugin_files=plugin_files,
            seed=self.train.seed,
        )
        return EvaluationConfig(reward.name, config, self.output, self.measuring)

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
