"""Moved to `datachef.operators.transforms`; goes once every installation names that."""

from datachef.operators.transforms import datachef_operators

__all__ = ["datachef_operators"]
