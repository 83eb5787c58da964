"""`chef score`: what recipes are expected to score, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli import completion
from datachef.core.cli.display import interval, place
from datachef.core.cli.state import AsJson, CacheFolder, PoolFile, console, get_host, print_json
from datachef.core.contracts.reward import Reward, RewardConfig, Score
from datachef.core.errors import DatachefError, PluginError, RecipeError
from datachef.reward.config import JudgeOptions, RewardOptions, described

if TYPE_CHECKING:
    from datachef.core.document import Document
    from datachef.core.recipe.contributions import Contribution
    from datachef.reward.score_result import ScoreResult

PROXY = "proxy"
BACKEND: str = JudgeOptions.model_fields["backend"].default
ROWS = str(RewardOptions.model_fields["rows"].default)

RecipeFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="RECIPE...",
        help="YAML files.",
        autocompletion=completion.recipes,
        show_default=False,
    ),
]
TaskFile = Annotated[
    Path | None,
    typer.Option(
        "--task",
        help="A task.yaml; the one that the recipe names by default.",
        autocompletion=completion.tasks,
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help=described("encoder"),
        autocompletion=completion.words(lambda: get_host().assets),
    ),
]
HistoryFile = Annotated[
    Path | None, typer.Option("--history", help="Measurements: the proxy is fitted to them.")
]


def register(app: typer.Typer) -> None:
    app.command("score")(score)


def score(
    recipes: RecipeFiles,
    task: TaskFile = None,
    pool: PoolFile = None,
    reward: Annotated[
        str,
        typer.Option(
            "--reward",
            help="A registered reward.",
            autocompletion=completion.words(lambda: get_host().named("datachef_rewards")),
        ),
    ] = PROXY,
    reward_option: Annotated[
        list[str] | None,
        typer.Option(
            "--reward-option",
            metavar="NAME=VALUE",
            help="An option of the reward, its value as YAML; repeatable.",
        ),
    ] = None,
    history: HistoryFile = None,
    proxy: Annotated[Path | None, typer.Option("--proxy", help=described("proxy"))] = None,
    limits: Annotated[Path | None, typer.Option("--limits", help=described("limits"))] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="A model that grades sampled rows; repeat it for a second."),
    ] = None,
    judge_backend: Annotated[str, typer.Option(help="LLM backend of the judges.")] = BACKEND,
    encoder: EncoderName = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help=described("rows"), show_default=ROWS)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the samples.")] = 0,
    explain: Annotated[
        bool, typer.Option(help="Show what each source and step adds, for a single recipe.")
    ] = True,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page of HTML, for a single recipe."),
    ] = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Predict what recipes will score, from what they make of a sample. Trains nothing.

    Without --history or --proxy nothing was measured, and the prediction is a guess from how well
    the corpus's own n-grams predict the task's examples.

    Another reward than `proxy` takes its options from --reward-option alone.
    """
    from datachef.core.document import read
    from datachef.core.registry.factories import build_reward

    judges = [{"model": model, "backend": judge_backend} for model in judge or ()]
    ours = {
        "history": history, "proxy": proxy, "limits": limits, "judges": judges, "encoder": encoder,
        "rows": rows,
    }  # fmt: skip
    given = {name: value for name, value in ours.items() if value}
    if given and reward != PROXY:
        flags = ", ".join("--judge" if name == "judges" else f"--{name}" for name in given)
        hint = "write --reward-option NAME=VALUE for the options of another reward"
        raise DatachefError(f"only the reward {PROXY} has {flags}", hint)
    if html is not None and len(recipes) > 1:
        raise DatachefError("--html is for a single recipe", "score one recipe at a time")
    options = given | _parsed(reward_option or [])
    documents = [read(path) for path in recipes]
    config = reward_config(documents, task, pool, cache, seed, options)
    scorer = build_reward(get_host(), reward, config)
    try:
        pairs = zip(recipes, documents, strict=True)
        results = [_result(scorer, reward, path, document) for path, document in pairs]
        contributions = []
        if explain and len(results) == 1 and results[0].ran:
            from datachef.core.recipe.contributions import leave_one_out

            base_dir, found = recipes[0].parent, results[0].score
            vocabulary = get_host().vocabulary
            contributions = leave_one_out(documents[0].data, base_dir, scorer, found, vocabulary)
    finally:
        scorer.close()
    if html is not None:
        from datachef.core.pages.rendering import write_page
        from datachef.reward.score_page import score_page

        text = recipes[0].read_text(encoding="utf-8", errors="replace")
        write_page(html, score_page(results[0], contributions, text))
    if as_json:
        print_json([result.to_data(contributions) for result in results])
    elif html is not None:
        console().print(place(html.absolute()), soft_wrap=True)
    elif len(recipes) == 1:
        _explain(results[0], contributions)
    else:
        _rank(results)


def reward_config(
    recipes: Sequence[Document],
    task: Path | None,
    pool: Path | None,
    cache: Path | None,
    seed: int,
    options: Mapping[str, Any],
) -> RewardConfig:
    """The configuration of a reward for recipes that were read from files, all for one task.

    Raises `DatachefError` where it is not clear for which.
    """
    from datachef.core.system.paths import default_cache

    return RewardConfig(
        task=(task or task_of(recipes, pool)).absolute(),
        pool=pool.absolute() if pool is not None else None,
        folder=Path.cwd(),
        cache=(cache or default_cache()).absolute(),
        plugin_files=get_host().files,
        seed=seed,
        options=options,
    )


