"""Mixing: how often each row of each source is taken."""
