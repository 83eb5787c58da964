"""Bridges to the outside world: sources, engines and language model backends."""
