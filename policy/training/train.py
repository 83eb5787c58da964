"""Trains a policy by reinforcement learning, from its settings to a checkpoint."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch.cuda import is_available
from transformers import PrinterCallback, TrainerCallback

from datachef.core.errors import RunError
from datachef.core.language_models.checkpoint import is_local, load_tokenizer, quiet
from datachef.core.system.outputs import OutputFolder
from datachef.policy.model import MODEL_CARD, PolicyCard, is_complete
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import BASELINES, PAGE, RESULTS, TRAINING, TrainSettings
from datachef.policy.training.environment import (
    PromptSample,
    RecipeRewardFunction,
    sample_prompts,
)
from datachef.policy.training.grammar_trainer import ALGORITHMS, GrammarCache
from datachef.policy.training.log import LOG_FILE, RecipeLog, read_log
from datachef.policy.training.model_card import model_card

# Called with the number of a step, and the mean value of its recipes.
OnStep = Callable[[int, float], None]

# Where TRL's trainer writes: incomplete checkpoints and its logs.
SCRATCH = "trainer"
KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-[0-9]+")


def train(
    settings: TrainSettings,
    recipe_tasks: Sequence[RecipeTask],
    trackers: Sequence[ScoreTracker],
    model: str | Path,
    *,
    steps: int | None = None,
    on_progress: OnStep | None = None,
) -> Path:
    """Trains until step `steps`, by default that of the settings, and returns the checkpoint.

    Continues from the last complete checkpoint in `settings.output`, as if it had never stopped.
    `model` is the initial policy: a checkpoint's folder or a model id on the Hugging Face Hub.
    There is one tracker for each task. `on_progress` is called after every step. Raises `RunError`
    if the output contains something that is not of a training.
    """
    steps = steps or settings.steps
    if is_main_process():
        _prepare(settings.output)
    last = last_checkpoint(settings.output)
    if last is not None and checkpoint_step(last) >= steps:
        return last
    with quiet(offline=is_local(model)):
        tokenizer = load_tokenizer(model)
        grammars = GrammarCache(tokenizer, fast_forward=settings.vllm is None)
        samples = _prompt_samples(settings, recipe_tasks, grammars, steps)
        log = RecipeLog(settings.output, 0 if last is None else checkpoint_step(last))
        algorithm, _ = ALGORITHMS[settings.algorithm]
        trainer = algorithm(
            model=str(model),
            reward_funcs=RecipeRewardFunction(tokenizer, samples, recipe_tasks, trackers, log),
            args=trl_config(settings, steps),
            train_dataset=Dataset.from_list(
                [
                    {"prompt": list(each.prompt.messages), "sample": number}
                    for number, each in enumerate(samples)
                ]
            ),
            processing_class=tokenizer,
            peft_config=lora_config(settings),
            callbacks=[_CheckpointCallback(settings, recipe_tasks, on_progress)],
        )
        trainer.grammars, trainer.total_steps = grammars, settings.steps
        if settings.algorithm == "ppo":
            trainer.add_critic(settings.critic_learning_rate)
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return _checkpoints(OutputFolder.open(settings.output, TRAINING))[-1]


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint in the output of a training that is complete and unchanged.

    A warning on standard error names damaged ones.
    """
    output = OutputFolder.existing(folder, TRAINING)
    if output is None:
        return None
    for path in reversed(_checkpoints(output)):
        damaged = output.damage(path.name)
        if not damaged and is_complete(path):
            return path
        if is_main_process():
            said = f"{path} is damaged ({damaged or 'its card'}): continuing from an earlier one"
            print(said, file=sys.stderr, flush=True)
    return None


