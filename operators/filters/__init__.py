"""Filters: signals measure a row, rules decide on it."""
