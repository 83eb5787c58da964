"""The searches that every trained policy is compared with, under the same count of reward calls."""

from collections.abc import Callable, Mapping

from datachef.policy.search.base import Search, run_search
from datachef.policy.search.comparison import Comparison, Row, Runs, compare
from datachef.policy.search.duel import Duel, duel
from datachef.policy.search.evolution import EvolutionarySearch
from datachef.policy.search.persons import PersonsRecipe
from datachef.policy.search.random_search import RandomSearch
from datachef.policy.search.sources import SourceBaselines
from datachef.policy.search.tpe import TpeSearch
from datachef.policy.space import RecipeSpace

# What needs a space and a seed alone, by the names that settings and benchmarks use.
SEARCHES: Mapping[str, Callable[[RecipeSpace, int], Search]] = {
    "sources": lambda space, seed: SourceBaselines(space),
    "random": RandomSearch,
    "tpe": TpeSearch,
    "evolution": EvolutionarySearch,
}

__all__ = [
    "SEARCHES",
    "Comparison",
    "Duel",
    "EvolutionarySearch",
    "PersonsRecipe",
    "RandomSearch",
    "Row",
    "Runs",
    "Search",
    "SourceBaselines",
    "TpeSearch",
    "compare",
    "duel",
    "run_search",
]
