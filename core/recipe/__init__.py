"""From a recipe file to a checked recipe, or to everything that is wrong with it."""
