"""Texts and conversations as values: no rows of a run, no plugins."""
