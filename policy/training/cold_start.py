"""Supervised fine-tuning before reinforcement learning, on pairs of prompt and recipe.

Each recipe is paired with a prompt over a random part of the space that contains all the recipe
uses (hindsight relabelling, Andrychowicz et al. 2017, arXiv 1707.01495). From such pairs a policy
learns to use what its prompt names, without a reward.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets import Dataset
from torch.cuda import is_available as gpu
from transformers import PrinterCallback, set_seed
from trl import SFTConfig, SFTTrainer

from datachef.core.errors import DatachefError
from datachef.core.language_models.checkpoint import (
    is_local,
    load_model,
    load_tokenizer,
    quiet,
)
from datachef.core.system.outputs import OutputFolder
from datachef.policy.decoding.local import count_tokens, prompt_tokens
from datachef.policy.grammar import CompiledGrammars, Grammar, draft_text
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import Recipe, RecipeTask, ScoreTracker
from datachef.policy.search import SEARCHES, run_search
from datachef.policy.settings import TRAINING, ColdStart, TrainSettings
from datachef.policy.space.space import BUDGET, RecipeDraft
from datachef.policy.training.environment import random_subspace
from datachef.policy.training.log import RecipeLog
from datachef.policy.training.train import is_main_process, lora_config, wait_for_everyone

FOLDER = "cold-start"


def cold_start(
    settings: TrainSettings,
    recipe_tasks: Sequence[RecipeTask],
    trackers: Sequence[ScoreTracker],
    model: str | Path,
) -> str | Path:
    """The folder of the fine-tuned model, or `model` itself if the settings have no cold start.

    If the output has the fine-tuned model already, nothing is done. Recipes that are scored for it
    are logged in its folder. Raises `DatachefError` if there are no recipes to learn from.
    """
    cold, folder = settings.cold_start, settings.output / FOLDER
    if cold is None or _is_done(settings.output):
        return model if cold is None else folder
    with quiet(offline=is_local(model)), _staging(settings.output) as staging:
        tokenizer = load_tokenizer(model)
        grammars = CompiledGrammars(tokenizer)
        log = RecipeLog(staging, 0)
        rows: list[dict[str, Any]] = []
        for recipe_task, tracker in zip(recipe_tasks, trackers, strict=True):
            drafts = _drafts(settings, cold, recipe_task, tracker, log)
            pairs = _relabelled(settings, recipe_task, drafts, tokenizer)
            rows += [
                _row(prompt, draft, grammars.of(prompt.space), tokenizer) for prompt, draft in pairs
            ]
        if not rows:
            raise DatachefError("the cold start has no recipes", "name some, or draw some")
        random.Random(settings.seed).shuffle(rows)
        set_seed(settings.seed)
        trained = _fine_tuned(load_model(model), tokenizer, rows, cold, settings)
        trained.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
    return folder


def _is_done(output: Path) -> bool:
    """Whether the output has the fine-tuned model, complete and undamaged."""
    known = OutputFolder.existing(output, TRAINING)
    if known is None or not known.owns(FOLDER):
        return False
    damaged = known.damage(FOLDER)
    if damaged and is_main_process():
        print(f"{output / damaged} is damaged: the cold start is repeated", file=sys.stderr)
    return not damaged


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """The folder to save the model in. The main process puts it in its place in the output."""
    if is_main_process():
        with OutputFolder.open(output, TRAINING).making(FOLDER) as staging:
            yield staging
    else:
        with TemporaryDirectory() as scratch:
            yield Path(scratch)
    wait_for_everyone()


def _drafts(
    settings: TrainSettings,
    cold: ColdStart,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    log: RecipeLog,
) -> list[RecipeDraft]:
    """The drafts of the given recipes, and of the best that a search found."""
    space = recipe_task.cold_start_space(settings.subsets)
    search = SEARCHES[cold.search](space, settings.seed)
    drawn: Sequence[Recipe]
    if cold.reward_calls:
        found = run_search(search, tracker, cold.drawn)
        log.add(
            0, recipe_task.name, [each.recipe for each in found], [each.score for each in found]
        )
        best = sorted(found, key=lambda each: -each.score.value)
        drawn = [each.recipe for each in best[: round(cold.kept * len(found))]]
    else:
        drawn = search.ask(cold.drawn)
    return [*recipe_task.human_drafts(settings), *map(space.draft, drawn)]


def _relabelled(
    settings: TrainSettings, recipe_task: RecipeTask, drafts: Sequence[RecipeDraft], tokenizer: Any
) -> Iterator[tuple[Prompt, RecipeDraft]]:
    """Each draft with a prompt whose space contains it."""
    counting = partial(count_tokens, tokenizer=tokenizer)
    rng = random.Random(f"relabel {settings.seed}")
    for draft in drafts:
        space = recipe_task.space
        if settings.subsets is not None:
            space = random_subspace(space, settings.subsets, rng, needed=_names(draft))
        prompt = recipe_task.prompt(counting, settings.prompt_tokens, space)
        yield prompt, space.draft(space.recipe(draft, "relabelled"), draft.get(BUDGET))


def _row(
    prompt: Prompt, draft: RecipeDraft, grammar: Grammar, tokenizer: Any
) -> dict[str, list[int]]:
    """An example for TRL's trainer, with a loss on the decisions of the draft only."""
    asked, text = prompt_tokens(prompt, tokenizer), grammar.encode(draft_text(draft))
    decided = [0] * len(text)
    for decision in grammar.decisions(text):
        decided[decision.index] = 1
    return {"input_ids": asked + text, "completion_mask": [0] * len(asked) + decided}


def _names(draft: RecipeDraft) -> set[str]:
    """The names of the sources and operators of a draft."""
    steps = [step for source in draft["sources"].values() for step in source.get("steps", ())]
    written = [*steps, *draft.get("steps", ()), *([draft["mix"]] if "mix" in draft else ())]
    return {*draft["sources"], *(step["op"] for step in written)}


def _fine_tuned(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, list[int]]],
    cold: ColdStart,
    settings: TrainSettings,
) -> Any:
    with TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=scratch,
                num_train_epochs=cold.epochs,
                learning_rate=cold.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=5,
                per_device_train_batch_size=settings.batch,
                max_length=None,
                completion_only_loss=True,
                use_cpu=not gpu(),
                bf16=gpu(),
                gradient_checkpointing=gpu(),
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=settings.seed,
            ),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            peft_config=lora_config(settings),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    trained: Any = trainer.model
    return trained if settings.lora is None else trained.merge_and_unload()
