"""What a policy may write: every draft of a recipe over a pool and the registered operators."""

from datachef.policy.space.building import recipe_space
from datachef.policy.space.choosers import RandomChooser
from datachef.policy.space.limits import Limits
from datachef.policy.space.space import RecipeSpace

__all__ = ["Limits", "RandomChooser", "RecipeSpace", "recipe_space"]
