"""The space of recipes that a policy may write, over a pool and the registered operators."""

from datachef.policy.space.building import recipe_space
from datachef.policy.space.nodes import RandomChooser
from datachef.policy.space.space import RecipeSpace

__all__ = ["RandomChooser", "RecipeSpace", "recipe_space"]
