"""Moved to `datachef.operators.filters`; goes once every installation names that."""

from datachef.operators.filters import datachef_operators

__all__ = ["datachef_operators"]
