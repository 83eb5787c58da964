"""The contracts of datachef: what a recipe, an operator, a source, an engine and a reward are."""

from datachef.core.corpus import Context, CorpusOperator, MixOperator
from datachef.core.errors import DatachefError, MissingPackageError, PluginError, RecipeError
from datachef.core.filter import Filter
from datachef.core.hookspecs import hookimpl
from datachef.core.operator import Operator, Outcome, threshold
from datachef.core.problems import Problem
from datachef.core.transform import TextTransform, Transform

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
