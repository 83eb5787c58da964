"""The processes that `accelerate launch` started: one writes, and the others wait for it."""

from __future__ import annotations

import os

import torch


def is_first() -> bool:
    """Whether this process is the one that writes; also where it is alone."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Returns when all processes came here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
