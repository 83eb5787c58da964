"""What a person wrote, held to the same reward."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.errors import DatachefError, RecipeError
from datachef.policy.search.listed import ListedSearch


class PersonsRecipe(ListedSearch):
    """Recipes in YAML files, as they stand there."""

    def __init__(self, recipes: Iterable[Path]) -> None:
        """Raises `RecipeError` for a file that cannot be read as YAML, and `DatachefError` for one
        that holds no mapping. Whether a recipe is any good is for the reward to say."""
        super().__init__(_read(path) for path in recipes)


def _read(path: Path) -> dict[str, Any]:
    read = document.read(path)
    if read.problems:
        raise RecipeError(read.problems)
    if not isinstance(read.data, dict):
        raise DatachefError(f"{path} is no recipe", "begin with name: and sources:")
    return read.data
