"""The contract of a decoder, and the part that decoders over an inference engine share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from datachef.core.errors import DatachefError
from datachef.policy.prompt.writer import Messages, Prompt
from datachef.policy.space.space import RecipeDraft, RecipeSpace


class Decoder(ABC):
    """A language model that can write only drafts of recipes."""

    @abstractmethod
    def sample(
        self, prompts: Sequence[Prompt], *, temperature: float = 1.0, seed: int = 0
    ) -> list[RecipeDraft]:
        """A draft for each prompt, in their order. The same seed gives the same drafts, as far as
        the engine is deterministic."""

    def count_tokens(self, messages: Messages) -> int:
        """The number of tokens of a prompt, or an upper estimate if the model's tokenizer is not
        available."""
        return sum(len(message["content"].encode()) + 16 for message in messages) // 3


MAX_TOKENS = 4_096
ATTEMPTS = 3
# For vLLM's command line and its engine: llguidance supports the schemas of spaces exactly, and
# without optional white space a model cannot fill its response with spaces.
STRUCTURED_OUTPUTS = {"backend": "guidance", "disable_any_whitespace": True}


@dataclass(frozen=True)
class DraftRequest:
    """A prompt, and the seed to sample its draft with."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class DraftResponse:
    """What the model wrote; `truncated` if it reached the limit of tokens."""

    text: str
    truncated: bool = False


class EngineDecoder(Decoder):
    """Sends prompts to an engine with the schemas of their spaces, checks the responses, and sends
    a prompt again if its response is not a draft."""

    def __init__(self, name: str, *, max_tokens: int, attempts: int) -> None:
        """`name` is that of the model, for messages. A response has at most `max_tokens` tokens,
        and a prompt is sent at most `attempts` times."""
        self._name = name
        self._max_tokens = max_tokens
        self._attempts = attempts

    @abstractmethod
    def generate(self, requests: Sequence[DraftRequest], temperature: float) -> list[DraftResponse]:
        """A response to each request, in their order, under the schema of its space.

        Raises `DatachefError` if the engine gives none.
        """

    def sample(
        self, prompts: Sequence[Prompt], *, temperature: float = 1.0, seed: int = 0
    ) -> list[RecipeDraft]:
        """Raises `DatachefError` if a prompt has no draft after all attempts, or no response."""
        drafts: dict[int, RecipeDraft] = {}
        wrong = ""
        # At temperature 0 every attempt gives the same response.
        attempts = self._attempts if temperature else 1
        for attempt in range(attempts):
            missing = [index for index in range(len(prompts)) if index not in drafts]
            if not missing:
                break
            requests = [DraftRequest(prompts[i], _seed_of(seed, i, attempt)) for i in missing]
            responses = self.generate(requests, temperature)
            for index, response in zip(missing, responses, strict=True):
                draft, reason = _read(response, prompts[index].space)
                if draft is None:
                    wrong = reason
                else:
                    drafts[index] = draft
        if len(drafts) < len(prompts):
            raise self._no_draft(len(prompts) - len(drafts), len(prompts), attempts, wrong)
        return [drafts[index] for index in range(len(prompts))]

    def _no_draft(self, failed: int, asked: int, attempts: int, wrong: str) -> DatachefError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return DatachefError(
            f"the model {self._name}, asked {times}, wrote no draft for {failed} of {asked} "
            f"prompts; the last answer {wrong}",
            hint="check that the engine holds answers to their schema, best with vLLM's "
            f"--structured-outputs-config '{orjson.dumps(STRUCTURED_OUTPUTS).decode()}', and that "
            f"an answer of max_tokens={self._max_tokens} is long enough and fits the model's "
            "context together with the prompt",
        )


def _read(response: DraftResponse, space: RecipeSpace) -> tuple[RecipeDraft | None, str]:
    """The draft in a response, or what is wrong with the response."""
    try:
        draft = orjson.loads(response.text)
    except orjson.JSONDecodeError:
        fault = "was cut off" if response.truncated else "is no JSON"
        return None, f"{fault}: {_shortened(response.text)}"
    if not space.root.contains(draft):
        return None, f"is not in the space: {_shortened(response.text)}"
    return draft, ""


def _shortened(text: str) -> str:
    """Both ends of a long text: what is wrong with it usually shows at one of them."""
    return repr(text) if len(text) <= 300 else f"{text[:150]!r} ... {text[-150:]!r}"


def _seed_of(seed: int, index: int, attempt: int) -> int:
    """A seed of 31 bits, which every engine accepts."""
    digest = blake2b(f"{seed} {index} {attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
