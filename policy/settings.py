"""The settings of a policy: limits of the grammar, and the contents of a `train.yaml` and an
`evolve.yaml`."""

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


class GrammarLimits(_Settings):
    """What recipes may be made of, and how large they get."""

    operators: tuple[str, ...] | None = Field(
        None, description="Names of the operators to offer; all by default."
    )
    sources: tuple[str, ...] | None = Field(
        None, description="Names of the pool's sources to offer; all by default."
    )
    source_steps: int = Field(3, ge=0, le=20, description="Largest number of steps of a source.")
    corpus_steps: int = Field(
        2, ge=0, le=20, description="Largest number of steps on the mixed corpus."
    )
    weights: tuple[Weight, ...] = Field(
        (1, 2, 4, 8, 16), min_length=1, description="Weights of sources in the mix to choose from."
    )
    budgets: tuple[PositiveShare, ...] = Field(
        (0.25, 0.5, 1.0), min_length=1, description="Shares of the task's budget to choose from."
    )
    values: int = Field(
        7, ge=2, le=50, description="Largest number of values of a numeric parameter."
    )
    parameters: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Values to choose from by OPERATOR.PARAMETER, in place of the default ones. A "
        "parameter with a single value always has it.",
    )
    least_kept: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a source's first rows that a step has to keep to be offered for it; "
        "0 to offer all that fit.",
    )
    reason_characters: int = Field(
        0, ge=0, le=1_000, description="Longest reason for a step, in characters; 0 for no reasons."
    )


Share = Annotated[float, Field(ge=0, le=1)]


class TaskAndPool(_Settings):
    """The task that recipes are written for, and the pool of sources they may use."""

    task: Path
    pool: Path


class Subsets(_Settings):
    """Prompts over random parts of the space: bounds of uniformly drawn shares."""

    operators: tuple[Share, Share] = Field((0.3, 1.0), description="Share of the operators.")
    sources: tuple[Share, Share] = Field((0.4, 1.0), description="Share of the sources.")
    budget: tuple[Share, Share] = Field((0.25, 1.0), description="Share of the task's budget.")
    held_out: tuple[str, ...] = Field(
        (), description="Operators that are never in a prompt, to test how the policy generalizes."
    )


class ColdStart(_Settings):
    """Supervised fine-tuning before reinforcement learning, on pairs of prompt and recipe."""

    recipes: tuple[Path, ...] = Field((), description="Recipes written by people, as YAML files.")
    search: Literal["random", "tpe", "evolution"] = Field(
        "random", description="The search that draws more recipes: uniformly, or guided by reward."
    )
    drawn: int = Field(
        500, ge=0, description="Number of recipes that the search draws for each task."
    )
    kept: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the drawn recipes to train on, those with the highest reward.",
    )
    epochs: float = Field(1.0, gt=0, le=1000)
    learning_rate: float = Field(1e-3, gt=0, lt=1)

    @property
    def reward_calls(self) -> int:
        """Reward calls for each task; none if random recipes are all kept."""
        return self.drawn if self.search != "random" or self.kept < 1 else 0


class Lora(_Settings):
    """Low-rank adapters in place of full fine-tuning (Hu et al. 2021, arXiv 2106.09685)."""

    rank: int = Field(16, ge=1, le=1024)
    alpha: int = Field(32, ge=1, le=4096)


