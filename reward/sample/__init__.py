"""Cooking a recipe on a small fixed sample of its sources."""
