"""Moved to `datachef.operators.mixing`; goes once every installation names that."""

from datachef.operators.mixing import datachef_operators

__all__ = ["datachef_operators"]