class RewardChoice(_Settings):
    """The name of a registered reward, and its options."""

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
    """The contents of a `train.yaml`. Paths are relative to the file."""

    tasks: tuple[TaskAndPool, ...] = Field(min_length=1, description="Used in turn.")
    output: Path = Field(description="Folder of the checkpoints and the log of recipes.")
    model: str = Field("tiny", description="A checkpoint's folder, a model id on the Hub, or tiny.")
    algorithm: Literal["grpo", "rloo", "ppo"] = "grpo"
    steps: int = Field(100, ge=1, description="Number of updates of the policy.")
    recipes_per_step: int = Field(32, ge=2, description="Recipes scored for each update.")
    recipes_per_prompt: int = Field(32, ge=2, description="Recipes sampled for each prompt.")
    batch: int = Field(32, ge=1, description="Recipes per device in one forward pass.")
    learning_rate: float = Field(1e-3, gt=0, lt=1)
    schedule: Literal["linear", "constant"] = Field(
        "linear", description="Schedule of the learning rate; linear decays to 0 at the last step."
    )
    critic_learning_rate: float = Field(
        1e-3, gt=0, lt=1, description="Learning rate of PPO's critic."
    )
    temperature: float = Field(1.0, gt=0, le=10)
    kl: float = Field(0.0, ge=0, description="Weight of the KL divergence from the initial policy.")
    entropy: float = Field(0.0, ge=0, description="Weight of an entropy bonus, in GRPO and PPO.")
    prompt_tokens: int | None = Field(
        None,
        ge=16,
        description="Longest prompt, in tokens of the model; by default 256, or as many as the "
        "names of sources and operators take.",
    )
    recipe_tokens: int = Field(
        2048, ge=16, description="Longest recipe, in tokens; vLLM reserves them."
    )
    limits: GrammarLimits = Field(default_factory=GrammarLimits)
    subsets: Subsets | None = Field(None, description="Prompts over random parts of the space.")
    cold_start: ColdStart | None = None
    lora: Lora | None = None
    reward: RewardChoice = Field(default_factory=RewardChoice)
    vllm: Literal["colocate", "server"] | None = Field(
        None, description="Sample recipes with vLLM, in this process or by trl vllm-serve."
    )
    baselines: tuple[Literal["sources", "random", "tpe", "evolution"], ...] = Field(
        ("sources", "random"),
        description="Searches that get as many reward calls as the training made, to compare with.",
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
        if self.recipes_per_step % self.recipes_per_prompt:
            raise ValueError("recipes_per_step must be a multiple of recipes_per_prompt")
        if self.recipes_per_step % min(self.batch, self.recipes_per_step):
            raise ValueError("recipes_per_step must be a multiple of batch")
        if self.algorithm == "rloo" and self.entropy:
            raise ValueError("RLOO has no entropy bonus: leave entropy out, or use grpo or ppo")
        if self.vllm and self.recipes_per_step != self.recipes_per_prompt:
            raise ValueError(
                "vLLM samples all recipes of a step under one grammar: make recipes_per_prompt "
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


# Methods of the comparison beside the searches; the first also names a folder in the output.
POLICY = "policy"
HUMAN = "human"
# How outputs are marked, and what is in them; the page and the best recipes are in both.
TRAINING, EVOLUTION = "training", "evolution"
BASELINES, RESULTS = "baselines", "training.json"
STATE, RECIPES, PROXIES, REPORT = "state", "recipes", "proxies", "report.json"
PAGE, BEST_RECIPES = "report.html", "best"
# Random recipes drawn for each one that is measured first; a few of them spread out.
RANDOM_PER_MEASURED = 4


class EvolveBudget(_Settings):
    """Upper limits of a run; what is not given is unlimited."""

    minutes: float | None = Field(
        None, gt=0, description="Duration of all rounds, over restarts, without the comparison."
    )
    reward_calls: int | None = Field(
        None, ge=1, description="Reward calls of the policy; each baseline gets as many as it made."
    )
    evaluations: int | None = Field(
        None, ge=1, description="Trainings of a base model, including the comparison."
    )


class EvolveSettings(_Settings):
    """The contents of an `evolve.yaml`. Paths are relative to the file."""

    train: TrainSettings = Field(
        description="As in a train.yaml, for one task, without output, steps and baselines."
    )
    output: Path = Field(description="Folder of the run: state, checkpoints, recipes, report.")
    rounds: int = Field(5, ge=1, description="Number of rounds: train, measure, refit the proxy.")
    steps_per_round: int = Field(20, ge=1, description="Updates of the policy in each round.")
    samples_per_round: int = Field(
        64,
        ge=0,
        description="Recipes sampled from the policy after the training of a round.",
    )
    measured_first: int = Field(
        8,
        ge=0,
        description="Recipes to measure before the first round: human_recipes, single sources, all "
        "of them, in the form of the task, and some that spread out. 6 fit a first proxy.",
    )
    measured_per_round: int = Field(
        2, ge=1, description="Recipes measured in each round, the best."
    )
    climb_above: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="A round climbs the proxy if the lower bound of its rank correlation, each "
        "recipe left out once, is above this; else the reward as it is without measurements.",
    )
    seeds: int = Field(1, ge=1, le=100, description="Seeds with which a recipe is measured.")
    final_seeds: int = Field(
        3,
        ge=1,
        le=100,
        description="Fresh seeds with which the recipes of the comparison are measured.",
    )
    budget: EvolveBudget = EvolveBudget()
    baselines: tuple[Literal["sources", "random", "tpe", "evolution"], ...] = Field(
        ("sources", "random", "tpe", "evolution"),
        description="Methods that the policy is compared with.",
    )
    human_recipes: tuple[Path, ...] = Field(
        (), description="Recipes written by people, to measure first and to compare with."
    )
    measured_per_baseline: int = Field(
        1, ge=1, description="Recipes measured of each; the best is compared."
    )
    evaluation_backend: str = Field(
        "fine_tuning", description="What measures recipes: the name of a registered backend."
    )
    evaluation: dict[str, Any] = Field(
        default_factory=dict, description="How recipes are measured: options of the backend."
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_and_output(cls, data: Any) -> Any:
        """Fills in what follows from the other settings."""
        if not isinstance(data, dict) or not isinstance(data.get("train"), dict):
            return data
        train = data["train"]
        for name, instead in (
            ("steps", "rounds and steps_per_round"), ("output", "output"),
            ("baselines", "baselines"),
        ):  # fmt: skip
            if name in train:
                raise ValueError(f"train.{name} is not for this file: write {instead} beside train")
        return data | {"train": train | {"output": POLICY}}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.train.tasks) != 1:
            raise ValueError("evolve works for one task: give train.tasks exactly one")
        least = self.reserved + self.seeds
        if self.budget.evaluations is not None and self.budget.evaluations < least:
            raise ValueError(
                f"budget.evaluations is {self.budget.evaluations}, but the comparison takes "
                f"{self.reserved} and the first measurement {self.seeds}"
            )
        calls = self.cold_calls + self.calls_per_round
        if self.budget.reward_calls is not None and self.budget.reward_calls < calls:
            raise ValueError(
                f"budget.reward_calls is {self.budget.reward_calls}, but the first round takes "
                f"{calls}"
            )
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the policy is compared with."""
        return (*self.baselines, *([HUMAN] if self.human_recipes else ()))

    @property
    def reserved(self) -> int:
        """Evaluations set aside for the comparison."""
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
        return EvaluationConfig(reward.name, config, self.output, self.evaluation)

    def located_in(self, folder: Path) -> EvolveSettings:
        """These settings with relative paths resolved against the folder of their file."""
        output = located(folder, self.output)
        steps = self.rounds * self.steps_per_round
        train = self.train.located_in(folder)
        # With a rate that decays to 0 more rounds could not be added later.
        schedule = train.schedule if "schedule" in self.train.model_fields_set else "constant"
        filled = {"output": output / POLICY, "steps": steps, "schedule": schedule}
        train = train.model_copy(update=filled)
        human_recipes = tuple(located(folder, path) for path in self.human_recipes)
        return self.model_copy(
            update={"train": train, "output": output, "human_recipes": human_recipes}
        )
