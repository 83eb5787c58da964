"""The searches that every trained policy is compared with, under the same count of reward calls."""

from datachef.policy.search.base import Search, run_search
from datachef.policy.search.comparison import Comparison, Row, Runs, compare
from datachef.policy.search.duel import Duel, duel
from datachef.policy.search.evolution import EvolutionarySearch
from datachef.policy.search.persons import PersonsRecipe
from datachef.policy.search.random_search import RandomSearch
from datachef.policy.search.sources import SourceBaselines
from datachef.policy.search.tpe import TpeSearch

__all__ = [
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
