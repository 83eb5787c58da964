"""Which of many scored recipes are worth a look: good ones that differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datachef.policy.objective import Call, Recipe, recipe_key


def best_different(calls: Sequence[Call], count: int) -> list[Call]:
    """At most `count` calls, highest value first and of equal ones the one with fewer steps, no two
    of the same recipe.

    Recipes of the same sources and operators differ in numbers alone: only the best of them is
    taken as long as there are others.
    """
    ranked = sorted(calls, key=_rank)
    once = firsts((recipe_key(call.recipe), call) for call in ranked)
    leaders = firsts((_parts(call.recipe), call) for call in once)[:count]
    others = [call for call in once if call not in leaders]
    return sorted([*leaders, *others[: count - len(leaders)]], key=_rank)


def _rank(call: Call) -> tuple[float, int]:
    sources = call.recipe["sources"].values()
    steps = sum(len((source or {}).get("steps") or ()) for source in [*sources, call.recipe])
    return -call.score.value, steps


def firsts(keyed: Iterable[tuple[object, Call]]) -> list[Call]:
    """The first call of each key, in their order."""
    found: dict[object, Call] = {}
    for key, call in keyed:
        found.setdefault(key, call)
    return list(found.values())


def _parts(recipe: Recipe) -> tuple[object, ...]:
    """The sources of a recipe with their operators, and those on the corpus."""
    sources = recipe["sources"]
    named = [(name, _operators(sources[name] or {})) for name in sorted(sources)]
    return (*named, _operators(recipe))


def _operators(stepped: Recipe) -> tuple[str, ...]:
    return tuple(step["op"] for step in stepped.get("steps") or ())
