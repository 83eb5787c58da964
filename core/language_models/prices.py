"""What language models cost, where somebody says what their tokens do."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from datachef.core.errors import DatachefError

PRICES = "DATACHEF_LLM_PRICES"
_PRICE = re.compile(r"(?P<model>[^=,]+)=(?P<prompt>\d+(\.\d+)?)/(?P<answer>\d+(\.\d+)?)")


@dataclass(frozen=True)
class Price:
    """The price of a million tokens of prompts, and of as many of answers, in any currency."""

    prompt: float
    answer: float

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        """What these tokens cost."""
        return (prompt_tokens * self.prompt + answer_tokens * self.answer) / 1_000_000


def prices_of_environment() -> Mapping[str, Price]:
    """The prices that the environment names, by model: `qwen3-8b=0.05/0.2,other=1/4`.

    Raises `DatachefError` for what is no price.
    """
    found = {}
    for entry in filter(None, map(str.strip, os.environ.get(PRICES, "").split(","))):
        price = _PRICE.fullmatch(entry)
        if price is None:
            raise DatachefError(
                f"{PRICES} holds {entry!r}, which is no price",
                "MODEL=PROMPTS/ANSWERS for a million tokens each, such as qwen3-8b=0.05/0.2",
            )
        found[price["model"]] = Price(float(price["prompt"]), float(price["answer"]))
    return found
