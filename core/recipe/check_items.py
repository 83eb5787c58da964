"""The files of items, a task's and those of steps, have the fields that are named."""

from __future__ import annotations

import os
from collections.abc import Iterable

from datachef.core.contracts.task import BenchmarkFile, Examples
from datachef.core.document import Document, Location
from datachef.core.problems import Problem, dotted, warning
from datachef.core.recipe.flow import PlacedStep
from datachef.core.recipe.resolving import Loaded
from datachef.core.rows.benchmark import Misfit, misfits
from datachef.core.system.paths import not_expanded


def check_step_items(loaded: Loaded, step: PlacedStep) -> None:
    """Adds what is wrong with a file of items that a step names itself; the file is there."""
    task = loaded.task
    from_task = (task.benchmark, task.examples) if task is not None else ()
    for name in type(step.operator).model_fields:
        part = getattr(step.operator, name)
        if isinstance(part, BenchmarkFile | Examples) and part not in from_task:
            _add(loaded, loaded.document, (*step.location, name), misfits(part))


def check_task_items(loaded: Loaded) -> None:
    """Adds what is wrong with the benchmark and the examples of the task, at their places in it."""
    task, document = loaded.task, loaded.task_document
    if task is None or document is None:
        return
    for name in ("benchmark", "examples"):
        part = getattr(task, name)
        if not isinstance(part, BenchmarkFile | Examples):
            continue
        if os.path.isfile(part.path):  # noqa: PTH113 - a name that is too long is no file either
            runs_code = task.metric == "unit_tests"
            _add(loaded, document, (name,), misfits(part, runs_code=runs_code))
        elif name == "examples":  # the steps that read the benchmark say where it is missing
            message = f"no file {part.path!r}{not_expanded(part.path)}"
            problem = Problem("no_file", message, "examples.path", "relative to the task's folder")
            loaded.problems.append(document.locate(problem, ("examples", "path")))


def _add(loaded: Loaded, document: Document, place: Location, found: Iterable[Misfit]) -> None:
    for misfit in found:
        at = (*place, misfit.parameter)
        make, known = (warning, loaded.warnings) if misfit.doubtful else (Problem, loaded.problems)
        problem = make("bad_benchmark", misfit.message, dotted(at), misfit.hint)
        known.append(document.locate(problem, at))
