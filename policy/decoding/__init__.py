"""Drafts from a language model, every token of them in the grammar."""

from datachef.policy.decoding.base import Decoder, Draft

__all__ = ["Decoder", "Draft"]
