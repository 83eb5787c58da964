"""Moved to `datachef.operators.dedup`; goes once every installation names that."""

from datachef.operators.dedup import datachef_operators

__all__ = ["datachef_operators"]
