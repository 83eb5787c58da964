"""Moved to `datachef.operators.selection`; goes once every installation names that."""

from datachef.operators.selection import datachef_operators

__all__ = ["datachef_operators"]
