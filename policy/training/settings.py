"""How a policy is trained: the contents of a `train.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datachef.core.paths import located, located_or_named
from datachef.policy.space import Limits

Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
