"""Language models as a service: what a backend answers, and a client that retries and remembers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from datachef.core import surrogates
from datachef.core.activity import ACTIVITY
from datachef.core.atomic import write_atomically
from datachef.core.errors import DatachefError, PluginError, RunError
from datachef.core.system_errors import raise_environment_failure

# Part of every key: answers kept in an older form, which lacks something, are asked again.
LAYOUT = 2


class LLMError(DatachefError):
    """This one request cannot be answered; others may be. Any other error ends the run."""


class TransientLLMError(LLMError):
    """The request may succeed when repeated, after `retry_after` seconds where they are named."""

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Request:
    """A chat request. `messages` are pairs of role and content.

    `response_schema` is a JSON Schema that the answer must obey where the backend can enforce it.
    """

    model: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    response_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Completion:
    """An answer; `truncated` when it ends because `max_tokens` were used up.

    `finish_reason` is why it ends, in the words of the backend (`stop`, `content_filter`,
    `tool_calls`); `refusal` holds what the model said where the backend tells refusals apart.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    truncated: bool = False
    finish_reason: str = "stop"
    refusal: str = ""


class LLMBackend(ABC):
    """A way to reach language models; `complete` is called from several threads at once."""

    @abstractmethod
    def complete(self, request: Request) -> Completion:
        """The answer, without retrying.

        Raises `TransientLLMError` where repeating may help, `LLMError` where this request is at
        fault, and any other `DatachefError` where no request can succeed (a wrong key).
        """


@dataclass
class LLMClient:
    """Answers from the cache on disk, or from the backend with retries; then remembers the answer.

    The backend is built when the cache does not have an answer, so a run that repeats another needs
    no connection. Every answer is a JSON file named by the hash of what was asked.
    """

    name: str
    build: Callable[[], LLMBackend]
    cache: Path
    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: int = 20
    _backend: LLMBackend | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _failures_in_a_row: int = field(default=0, init=False, repr=False)

    def complete(self, request: Request) -> Completion:
        """The answer to one request.

        Raises `LLMError` when there is none after all attempts, `RunError` when that has happened
        to `patience` requests in a row, and what the backend raises otherwise.
        """
        key, canonical = self._canonical(request)
        path = self.cache / key[:2] / f"{key}.json"
        known = _read(path)
        if known is None:
            known = self._ask(request, key)
            _write(path, canonical, known)
        return known

    def complete_all(
        self, requests: Iterable[Request], max_concurrency: int
    ) -> list[Completion | LLMError]:
        """What `complete` returns or why it failed, in the order of the requests.

        Equal requests are asked once. An error that is no `LLMError` ends the whole call.
        """
        asked = [(self._canonical(request)[0], request) for request in requests]
        unique = dict(asked)
        with ThreadPoolExecutor(max_workers=max_concurrency) as pool:
            futures = {key: pool.submit(self._settle, request) for key, request in unique.items()}
            try:
                return [futures[key].result() for key, _ in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _settle(self, request: Request) -> Completion | LLMError:
        try:
            return self.complete(request)
        except LLMError as error:
            return error

    def _canonical(self, request: Request) -> tuple[str, bytes]:
        """The key of a request and the JSON that it is the hash of."""
        canonical = orjson.dumps(
            {"backend": self.name, "layout": LAYOUT, **asdict(request)}, option=orjson.OPT_SORT_KEYS
        )
        return blake2b(canonical, digest_size=20).hexdigest(), canonical

    def _ask(self, request: Request, key: str) -> Completion:
        with self._lock:
            if self._backend is None:
                self._backend = _built(self.name, self.build)
            backend = self._backend
        # Spreads the waits of concurrent requests; taken from the key, so it is not random.
        jitter = 0.5 + int(key[:4], 16) / 0x20000
        for attempt in range(1, self.attempts + 1):
            try:
                answer = _well_formed(backend.complete(request))
                ACTIVITY.goes_on()
            except TransientLLMError as error:
                if attempt == self.attempts:
                    self._count_failure(error)
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = self.first_wait * 2 ** (attempt - 1) * jitter
                time.sleep(min(wait, self.longest_wait))
            else:
                break
        with self._lock:
            self._failures_in_a_row = 0
        return answer

    def _count_failure(self, error: LLMError) -> None:
        with self._lock:
            self._failures_in_a_row += 1
            hopeless = self._failures_in_a_row >= self.patience
        if hopeless:
            raise RunError(
                f"the LLM backend {self.name} failed {self.patience} requests in a row, "
                f"the last with: {error.message}",
                hint=error.hint or "run again when it answers; what was answered is kept",
            ) from error


def _well_formed(answer: Completion) -> Completion:
    """The answer in characters that can be written; half a surrogate pair is an `LLMError`."""
    try:
        return replace(
            answer,
            text=surrogates.joined(answer.text),
            refusal=surrogates.joined(answer.refusal),
        )
    except UnicodeError:
        raise LLMError("the answer holds half a surrogate pair, which is no character") from None


def _built(name: str, build: Callable[[], LLMBackend]) -> LLMBackend:
    backend = build()
    if not callable(getattr(backend, "complete", None)):
        kind = "None" if backend is None else f"a {type(backend).__name__}"
        raise PluginError(f"the LLM backend {name} built {kind}, not an LLMBackend")
    return backend


def _read(path: Path) -> Completion | None:
    """The remembered answer; None where there is none or the file is damaged."""
    try:
        return Completion(**orjson.loads(path.read_bytes())["completion"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise_environment_failure(error)  # what was paid for is not asked for again
        return None


def _write(path: Path, request: bytes, completion: Completion) -> None:
    content = {"completion": asdict(completion), "request": orjson.Fragment(request)}
    write_atomically(path, orjson.dumps(content))


def tokens_of(messages: Sequence[tuple[str, str]]) -> int:
    """An estimate of the tokens in a prompt: a quarter of its bytes, rounded up."""
    return -(-sum(len(content.encode()) for _, content in messages) // 4)