def task_of(recipes: Sequence[Document], pool: Path | None = None) -> Path:
    """The task that recipes name.

    Raises `DatachefError` where they name none, or several, or one that a recipe restricted to this
    pool may not choose.
    """
    found: dict[Path, Path] = {}
    for document in recipes:
        path = Path(document.file)
        if document.data is None and document.problems:
            raise RecipeError(document.problems)
        named = document.data.get("task") if isinstance(document.data, dict) else None
        if not isinstance(named, str):
            raise DatachefError(
                f"{path} names no task to score it for", "write task: task.yaml, or give --task"
            )
        found.setdefault((path.parent / named).resolve(), path)
    if len(found) > 1:
        named_by = ", ".join(str(path) for path in found.values())
        raise DatachefError(
            f"these recipes are for different tasks: {named_by}", "score them one task at a time"
        )
    ((task, recipe),) = found.items()
    if pool is not None:
        _refuse_beyond(pool, task, recipe)
    return task


def _refuse_beyond(pool: Path, task: Path, recipe: Path) -> None:
    """A recipe restricted to a pool chooses no model, and no file outside both their folders."""
    from datachef.core.contracts.task import LMEvalBenchmark, Task
    from datachef.core.recipe.resolving import files_outside, is_within, read_typed

    if is_within(task, [pool.parent]):
        return
    folders = [recipe.parent, pool.parent]
    hint = "if you want it, choose it yourself: --task"
    if not is_within(task, folders):
        raise DatachefError(
            f"{recipe} is bound to a pool and names a task that is neither beside it nor beside the"
            " pool",
            hint,
        )
    read = read_typed(task, Task).located_in(task.parent)
    outside = list(files_outside(read, folders))
    if isinstance(read.benchmark, LMEvalBenchmark):
        outside.append("benchmark")
    if read.base_model != "tiny" and not is_within(Path(read.base_model), folders):
        outside.append("base_model")
    if outside:
        raise DatachefError(
            f"{recipe} is bound to a pool, and {outside[0]} of its task is neither beside it nor"
            " beside the pool",
            hint,
        )


def _parsed(assignments: Sequence[str]) -> dict[str, Any]:
    """Options of a reward from `name=value`."""
    from datachef.core.document import parse

    options = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        parsed = parse(value or "null")
        if not (name and equals) or parsed.problems:
            raise DatachefError(f"--reward-option {text!r} is not NAME=VALUE")
        options[name] = parsed.data
    return options


def _result(reward: Reward, name: str, path: Path, document: Document) -> ScoreResult:
    from datachef.reward.score_result import ScoreResult
    from datachef.reward.scorer import RecipeReward

    if isinstance(reward, RecipeReward):
        assessed = reward.assess(document, path.parent)
        findings = assessed.findings
        return ScoreResult(
            path,
            assessed.score,
            ran=assessed.corpus is not None,
            features=assessed.features,
            measures=findings.measures if findings else {},
            violations=findings.violations if findings else (),
            note="" if reward.measured else _GUESS,
            meanings=reward.plugin_functions.meanings,
            reference=reward.reference(),
        )
    if document.problems:
        raise RecipeError(document.problems)
    if not isinstance(document.data, dict):
        raise DatachefError(f"{path} is no recipe", "a recipe is a mapping with name and sources")
    found = reward.score(document.data, path.parent)
    if not isinstance(found, Score):
        raise PluginError(f"the reward {name} returned a {type(found).__name__}, not a Score")
    return ScoreResult(path, found, not found.gate)


def _rank(results: Sequence[ScoreResult]) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("recipe", "value", "predicted", "interval", "stopped by"):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for result in sorted(results, key=lambda result: -result.score.value):
        score = result.score
        table.add_row(
            str(result.path),
            f"{score.value:.4f}",
            "" if score.predicted is None else f"{score.predicted:.4f}",
            interval(score.interval),
            ": ".join([score.gate, *score.reasons[:1]]),
        )
    console().print(table)


def _explain(result: ScoreResult, contributions: Sequence[Contribution]) -> None:
    from rich.table import Table

    out = console()
    score = result.score
    if score.gate:
        out.print(f"{result.path}: {score.value:.4f}, stopped at the gate {score.gate}")
        for reason in score.reasons:
            out.print(f"  {reason}", soft_wrap=True)
    else:
        said = f"{result.path}: {score.value:.4f}"
        if score.predicted is not None:
            said += (
                f" = predicted {score.predicted:.4f} less the uncertainty {score.uncertainty:.4f}"
            )
        bounds = interval(score.interval)
        out.print(f"{said}; {bounds}" if bounds else said)
        if result.note:
            out.print(result.note)
        elif score.off_support:
            out.print("unlike anything that was measured: trust the interval less")
    if contributions:
        added = Table(header_style="bold")
        for name in ("source or step", "what", "adds", "value without it"):
            added.add_column(name, justify="left" if name in _WORDS else "right")
        for part in contributions:
            adds = "" if part.effect is None else f"{part.effect:+.4f}"
            other = part.without
            shown = part.reason if other is None or other.gate else f"{other.value:.4f}"
            added.add_row(part.path, part.what, adds, shown)
        out.print(added)
    table = Table(header_style="bold")
    for name in ("part", "value", "what it is"):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for name, shown, meaning in result.lines():
        table.add_row(name, shown, meaning)
    if table.row_count:
        out.print(table)


_GUESS = "nothing was measured for this task yet: the prediction is a guess"
_WORDS = ("source or step", "what", "part", "what it is", "recipe", "stopped by")
