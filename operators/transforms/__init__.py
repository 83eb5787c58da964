"""Transforms: a batch in, a batch out, row by row in meaning."""
