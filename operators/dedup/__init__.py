"""Deduplication: documents that share a key are copies, the first of each cluster stays."""
