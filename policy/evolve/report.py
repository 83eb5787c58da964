"""The report of a run: Markdown, JSON, and the best recipes as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from datachef.core import document
from datachef.core.interval import mean_interval
from datachef.core.outputs import OutputFolder
from datachef.policy.assignment import Assignment
from datachef.policy.evolve.loop import Result
from datachef.policy.evolve.markdown import to_markdown
from datachef.policy.evolve.records import Contender, Fidelity, Trial
from datachef.policy.evolve.settings import EVOLUTION
from datachef.policy.evolve.spending import evaluations

BEST = 5


def write_report(result: Result, assignment: Assignment, output: Path) -> dict[str, Any]:
    """Writes `report.md`, `report.json` and the best recipes into a folder, and returns what
    `report.json` holds."""
    folder = OutputFolder.open(output, EVOLUTION)
    folder.remove("best", edited=True)
    data: dict[str, Any] = {
        "task": assignment.name,
        "ended": result.ended,
        "rounds": result.rounds[-1].number,
        "steps": result.rounds[-1].step,
        "reward_calls": result.rounds[-1].calls,
        "evaluations": _evaluations(result),
        "seconds": result.seconds,
        "methods": [_method(contender) for contender in result.contenders],
        "best": [
            _measured(trial) | {"file": _kept(rank, trial, assignment, folder)}
            for rank, trial in enumerate(best_measured(result)[:BEST], start=1)
        ],
        "fidelity": {
            "before": _fidelity(result.before),
            "after": _fidelity(result.after),
            "as_chosen": _as_chosen(result),
        },
    }
    raw = orjson.dumps(data, option=orjson.OPT_INDENT_2)
    folder.write("report.json", raw + b"\n")
    folder.write("report.md", to_markdown(data).encode(), edited=True)
    return data


def best_measured(result: Result) -> list[Trial]:
    """All recipes that were measured in rounds, the best first; of those that make the same corpus
    the first."""
    trials = [trial for one in result.rounds for trial in one.trials if trial.measured]
    once = {trial.key: trial for trial in reversed(trials)}
    return sorted(once.values(), key=lambda trial: -trial.score)


def _method(contender: Contender) -> dict[str, Any]:
    found: dict[str, Any] = {"name": None, "score": None, "interval": None, "bits_per_byte": None}
    if contender.final is not None:
        found |= _measured(contender.final)
    return contender.model_dump(exclude={"final"}) | found


def _measured(trial: Trial) -> dict[str, Any]:
    scores = [one.score for one in trial.measured]
    return {
        "name": trial.name,
        "value": trial.value,
        "score": trial.score,
        "interval": mean_interval(scores),
        "seeds": [one.seed for one in trial.measured],
        "bits_per_byte": trial.bits,
        "sources": ", ".join(trial.recipe["sources"]),
        "recipe": trial.recipe,
    }


def _kept(rank: int, trial: Trial, assignment: Assignment, output: OutputFolder) -> str:
    """Writes a recipe so that `chef run` takes it as it is; its path in the output."""
    file = f"best/{rank}-{trial.name}.yaml"
    data = assignment.bound(trial.recipe, trial.name, output.path / "best")
    output.write(file, document.dump(data).encode(), edited=True)
    return file


def _evaluations(result: Result) -> int:
    return evaluations(result.rounds) + sum(one.evaluations for one in result.contenders)


def _fidelity(found: Fidelity | None) -> dict[str, Any] | None:
    return None if found is None else found.model_dump()


def _as_chosen(result: Result) -> dict[str, Any] | None:
    """How the values by which recipes were chosen rank with what they measured."""
    trials = [trial for one in result.rounds[1:] for trial in one.trials if trial.measured]
    if len(trials) < 3:
        return None
    values, scores = [t.value for t in trials], [t.score for t in trials]
    return {"recipes": len(trials), "correlation": spearman(values, scores)}


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """The rank correlation; 0 where one side does not vary."""
    from scipy.stats import spearmanr

    if len(set(left)) < 2 or len(set(right)) < 2:
        return 0.0
    return float(spearmanr(left, right).statistic)
