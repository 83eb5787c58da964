"""Rows of files: found by path or pattern, opened whatever their compression, read to their end."""
