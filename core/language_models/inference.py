"""How models are loaded and run where their results have to be the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def single_thread() -> Iterator[None]:
    """Within it torch computes in one thread, and without gradients.

    Threads share the work in parts that depend on their number, and sums of other parts round
    otherwise: how many cores a machine has should change nothing. Workers use the other cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within it transformers draws no bars and tells of errors alone."""
    from transformers.utils import logging

    notices: Any = logging
    bars, verbosity = notices.is_progress_bar_enabled(), notices.get_verbosity()
    notices.disable_progress_bar()
    notices.set_verbosity_error()
    try:
        yield
    finally:
        notices.set_verbosity(verbosity)
        if bars:
            notices.enable_progress_bar()
