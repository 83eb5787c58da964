"""The client of servers that speak the OpenAI protocol, sent nowhere but where it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError

if TYPE_CHECKING:
    import openai

TIMEOUT = 600.0


def openai_client(
    base_url: str, api_key: str, purpose: str, *, retries: int, timeout: float = TIMEOUT
) -> openai.OpenAI:
    """A client for `base_url`, which ends with /v1. `timeout` is in seconds.

    Raises `MissingPackageError`, which names the `purpose`, without the package `openai`.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingPackageError("openai", extra("llm"), purpose) from error
    return openai.OpenAI(
        base_url=base_url,
        api_key=api_key or "unused",
        timeout=timeout,
        max_retries=retries,
        # The package would add these from variables that were set for another service. Its types
        # do not know that headers can be left out.
        default_headers={
            "OpenAI-Organization": openai.Omit(),  # type: ignore[dict-item]
            "OpenAI-Project": openai.Omit(),  # type: ignore[dict-item]
        },
    )
