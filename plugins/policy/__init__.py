"""Moved to `datachef.policy`; goes once every installation names that."""

from datachef.policy import datachef_commands

__all__ = ["datachef_commands"]