def _checkpoints(output: OutputFolder) -> list[Path]:
    """The checkpoints that training put there, in the order of their steps."""
    found = [path for path in output.path.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    return sorted((path for path in found if output.owns(path.name)), key=checkpoint_step)


def _prepare(folder: Path) -> None:
    """Marks the folder, and removes checkpoints that a kill left incomplete.

    Raises `RunError` if it contains a checkpoint that training did not put there.
    """
    output = OutputFolder.open(folder, TRAINING)
    output.claim(LOG_FILE, f"{SCRATCH}/", f"{BASELINES}/", RESULTS, PAGE)
    for path in output.path.iterdir():
        if _CHECKPOINT.fullmatch(path.name) and not output.owns(path.name):
            raise RunError(
                f"{path} was not written by this training", "move it away, or choose another output"
            )
    for path in output.path.glob(f"{SCRATCH}/checkpoint-*"):
        shutil.rmtree(path)


def checkpoint_step(checkpoint: Path) -> int:
    """The number of steps after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])


class _CheckpointCallback(TrainerCallback):
    """Puts complete checkpoints into the output, and reports steps."""

    def __init__(
        self,
        settings: TrainSettings,
        recipe_tasks: Sequence[RecipeTask],
        on_progress: OnStep | None,
    ) -> None:
        self._settings = settings
        self._recipe_tasks = recipe_tasks
        self._folder = settings.output
        self._kept = settings.trainer.get("save_total_limit", KEPT)
        self._on_progress = on_progress

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        wait_for_everyone()
        if state.is_world_process_zero:
            output = OutputFolder.open(self._folder, TRAINING)
            name = f"checkpoint-{state.global_step}"
            saved = Path(args.output_dir) / name
            card = model_card(self._settings, self._recipe_tasks, read_log(self._folder))
            (saved / MODEL_CARD).write_text(card, encoding="utf-8")
            PolicyCard.of(self._recipe_tasks).write(saved)
            output.put(saved, name)
            if self._kept is not None and self._kept > 0:
                for path in _checkpoints(output)[: -self._kept]:
                    output.remove(path.name)
        wait_for_everyone()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if (
            self._on_progress is not None
            and state.is_world_process_zero
            and "value" in (logs or {})
        ):
            self._on_progress(state.global_step, logs["value"])


def _prompt_samples(
    settings: TrainSettings,
    recipe_tasks: Sequence[RecipeTask],
    grammars: GrammarCache,
    steps: int,
) -> list[PromptSample]:
    """The prompts of all steps in their order, which do not depend on how many follow.

    A prompt with the same text as an earlier one, but another space, is left out.
    """
    needed = steps * settings.recipes_per_step // settings.recipes_per_prompt
    samples: list[PromptSample] = []
    endless = sample_prompts(
        recipe_tasks, settings.subsets, settings.seed, grammars.count_tokens, settings.prompt_tokens
    )
    for each in endless:
        if len(samples) == needed:
            break
        if grammars.add(each.prompt):
            samples.append(each)
    return samples


def trl_config(settings: TrainSettings, steps: int) -> Any:
    """The configuration of TRL's trainer; options in `settings.trainer` take precedence.

    The recipes of a step are divided among the processes that `accelerate launch` started.
    """
    on_gpu, processes = is_available(), int(os.environ.get("WORLD_SIZE", "1"))
    share = max(settings.recipes_per_step // processes, 1)
    batch = min(settings.batch, share)
    low_precision = on_gpu and settings.lora is not None  # base weights are frozen
    arguments: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": share // batch,
        "num_generations": settings.recipes_per_prompt,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "temperature": settings.temperature,
        "beta": settings.kl,
        "max_completion_length": settings.recipe_tokens,
        "chat_template_kwargs": {"enable_thinking": False},
        "model_init_kwargs": {
            "dtype": "bfloat16" if low_precision else "float32",
            "use_safetensors": True,
        },
        "shuffle_dataset": False,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "use_vllm": settings.vllm is not None,
        "save_steps": settings.save_steps,
        "logging_steps": 1,
        "report_to": settings.report_to,
        "disable_tqdm": True,
        "seed": settings.seed,
    }
    if settings.vllm is not None:
        arguments["vllm_mode"] = settings.vllm
    if settings.algorithm != "rloo":
        arguments["entropy_coef"] = settings.entropy
    _, config = ALGORITHMS[settings.algorithm]
    with quiet(offline=False):
        # `_CheckpointCallback` puts checkpoints in their place and removes old ones.
        ours = {"output_dir": str(settings.output / SCRATCH), "save_total_limit": None}
        return config(**arguments | settings.trainer | ours)


def lora_config(settings: TrainSettings) -> Any:
    """The `peft_config` of TRL's trainers; None to train all weights."""
    if settings.lora is None:
        return None
    return LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def is_main_process() -> bool:
    """Whether this is the process that writes files: the first of those of `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_everyone() -> None:
    """Returns when all processes have reached this call."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
