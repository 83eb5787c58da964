"""`chef score`: what recipes are expected to score, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.state import AsJson, CacheFolder, PoolFile, console, print_json

if TYPE_CHECKING:
    from datachef.reward.assessment import Assessment
    from datachef.reward.scorer import RecipeReward

RecipeFiles = Annotated[
    list[Path], typer.Argument(metavar="RECIPE...", help="YAML files.", show_default=False)
]
TaskFile = Annotated[
    Path | None,
    typer.Option("--task", help="A task.yaml; the one that the recipe names by default."),
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
    history: HistoryFile = None,
    proxy: Annotated[
        Path | None, typer.Option("--proxy", help="A proxy that chef fit saved.")
    ] = None,
    limits: Annotated[
        Path | None, typer.Option("--limits", help="A limits.yaml with guardrails.")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="A model that grades sampled rows; repeat it for a second."),
    ] = None,
    judge_backend: Annotated[str, typer.Option(help="LLM backend of the judges.")] = "openai",
    rows: Annotated[int, typer.Option(min=1, help="Sampled rows per source.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Draws the samples.")] = 0,
    explain: Annotated[
        bool, typer.Option(help="Tell what each source and step adds, for a single recipe.")
    ] = True,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Predict what recipes will score, from what they make of a sample. Trains nothing.

    Without --history or --proxy nothing was measured, and the prediction is a guess from how well
    the corpus's own n-grams predict the task's examples.
    """
    from datachef.core.document import read
    from datachef.plugins.reward.build import build_reward

    given = {
        "history": history,
        "proxy": proxy,
        "limits": limits,
        "judges": [{"model": model, "backend": judge_backend} for model in judge or ()],
        "rows": rows,
    }
    documents = [read(path) for path in recipes]
    reward = build_reward(documents, task, pool, cache, seed, given)
    assessed = [reward.assess(d, path.parent) for d, path in zip(documents, recipes, strict=True)]
    contributions = []
    if explain and len(recipes) == 1 and assessed[0].corpus is not None:
        from datachef.reward.explain import leave_one_out

        contributions = leave_one_out(
            documents[0].data, recipes[0].parent, reward, assessed[0].score
        )
    if as_json:
        print_json(
            [
                {
                    "recipe": str(path),
                    **asdict(found.score),
                    "features": dict(found.features),
                    "measures": dict(found.findings.measures) if found.findings else {},
                    "contributions": [
                        {
                            "path": part.path,
                            "what": part.what,
                            "effect": part.effect,
                            "without": part.without.value if part.without else None,
                            "reason": part.reason,
                        }
                        for part in contributions
                    ],
                }
                for path, found in zip(recipes, assessed, strict=True)
            ]
        )
    elif len(recipes) == 1:
        _explain(recipes[0], reward, assessed[0], contributions)
    else:
        _rank(recipes, assessed)


def _rank(recipes: list[Path], assessed: list[Assessment]) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("recipe", "value", "predicted", "interval", "stopped by"):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    pairs = sorted(zip(recipes, assessed, strict=True), key=lambda pair: -pair[1].score.value)
    for path, found in pairs:
        result = found.score
        table.add_row(
            str(path),
            f"{result.value:.4f}",
            "" if result.predicted is None else f"{result.predicted:.4f}",
            interval(result.interval),
            f"{result.gate}: {result.reasons[0]}" if result.gate else "",
        )
    console().print(table)


def _explain(path: Path, reward: RecipeReward, found: Assessment, contributions: list[Any]) -> None:
    from rich.table import Table

    out = console()
    result = found.score
    if result.gate:
        out.print(f"{path}: {result.value:.4f}, stopped at the gate {result.gate}")
        for reason in result.reasons:
            out.print(f"  {reason}", soft_wrap=True)
    else:
        out.print(
            f"{path}: {result.value:.4f} = predicted {result.predicted:.4f} less the uncertainty "
            f"{result.uncertainty:.4f}; {interval(result.interval)}",
        )
        if not reward.measured:
            out.print("nothing was measured for this task yet: the prediction is a guess")
        elif result.off_support:
            out.print("unlike anything that was measured: trust the interval less")
    if contributions:
        added = Table(header_style="bold")
        for name in ("source or step", "what", "adds", "value without it"):
            added.add_column(name, justify="left" if name in _WORDS else "right")
        for part in contributions:
            adds = "" if part.effect is None else f"{part.effect:+.4f}"
            stopped = part.without is None or part.without.gate
            shown = part.reason if stopped else f"{part.without.value:.4f}"
            added.add_row(part.path, part.what, adds, shown)
        out.print(added)
    table = Table(header_style="bold")
    for name in ("part", "value", "what it is"):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for name, shown, meaning in _parts(found):
        table.add_row(name, shown, meaning)
    out.print(table)


_WORDS = ("source or step", "what", "part", "what it is", "recipe", "stopped by")


def _parts(found: Assessment) -> Iterator[tuple[str, str, str]]:
    """What a score is made of, line by line: quantiles of a signal together, nothing unknown."""
    from datachef.reward.features import describe_feature
    from datachef.reward.text_measures import SIGNALS

    for name, value in found.score.parts.items():
        yield f"prediction of {name}", f"{value:.4f}", ""
    for name, value in found.features.items():
        if ".q" not in name and not math.isnan(value):
            yield name, f"{value:.4f}", describe_feature(name)
    for name, (meaning, _) in SIGNALS.items():
        if f"{name}.q50" in found.features:
            low, middle, high = (found.features[f"{name}.q{q}"] for q in (10, 50, 90))
            yield name, f"{middle:.4f}", f"{meaning}; {low:.4f} to {high:.4f} for 80% of the rows"
    if found.findings is not None:
        for name, value in found.findings.measures.items():
            yield name, f"{value:.4f}", "guardrail"


def interval(bounds: tuple[float, float] | None) -> str:
    """`[low, high]`, empty where there is none."""
    return "" if bounds is None else f"[{bounds[0]:.4f}, {bounds[1]:.4f}]"
