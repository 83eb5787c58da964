"""Supervised fine-tuning before reinforcement learning: what a brief asks for, and how it is said.

Every recipe is paired with a brief that it fits, over a random part of the space that has all that
the recipe uses (hindsight relabelling, Andrychowicz et al. 2017, arXiv 1707.01495). A policy learns
from such pairs that what it writes is named in its brief, which no reward needs to tell it.
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
from datachef.policy.decoding.base import Draft
from datachef.policy.decoding.local import count_tokens, prompt_tokens
from datachef.policy.grammar import Grammar, Grammars, written
from datachef.policy.prompt.writer import Brief
from datachef.policy.recipe_task import Assignment
from datachef.policy.scored_recipes import Objective, Recipe, plain_recipe
from datachef.policy.search import SEARCHES, run_search
from datachef.policy.settings import ColdStart, TrainSettings
from datachef.policy.training.environment import RecipeLog, part_of
from datachef.policy.training.train import TRAINING, adapters, is_first, wait_for_all

FOLDER = "cold-start"


def cold_start(
    settings: TrainSettings,
    assignments: Sequence[Assignment],
    objectives: Sequence[Objective],
    model: str | Path,
) -> str | Path:
    """The model after fine-tuning on recipes as the settings say; the model itself where they say
    nothing. What was done before in the output folder is not done again.

    Recipes that were scored for it are logged in the folder of the model that it returns.
    """
    cold, folder = settings.cold_start, settings.output / FOLDER
    if cold is None or _is_done(settings.output):
        return model if cold is None else folder
    with quiet(offline=is_local(model)), _staging(settings.output) as staging:
        tokenizer = load_tokenizer(model)
        grammars = Grammars(tokenizer)
        log = RecipeLog(staging, 0)
        rows: list[dict[str, Any]] = []
        for assignment, objective in zip(assignments, objectives, strict=True):
            drafts = _drafts(settings, cold, assignment, objective, log)
            pairs = _relabelled(settings, assignment, drafts, tokenizer)
            rows += [
                _row(brief, draft, grammars.of(brief.space), tokenizer) for brief, draft in pairs
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
    """Whether the folder holds the model whole; where it is damaged it is made again."""
    known = OutputFolder.existing(output, TRAINING)
    if known is None or not known.owns(FOLDER):
        return False
    damaged = known.damage(FOLDER)
    if damaged and is_first():
        print(f"{output / damaged} is damaged: the cold start is done again", file=sys.stderr)
    return not damaged


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """Where the model is saved: the first of several processes puts it in its place."""
    if is_first():
        with OutputFolder.open(output, TRAINING).making(FOLDER) as staging:
            yield staging
    else:
        with TemporaryDirectory() as scratch:
            yield Path(scratch)
    wait_for_all()


def _drafts(
    settings: TrainSettings,
    cold: ColdStart,
    assignment: Assignment,
    objective: Objective,
    log: RecipeLog,
) -> list[Draft]:
    """Given ones, and the best of those that a search found."""
    space = assignment.space
    if settings.subsets is not None:
        shown = set(space.operators) - set(settings.subsets.held_out)
        space = space.narrowed(shown, space.surveys)
    search = SEARCHES[cold.search](space, settings.seed)
    drawn: Sequence[Recipe]
    if cold.reward_calls:
        calls = run_search(search, objective, cold.drawn)
        log.add(0, assignment.name, [c.recipe for c in calls], [c.score for c in calls])
        best = sorted(calls, key=lambda call: -call.score.value)
        drawn = [call.recipe for call in best[: round(cold.kept * len(calls))]]
    else:
        drawn = search.ask(cold.drawn)
    return [space.draft(recipe) for recipe in (*map(plain_recipe, cold.recipes), *drawn)]


def _relabelled(
    settings: TrainSettings, assignment: Assignment, drafts: Sequence[Draft], tokenizer: Any
) -> Iterator[tuple[Brief, Draft]]:
    """Each draft with a brief that it fits."""
    counting = partial(count_tokens, tokenizer=tokenizer)
    rng = random.Random(f"relabel {settings.seed}")
    for draft in drafts:
        space = assignment.space
        if settings.subsets is not None:
            space = part_of(space, settings.subsets, rng, needed=_names(draft))
        brief = assignment.brief(counting, settings.prompt_tokens, space)
        yield brief, space.draft(space.recipe(draft, "relabelled"), draft.get("budget"))


def _row(brief: Brief, draft: Draft, grammar: Grammar, tokenizer: Any) -> dict[str, list[int]]:
    """A text for TRL's trainer, which learns the decisions of the draft alone."""
    prompt, text = prompt_tokens(brief, tokenizer), grammar.spell(written(draft))
    decided = [0] * len(text)
    for decision in grammar.decisions(text):
        decided[decision.index] = 1
    return {"input_ids": prompt + text, "completion_mask": [0] * len(prompt) + decided}


def _names(draft: Draft) -> set[str]:
    """The sources and operators of a draft."""
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
            peft_config=adapters(settings),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    trained: Any = trainer.model
    return trained if settings.lora is None else trained.merge_and_unload()
