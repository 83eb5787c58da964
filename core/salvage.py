"""What can still be checked of a recipe that has mistakes in its structure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from datachef.core.document import Location
from datachef.core.problems import Problem

# Fields without which a recipe is still worth checking.
_OPTIONAL = {"description", "mix", "output", "rejects", "seed", "tokenizer"}


def salvage(
    data: Any, mistakes: Mapping[Location, Problem]
) -> tuple[Any, dict[Location, list[int]]] | None:
    """The document without the steps and fields that are wrong.

    Also returns, for every list of steps that lost some, where those that are left stood before.
    None where a mistake touches what everything else depends on.
    """
    data = copy.deepcopy(data)
    wrong_steps: dict[Location, set[int]] = {}
    for mistake, problem in mistakes.items():
        if step := _step_of(mistake):
            wrong_steps.setdefault(step[:-1], set()).add(int(step[-1]))
        elif mistake and mistake[0] in _OPTIONAL:
            data.pop(mistake[0], None)
        elif problem.code != "unknown_field" or not _drop(data, mistake):
            return None
    kept = {}
    for place, wrong in wrong_steps.items():
        holder = _reach(data, place[:-1])
        steps = holder[place[-1]]
        kept[place] = [index for index in range(len(steps)) if index not in wrong]
        holder[place[-1]] = [steps[index] for index in kept[place]]
    return data, kept


def _step_of(mistake: Location) -> Location | None:
    """The step in which a mistake lies."""
    for start in (0, 2):
        inside = mistake[start : start + 1] == ("steps",) and len(mistake) > start + 1
        if (
            inside
            and isinstance(mistake[start + 1], int)
            and (start == 0) == (mistake[0] == "steps")
        ):
            return mistake[: start + 2]
    return None


def _drop(data: Any, mistake: Location) -> bool:
    """Drops a field that the recipe or a source should not have."""
    at_top = len(mistake) == 1
    in_source = len(mistake) == 3 and mistake[0] == "sources"
    if not (at_top or in_source):
        return False
    holder = _reach(data, mistake[:-1])
    return isinstance(holder, dict) and holder.pop(mistake[-1], None) is not None


def _reach(data: Any, place: Location) -> Any:
    for part in place:
        data = data[part]
    return data
