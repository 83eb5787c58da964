"""Synthesis: new rows through an LLM backend."""
