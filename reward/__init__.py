"""The reward that predicts what a recipe will score."""
