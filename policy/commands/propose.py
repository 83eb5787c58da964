"""`chef propose`: recipes for a task, written by a policy, scored, with their reasons."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli import completion
from datachef.core.cli.display import interval
from datachef.core.cli.state import AsJson, CacheFolder, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core import Reward
    from datachef.core.system.outputs import OutputFolder
    from datachef.policy.decoding import Decoder
    from datachef.policy.scored_recipes import RecipeTask, ScoredRecipe
    from datachef.policy.space.space import RecipeDraft


PROPOSALS = "set of proposed recipes"


def register(app: typer.Typer) -> None:
    app.command("propose")(propose)


def propose(
    task: Annotated[
        Path, typer.Option("--task", help="A task.yaml.", autocompletion=completion.tasks)
    ],
    pool: Annotated[
        Path, typer.Option("--pool", help="A pool.yaml.", autocompletion=completion.pools)
    ],
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            "-p",
            help="Checkpoint folder, model id on the Hugging Face Hub, or tiny (untrained).",
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", help="Ask a vLLM server, as http://HOST:PORT/v1, for the policy."),
    ] = None,
    vllm: Annotated[
        bool, typer.Option("--vllm", help="Run the policy with vLLM in this process.")
    ] = False,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Number of recipes to write.")
    ] = 5,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Number of drafts to sample (default: 8 × --number).")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, max=10, help="Sampling temperature; 0 is greedy.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    prompt_tokens: Annotated[
        int, typer.Option(min=16, help="Maximum prompt length in tokens.")
    ] = 1024,
    limits: Annotated[
        Path | None,
        typer.Option("--limits", help="A YAML file with limits: what recipes may be made of."),
    ] = None,
    reward: Annotated[
        Path | None, typer.Option("--reward", help="A YAML file: name and options of a reward.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of recipes.")] = Path(
        "proposals"
    ),
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Propose different recipes for a task, best first, each with what its steps add.

    Every recipe passes chef check: the policy can write nothing else.
    """
    from datachef.core.recipe.resolving import read_typed
    from datachef.core.registry.factories import build_reward
    from datachef.core.system.lock import locked
    from datachef.core.system.outputs import OutputFolder, refuse_places, refuse_unmarked
    from datachef.core.system.paths import default_cache
    from datachef.policy.model import TINY, require_model
    from datachef.policy.scored_recipes import RecipeTask, ScoreTracker, best_different
    from datachef.policy.settings import GrammarLimits, RewardChoice

    host, kept = get_host(), (cache or default_cache()).absolute()
    refuse_places(output, [("the cache", kept)])
    refuse_unmarked(output, PROPOSALS)
    if server is None:
        require_model(policy or TINY)
    space_limits = read_typed(limits, GrammarLimits) if limits is not None else GrammarLimits()
    choice = read_typed(reward, RewardChoice) if reward is not None else RewardChoice()
    folder = reward.absolute().parent if reward is not None else Path.cwd()
    recipe_task = RecipeTask.load(host, task, pool, space_limits)
    config = choice.config(task, pool, folder=folder, cache=kept, plugin_files=host.files, seed=0)
    scorer = build_reward(host, choice.name, config)
    decoder = _decoder(policy, server, vllm, recipe_task, kept)
    prompt = recipe_task.prompt(decoder.count_tokens, prompt_tokens)
    count = samples or 8 * number
    drafts = decoder.sample([prompt] * count, temperature=temperature, seed=seed)
    recipes = [recipe_task.space.recipe(draft, "drafted") for draft in drafts]
    tracker = ScoreTracker(scorer, pool.absolute().parent)
    tracker.score_all(recipes)
    drafted = {id(scored): draft for scored, draft in zip(tracker.scored, drafts, strict=True)}
    with locked(output):
        written = OutputFolder.open(output, PROPOSALS)
        found = [
            _written(rank, scored, drafted[id(scored)], recipe_task, scorer, written, output)
            for rank, scored in enumerate(best_different(tracker.scored, number), start=1)
        ]
    scorer.close()
    if as_json:
        print_json(found)
    else:
        _show(found)


def _decoder(
    policy: str | None, server: str | None, vllm: bool, recipe_task: RecipeTask, cache: Path
) -> Decoder:
    from datachef.core import DatachefError

    if server is not None:
        from datachef.core.language_models.openai import API_KEY
        from datachef.policy.decoding.vllm import ServerDecoder

        if policy is None:
            raise DatachefError("no model is named", "give --policy the name the server knows")
        return ServerDecoder(server, policy, os.environ.get(API_KEY, ""))
    from datachef.policy.model import TINY, PolicyCard, policy_model

    model = policy_model(policy or TINY, [recipe_task], cache)
    card = PolicyCard.read(Path(model))
    if card is not None and (said := card.differences(recipe_task.space)):
        print(said, file=sys.stderr)
    if vllm:
        from datachef.policy.decoding.vllm import VLLMDecoder

        return VLLMDecoder(str(model))
    from datachef.policy.decoding.local import LocalDecoder

    return LocalDecoder.of(model)


def _written(
    rank: int,
    scored: ScoredRecipe,
    draft: RecipeDraft,
    recipe_task: RecipeTask,
    reward: Reward,
    output: OutputFolder,
    folder: Path,
) -> dict[str, Any]:
    """Writes a recipe with its rationale, and returns what `--json` prints of it; `folder` is the
    output as the user named it."""
    from datachef.policy.scored_recipes import (
        effect_comments,
        part_effects,
        reasons_in,
        said_of,
        with_comments,
    )

    name = f"{recipe_task.name}-{rank}"
    score, said = scored.score, reasons_in(draft)
    parts = part_effects(scored, recipe_task, reward)
    comments = effect_comments(parts)
    for place, reason in said.items():
        comments[place] = "; ".join(filter(None, (comments.get(place), reason)))
    file = f"{name}.yaml"
    recipe = recipe_task.runnable(scored.recipe, name, output.path)
    output.write(file, with_comments(recipe, comments, said_of(score)).encode(), edited=True)
    return {
        "path": str(folder / file),
        "value": score.value,
        "predicted": score.predicted,
        "interval": score.interval,
        "gate": score.gate,
        "sources": list(scored.recipe["sources"]),
        "effects": {part.path: part.effect for part in parts},
        "reasons": said,
    }


def _show(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("recipe")
    for name in ("value", "predicted", "interval"):
        table.add_column(name, justify="right")
    table.add_column("sources")
    for one in found:
        predicted = "" if one["predicted"] is None else f"{one['predicted']:.4f}"
        table.add_row(
            one["path"], f"{one['value']:.4f}", one["gate"] or predicted,
            interval(one["interval"]), ", ".join(one["sources"]),
        )  # fmt: skip
    console().print(table)
