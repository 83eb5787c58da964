"""Moved to `datachef.operators.synthesis`; goes once every installation names that."""

from datachef.operators.synthesis import datachef_operators

__all__ = ["datachef_operators"]
