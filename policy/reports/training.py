"""The report of a training: its curves, its baselines and its best recipes, from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import orjson

from datachef.core import document
from datachef.core.errors import DatachefError
from datachef.core.pages.charts import AxisScale
from datachef.core.pages.rendering import rendered
from datachef.core.registry.folder_report import FolderReport
from datachef.policy.reports.curves import (
    StepSummary,
    best_at_calls,
    distinct_chart,
    entropy_chart,
    learning_chart,
    step_summaries,
    thinned,
    uses,
)
from datachef.policy.scored_recipes import ScoredRecipe, best_different
from datachef.policy.settings import BASELINES, BEST_RECIPES, RESULTS
from datachef.policy.training.log import LoggedRecipe, read_log

PACKAGE = "datachef.policy.reports"
RANDOM = "random"
_BEST = 5


def best_of(log: Sequence[LoggedRecipe]) -> list[ScoredRecipe]:
    """The best different recipes of a log that no gate stopped."""
    return best_different([ScoredRecipe(r.recipe, r.score) for r in log if not r.gate], _BEST)


class TrainingReport(FolderReport):
    """The report of what `chef train` wrote; of a training that goes on, of what is done so far."""

    @cached_property
    def _log(self) -> Sequence[LoggedRecipe]:
        log = read_log(self.folder)
        if not log:
            raise DatachefError(
                f"{self.folder} has no scored recipe yet", "chef train writes them, step by step"
            )
        return log

    @cached_property
    def _baselines(self) -> Mapping[str, Sequence[LoggedRecipe]]:
        folders = sorted((self.folder / BASELINES).glob("*"))
        return {folder.name: read_log(folder) for folder in folders}

    @cached_property
    def _results(self) -> Mapping[str, Any]:
        """What was written at the end; nothing before."""
        path = self.folder / RESULTS
        try:
            found = orjson.loads(path.read_bytes()) if path.exists() else {}
        except ValueError as error:
            raise DatachefError(f"{path} is no JSON: {error}", "run chef train again") from error
        return found if isinstance(found, dict) else {}

    def data(self) -> dict[str, Any]:
        return {
            "tasks": [self._task(name) for name in self._logs],
            "settings": self._results.get("settings", {}),
            "vocabulary": self._results.get("vocabulary"),
            "operators": self._results.get("operators", []),
            "entropy": self._entropies,
        }

    def best(self) -> list[dict[str, Any]]:
        """The first recipe with the highest value of each task."""
        found: dict[str, LoggedRecipe] = {}
        for row in self._log:
            if row.task not in found or row.value > found[row.task].value:
                found[row.task] = row
        return [
            {"task": row.task, "step": row.step, "value": row.value, "recipe": row.recipe}
            for row in found.values()
        ]

    @cached_property
    def _logs(self) -> Mapping[str, Sequence[LoggedRecipe]]:
        """The log of each task, in the order in which they came."""
        tasks = dict.fromkeys(row.task for row in self._log)
        return {name: [row for row in self._log if row.task == name] for name in tasks}

    @cached_property
    def _steps(self) -> Mapping[str, Sequence[StepSummary]]:
        return {name: step_summaries(log) for name, log in self._logs.items()}

    def _task(self, name: str) -> dict[str, Any]:
        log, steps = self._logs[name], self._steps[name]
        baselines = {
            baseline: [row.value for row in rows if row.task == name]
            for baseline, rows in self._baselines.items()
        }
        random = best_at_calls(baselines.get(RANDOM, ()), steps)
        best = [
            {
                "file": f"{BEST_RECIPES}/{name}-{rank}.yaml",
                "value": scored.score.value,
                "predicted": scored.score.predicted,
                "interval": scored.score.interval,
                "recipe": scored.recipe,
            }
            for rank, scored in enumerate(best_of(log), start=1)
        ]
        return {
            "task": name,
            "reward_calls": len(log),
            "steps": [
                asdict(step) | {"random": value} for step, value in zip(steps, random, strict=True)
            ],
            "baselines": [
                {"name": baseline, "calls": len(values), "best": max(values)}
                for baseline, values in baselines.items()
                if values
            ],
            "best": best,
            "effects": self._results.get("effects", {}).get(name, []),
        }

    @cached_property
    def _entropies(self) -> list[tuple[int, float]]:
        """By step, as TRL logged them with the last checkpoint; none for an algorithm without."""
        states = self.folder.glob("checkpoint-*/trainer_state.json")
        last = max(states, key=lambda path: int(path.parent.name.rpartition("-")[2]), default=None)
        if last is None:
            return []
        history = orjson.loads(last.read_bytes())["log_history"]
        return [(row["step"], row["entropy"]) for row in history if "entropy" in row]

    def printed(self) -> Iterable[Any]:
        from rich.table import Table

        table = Table(header_style="bold")
        table.add_column("task")
        for name in ("recipes", "mean of the first step", "mean of the last step", "best"):
            table.add_column(name, justify="right")
        found = self.data()["tasks"]
        baselines = dict.fromkeys(each["name"] for task in found for each in task["baselines"])
        for name in baselines:
            table.add_column(f"best of {name}", justify="right")
        for task in found:
            first, last = task["steps"][0], task["steps"][-1]
            known = {each["name"]: f"{each['best']:.4f}" for each in task["baselines"]}
            table.add_row(
                task["task"], f"{task['reward_calls']:,}", f"{first['mean']:.4f}",
                f"{last['mean']:.4f}", f"{last['best_so_far']:.4f}",
                *(known.get(name, "") for name in baselines),
            )  # fmt: skip
        yield table

    def page(self) -> str:
        data = self.data()
        return rendered(
            PACKAGE,
            "training.html.jinja",
            {
                "title": f"{self.folder.absolute().name}: report of a training",
                "folder": str(self.folder),
                "tasks": [self._drawn(task) for task in data["tasks"]],
                "settings": document.dump(data["settings"]) if data["settings"] else "",
                "operators": data["operators"],
                "vocabulary": data["vocabulary"],
                "entropies": thinned(self._entropies),
                "entropy": entropy_chart(self._entropies) if self._entropies else None,
            },
        )

    def _drawn(self, task: dict[str, Any]) -> dict[str, Any]:
        """What is told of a task, with its pictures."""
        log, steps = self._logs[task["task"]], self._steps[task["task"]]
        random = [step["random"] for step in task["steps"]]
        shown = [
            value for one in task["best"] for value in (one["value"], *(one["interval"] or ()))
        ]
        return task | {
            "table": thinned(task["steps"]),
            "curve": learning_chart(steps, random),
            "distinct": distinct_chart(steps),
            "uses": uses(log),
            "scale": AxisScale.of(shown, 0.05),
            "recipe": document.dump(dict(task["best"][0]["recipe"])) if task["best"] else "",
        }
