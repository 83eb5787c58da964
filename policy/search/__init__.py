"""Searches that a policy is compared with, under the same number of reward calls."""

from collections.abc import Callable, Mapping

from datachef.policy.search.base import (
    ListedSearch,
    RandomSearch,
    Search,
    SourceBaselines,
    run_search,
)
from datachef.policy.search.optimizers import EvolutionarySearch, TpeSearch
from datachef.policy.space import RecipeSpace

# By the name that settings and benchmarks use: the search over a space with a seed.
SEARCHES: Mapping[str, Callable[[RecipeSpace, int], Search]] = {
    "sources": lambda space, seed: SourceBaselines(space),
    "random": RandomSearch,
    "tpe": TpeSearch,
    "evolution": EvolutionarySearch,
}

__all__ = [
    "SEARCHES",
    "EvolutionarySearch",
    "ListedSearch",
    "RandomSearch",
    "Search",
    "SourceBaselines",
    "TpeSearch",
    "run_search",
]
