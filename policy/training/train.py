"""Training: from settings, assignments and their objectives to a checkpoint that writes recipes."""

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
from datachef.policy.recipe_task import Assignment, PolicyCard, is_whole
from datachef.policy.scored_recipes import Objective
from datachef.policy.settings import TrainSettings
from datachef.policy.training.environment import LOG_FILE as LOG
from datachef.policy.training.environment import Episode, RecipeLog, RecipeScores, episodes
from datachef.policy.training.grammar_trainer import ALGORITHMS, Book

Told = Callable[[int, float], None]

# What the folder of a training is marked as.
TRAINING = "training"
# Where TRL's trainer writes: checkpoints until they are whole, its card, and its logs.
SCRATCH = "trainer"
KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-[0-9]+")


def train(
    settings: TrainSettings,
    assignments: Sequence[Assignment],
    objectives: Sequence[Objective],
    model: str | Path,
    *,
    steps: int | None = None,
    told: Told | None = None,
) -> Path:
    """Trains until so many `steps`, those of the settings by default, and returns the checkpoint.

    Goes on from the last whole checkpoint in `settings.output`, and from there as if it had never
    stopped. `model` is where the first step begins: a checkpoint's folder or a name of the hub.
    There is one objective per assignment. `told` hears of every step and the mean value of
    its recipes. Raises `RunError` where the output holds what is not of a training of ours.
    """
    steps = steps or settings.steps
    if is_first():
        _prepare(settings.output)
    last = last_checkpoint(settings.output)
    if last is not None and step_of(last) >= steps:
        return last
    with quiet(offline=is_local(model)):
        tokenizer = load_tokenizer(model)
        book = Book(tokenizer, jumps=settings.vllm is None)
        asked = _asked(settings, assignments, book, steps)
        log = RecipeLog(settings.output, 0 if last is None else step_of(last))
        algorithm, _ = ALGORITHMS[settings.algorithm]
        trainer = algorithm(
            model=str(model),
            reward_funcs=RecipeScores(tokenizer, asked, assignments, objectives, log),
            args=configuration(settings, steps),
            train_dataset=Dataset.from_list(
                [
                    {"prompt": list(each.brief.messages), "episode": number}
                    for number, each in enumerate(asked)
                ]
            ),
            processing_class=tokenizer,
            peft_config=adapters(settings),
            callbacks=[_Watch(settings, PolicyCard.of(assignments), told)],
        )
        trainer.book, trainer.total_steps = book, settings.steps
        if settings.algorithm == "ppo":
            trainer.add_critic(settings.critic_learning_rate)
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return _checkpoints(OutputFolder.open(settings.output, TRAINING))[-1]


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of ours that is as it was saved; of damaged ones it is told."""
    output = OutputFolder.existing(folder, TRAINING)
    if output is None:
        return None
    for path in reversed(_checkpoints(output)):
        damaged = output.damage(path.name)
        if not damaged and is_whole(path):
            return path
        if is_first():
            said = f"{path} is damaged ({damaged or 'its card'}): going on from an earlier one"
            print(said, file=sys.stderr, flush=True)
    return None


def _checkpoints(output: OutputFolder) -> list[Path]:
    """Those that were put there by us, in the order of their steps."""
    found = [path for path in output.path.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    return sorted((path for path in found if output.owns(path.name)), key=step_of)


def _prepare(folder: Path) -> None:
    """Marks the folder, and clears what a kill left half. Raises `RunError` where something in it
    has a name that training is going to write."""
    output = OutputFolder.open(folder, TRAINING)
    output.claim(LOG, f"{SCRATCH}/")
    for path in output.path.iterdir():
        if _CHECKPOINT.fullmatch(path.name) and not output.owns(path.name):
            raise RunError(
                f"{path} was not written by this training", "move it away, or choose another output"
            )
    for path in output.path.glob(f"{SCRATCH}/checkpoint-*"):
        shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """After how many steps it was saved."""
    return int(checkpoint.name.rpartition("-")[2])


class _Watch(TrainerCallback):
    """Completes checkpoints, and tells of steps."""

    def __init__(self, settings: TrainSettings, card: PolicyCard, told: Told | None) -> None:
        self._folder = settings.output
        self._kept = settings.trainer.get("save_total_limit", KEPT)
        self._card = card
        self._told = told

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        wait_for_all()
        if state.is_world_process_zero:
            output = OutputFolder.open(self._folder, TRAINING)
            name = f"checkpoint-{state.global_step}"
            saved = Path(args.output_dir) / name
            self._card.write(saved)
            output.put(saved, name)
            if self._kept is not None and self._kept > 0:
                for path in _checkpoints(output)[: -self._kept]:
                    output.remove(path.name)
        wait_for_all()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self._told is not None and state.is_world_process_zero and "value" in (logs or {}):
            self._told(state.global_step, logs["value"])


def _asked(
    settings: TrainSettings,
    assignments: Sequence[Assignment],
    book: Book,
    steps: int,
) -> list[Episode]:
    """The briefs of all steps, in their order; the first ones do not depend on how many follow.

    Of two that read the same but allow something else the second is left out.
    """
    needed = steps * settings.recipes_per_step // settings.recipes_per_brief
    asked: list[Episode] = []
    briefs = episodes(
        assignments, settings.subsets, settings.seed, book.count_tokens, settings.prompt_tokens
    )
    for each in briefs:
        if len(asked) == needed:
            break
        if book.add(each.brief):
            asked.append(each)
    return asked


def configuration(settings: TrainSettings, steps: int) -> Any:
    """TRL's configuration of a training; options that are given go before ours.

    The recipes of a step are shared among the processes that `accelerate launch` started.
    """
    on_gpu, processes = is_available(), int(os.environ.get("WORLD_SIZE", "1"))
    share = max(settings.recipes_per_step // processes, 1)
    batch = min(settings.batch, share)
    coarse = on_gpu and settings.lora is not None  # adapters learn beside frozen weights
    arguments: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": share // batch,
        "num_generations": settings.recipes_per_brief,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "temperature": settings.temperature,
        "beta": settings.kl,
        "max_completion_length": settings.recipe_tokens,
        "chat_template_kwargs": {"enable_thinking": False},
        "model_init_kwargs": {
            "dtype": "bfloat16" if coarse else "float32",
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
        # Checkpoints are put in their place, and old ones removed, by `_Watch`.
        ours = {"output_dir": str(settings.output / SCRATCH), "save_total_limit": None}
        return config(**arguments | settings.trainer | ours)


def adapters(settings: TrainSettings) -> Any:
    """What TRL's trainers take as `peft_config`; None to train all weights."""
    if settings.lora is None:
        return None
    return LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def is_first() -> bool:
    """Whether this process is the one that writes; also where it is alone."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Returns when all processes came here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
