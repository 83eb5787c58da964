"""The contract of a decoder: from briefs to drafts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from datachef.core.errors import DatachefError
from datachef.policy.prompt.writer import Brief, Messages
from datachef.policy.space.space import RecipeSpace

Draft = dict[str, Any]


class Decoder(ABC):
    """A language model that can write nothing but drafts."""

    @abstractmethod
    def sample(
        self, briefs: Sequence[Brief], *, temperature: float = 1.0, seed: int = 0
    ) -> list[Draft]:
        """A draft for each brief, in their order; the same seed gives the same drafts, as far as
        the engine keeps that promise."""

    def count_tokens(self, messages: Messages) -> int:
        """How many tokens of the model a brief has, or an estimate from above where its tokenizer
        is out of reach."""
        return sum(len(message["content"].encode()) + 16 for message in messages) // 3


MAX_TOKENS = 4_096
ATTEMPTS = 3
# For both vLLM's command line and its engine: llguidance is exact on the schemas of spaces, and
# without optional white space a model cannot go on with it until it is cut off.
STRUCTURED_OUTPUTS = {"backend": "guidance", "disable_any_whitespace": True}


@dataclass(frozen=True)
class Question:
    """A brief, and the seed that its answer is sampled with."""

    brief: Brief
    seed: int


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `truncated` where it was cut off."""

    text: str
    truncated: bool = False


class AskingDecoder(Decoder):
    """Sends the schema of a brief's space with the brief, and trusts no answer."""

    def __init__(self, name: str, *, max_tokens: int, attempts: int) -> None:
        """`name` is the model's, for errors. An answer has at most `max_tokens`; a brief is asked
        at most `attempts` times."""
        self._name = name
        self._max_tokens = max_tokens
        self._attempts = attempts

    @abstractmethod
    def ask(self, questions: Sequence[Question], temperature: float) -> list[Answer]:
        """An answer to each question, in their order, of an engine that is told each space's
        schema. Raises `DatachefError` where there is none."""

    def sample(
        self, briefs: Sequence[Brief], *, temperature: float = 1.0, seed: int = 0
    ) -> list[Draft]:
        """Raises `DatachefError` where a brief gets no draft after all attempts, or no answer."""
        drafts: dict[int, Draft] = {}
        wrong = ""
        # At temperature 0 the same answer would come again.
        attempts = self._attempts if temperature else 1
        for attempt in range(attempts):
            missing = [index for index in range(len(briefs)) if index not in drafts]
            if not missing:
                break
            questions = [Question(briefs[i], _seed_of(seed, i, attempt)) for i in missing]
            answers = self.ask(questions, temperature)
            for index, answer in zip(missing, answers, strict=True):
                draft, reason = _read(answer, briefs[index].space)
                if draft is None:
                    wrong = reason
                else:
                    drafts[index] = draft
        if len(drafts) < len(briefs):
            raise self._no_draft(len(briefs) - len(drafts), len(briefs), attempts, wrong)
        return [drafts[index] for index in range(len(briefs))]

    def _no_draft(self, failed: int, asked: int, attempts: int, wrong: str) -> DatachefError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return DatachefError(
            f"the model {self._name}, asked {times}, wrote no draft for {failed} of {asked} "
            f"briefs; the last answer {wrong}",
            hint="check that the engine holds answers to their schema, best with vLLM's "
            f"--structured-outputs-config '{orjson.dumps(STRUCTURED_OUTPUTS).decode()}', and that "
            f"an answer of max_tokens={self._max_tokens} is long enough and fits the model's "
            "context together with the prompt",
        )


def _read(answer: Answer, space: RecipeSpace) -> tuple[Draft | None, str]:
    """The draft that was written, or else what is wrong with the answer."""
    try:
        draft = orjson.loads(answer.text)
    except orjson.JSONDecodeError:
        fault = "was cut off" if answer.truncated else "is no JSON"
        return None, f"{fault}: {_shortened(answer.text)}"
    if not space.root.holds(draft):
        return None, f"is not in the space: {_shortened(answer.text)}"
    return draft, ""


def _shortened(text: str) -> str:
    """Both ends of a long text: what is wrong with it tends to show at one of them."""
    return repr(text) if len(text) <= 300 else f"{text[:150]!r} ... {text[-150:]!r}"


def _seed_of(seed: int, index: int, attempt: int) -> int:
    """31 bits, which every engine takes."""
    digest = blake2b(f"{seed} {index} {attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
