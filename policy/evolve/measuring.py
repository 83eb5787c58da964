"""From candidates to trials: recipe files that a laboratory measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from datachef.core import document
from datachef.core.atomic import write_atomically
from datachef.core.errors import ChangedInputError, DatachefError, MissingPackageError
from datachef.core.system_errors import environment_failure
from datachef.policy.evolve.laboratory import Laboratory
from datachef.policy.evolve.records import Seeded, Trial
from datachef.policy.objective import Call, Recipe


def trial(
    laboratory: Laboratory, recipe: Recipe, value: float, file: Path, seeds: Sequence[int]
) -> Trial:
    """The measurements of a recipe, which gets the name of its file; or why there are none.

    Raises what says nothing of the recipe: `MissingPackageError`, and the `DatachefError` for an
    input that changed or for what the machine lacks.
    """
    named = {**recipe, "name": file.stem}
    write_atomically(file, document.dump(named).encode())
    try:
        found = laboratory.measure(file, seeds)
    except (MissingPackageError, ChangedInputError):
        raise
    except DatachefError as error:
        if environment_failure(error) is not None:
            raise
        return Trial(recipe=named, value=value, failure=str(error))
    measured = [Seeded(seed=m.seed, score=m.score, scores=dict(m.scores)) for m in found]
    return Trial(recipe=named, value=value, key=found[0].recipe_key, measured=tuple(measured))


def trials(
    laboratory: Laboratory,
    candidates: Iterable[Call],
    folder: Path,
    prefix: str,
    *,
    count: int,
    seeds: Sequence[int],
    known: Collection[str] = (),
    goes_on: Callable[[str, int], bool] = lambda name, made: True,
) -> list[Trial]:
    """Measures candidates in their order until `count` of them were, not counting those that make
    the same corpus as another, or as one of `known` by its key.

    Their files in `folder` are named `prefix` and a number. Before each one `goes_on` is asked,
    with its name and the evaluations made so far.
    """
    found: list[Trial] = []
    for number, call in enumerate(candidates, start=1):
        new = len({one.key for one in found if one.measured} - set(known))
        name = f"{prefix}-{number}"
        if new == count or not goes_on(name, new * len(seeds)):
            break
        file = folder / f"{name}.yaml"
        found.append(trial(laboratory, call.recipe, call.score.value, file, seeds))
    return found
