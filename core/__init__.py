"""The contracts of datachef: what a recipe, an operator, a source, an engine and a reward are."""

from datachef.core.contracts.corpus import Context, CorpusOperator, MixOperator
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator, Outcome, threshold
from datachef.core.contracts.transform import TextTransform, Transform
from datachef.core.errors import DatachefError, MissingPackageError, PluginError, RecipeError
from datachef.core.problems import Problem
from datachef.core.registry.hookspecs import hookimpl

__all__ = [
    "Context",
    "CorpusOperator",
    "DatachefError",
    "Filter",
    "MissingPackageError",
    "MixOperator",
    "Operator",
    "Outcome",
    "PluginError",
    "Problem",
    "RecipeError",
    "TextTransform",
    "Transform",
    "hookimpl",
    "threshold",
]
