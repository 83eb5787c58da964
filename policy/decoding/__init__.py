"""Decoders: language models that write drafts of recipes under a grammar."""

from datachef.policy.decoding.base import Decoder

__all__ = ["Decoder"]
