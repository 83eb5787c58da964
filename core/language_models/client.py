"""Language models as a service: what a backend answers, and a client that retries and remembers."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datachef.core import escaping as surrogates
from datachef.core.errors import DatachefError, MissingPackageError, PluginError, UnavailableError
from datachef.core.language_models.kept_answers import KeptAnswers
from datachef.core.system.atomic import clear_scratch
from datachef.core.system.child_process import ACTIVITY
from datachef.core.system.containment import cause_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.lock import alone
from datachef.core.text.values import described

if TYPE_CHECKING:
    from datachef.core.system.folder import Folder

# Part of every key: answers kept in an older form, which lacks something, are asked again.
LAYOUT = 4

# What answers took: see `LLMClient.complete_each`.
MODEL_EFFORT = ("requests", "repeated", "prompt_tokens", "answer_tokens", "kept")

# Why an answer ends that is none: its server was stopped, failed or had too much to do.
_BROKEN_OFF = frozenset(("abort", "aborted", "error", "cancelled", "insufficient_system_resource"))


class LLMError(DatachefError):
    """This one request cannot be answered; others may be. Any other error ends the run.

    `status` is that of HTTP where a server answered.
    """

    def __init__(self, message: str, hint: str = "", *, status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class TransientLLMError(LLMError):
    """The request may succeed when repeated, after `retry_after` seconds where they are named."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        retry_after: float | None = None,
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(message, hint, status=status)
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


def is_broken_off(finish_reason: str) -> bool:
    """Whether an answer ends for a reason that may pass, so that it is asked for again."""
    return finish_reason.lower().replace("-", "_") in _BROKEN_OFF


class LLMBackend(ABC):
    """A way to reach language models; `complete` is called from several threads at once."""

    @classmethod
    def problems(cls, model: str) -> Iterable[tuple[str, str]]:
        """Why this model cannot be asked here, as far as that is known before anything runs:
        (message, hint) each. Asked of a class that is registered as its own factory."""
        return ()

    @classmethod
    def identity(cls, model: str) -> str:
        """What answers of this model depend on besides its name, such as a checksum of its weights;
        empty where that is not known. Asked like `problems`."""
        return ""

    @abstractmethod
    def complete(self, request: Request) -> Completion:
        """The answer, without retrying.

        Raises `TransientLLMError` where repeating may help, `LLMError` where this request is at
        fault, and any other `DatachefError` where no request can succeed (a wrong key).
        """


def backend_class(factory: Callable[[], Any] | None) -> type[LLMBackend] | None:
    """The class that a registered factory is; None where it is another function."""
    if isinstance(factory, type) and issubclass(factory, LLMBackend):
        return factory
    return None


@dataclass(frozen=True)
class Persistence:
    """How often a request is repeated that fails for a reason that may pass, and the waits between
    in seconds: each twice the one before, unless the server names one."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def ask(
        self, question: Callable[[], Completion], spread: float, stop: threading.Event
    ) -> Completion:
        """The first answer; raises the error of the last attempt, and what never passes at once.

        `spread` (0 to 1) sets the waits of concurrent requests apart. Once `stop` is set, nothing
        is asked any more.
        """
        for attempt in range(1, self.attempts + 1):
            if stop.is_set():
                raise LLMError("it was not asked: the run ends")
            try:
                return question()
            except TransientLLMError as error:
                if attempt == self.attempts:
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = self.first_wait * 2 ** (attempt - 1) * (0.5 + spread)
                stop.wait(min(wait, self.longest_wait))
        raise LLMError("it was not asked")


@dataclass
class LLMClient:
    """Answers from the cache on disk, or from the backend with retries; then remembers the answer.

    The backend is built when the cache does not have an answer, so a run that repeats another needs
    no connection. Every answer is a JSON file named by the hash of what was asked, written before
    anybody sees the answer. Equal requests that several processes or threads have at the same time
    are sent once: one asks while the others wait for its answer. What failed is not remembered.
    Answers are kept in `shared` too, where results lie elsewhere.
    """

    name: str
    build: Callable[[], LLMBackend]
    cache: Path
    persistence: Persistence = field(default_factory=Persistence)
    patience: int = 20
    shared: Folder | None = None
    _backend: LLMBackend | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _failures_in_a_row: int = field(default=0, init=False, repr=False)

    def complete(self, request: Request, stop: threading.Event | None = None) -> Completion:
        """The answer to one request.

        Raises `LLMError` when there is none after all attempts, `UnavailableError` when that has
        happened to `patience` requests in a row and where no request can succeed, `PluginError` for
        an exception that no backend may raise. Once `stop` is set, nothing is asked any more.
        """
        return self._answer(request, stop or threading.Event())[0]

    def _answer(self, request: Request, stop: threading.Event) -> tuple[Completion, int]:
        """The answer, and how often the backend was asked for it."""
        key, canonical = self._canonical(request)
        known = self._known(key)
        if known is not None:
            return known, 0
        self._kept.make_room(key)
        with alone(self._kept.path(key), stop):
            known, tries = self._known(key), 0
            if known is None:
                known, tries = self._ask(request, int(key[:4], 16) / 0x10000, stop)
                asked = orjson.Fragment(canonical)
                self._kept.write(key, {"completion": asdict(known), "request": asked})
        return known, tries

    def complete_all(
        self, requests: Iterable[Request], max_concurrency: int
    ) -> list[Completion | LLMError]:
        """What `complete` returns or why it failed, in the order of the requests.

        Equal requests are asked once. An error that is no `LLMError` ends the whole call.
        """
        answers = dict(self.complete_each(requests, max_concurrency))
        return [answers[place] for place in range(len(answers))]

    def complete_each(
        self,
        requests: Iterable[Request],
        max_concurrency: int,
        effort: Counter[str] | None = None,
    ) -> Generator[tuple[int, Completion | LLMError], None, None]:
        """The same one by one, as the answers come, each with the place of its request.

        `effort` counts the `requests` that were answered now, with their tokens and how often they
        were `repeated`, and the answers that were `kept` from before.

        When the iterator is closed, no more requests are sent, and answers on their way are waited
        for and kept. After an error that is no `LLMError` they are not waited for.
        """
        places: dict[str, list[int]] = {}
        unique: dict[str, Request] = {}
        for place, request in enumerate(requests):
            key, _ = self._canonical(request)
            places.setdefault(key, []).append(place)
            unique.setdefault(key, request)
        stop = threading.Event()
        fatal: list[BaseException] = []

        def settle(request: Request) -> tuple[Completion | LLMError, int]:
            try:
                return self._answer(request, stop)
            except LLMError as error:
                return error, 0
            except BaseException as error:
                fatal.append(error)
                stop.set()
                raise

        pool = ThreadPoolExecutor(max_workers=max_concurrency)
        try:
            futures = {pool.submit(settle, request): key for key, request in unique.items()}
            for future in as_completed(futures):
                if fatal:
                    raise fatal[0]
                answer, tries = future.result()
                if effort is not None and isinstance(answer, Completion):
                    effort.update(_effort(answer, tries))
                for place in places[futures[future]]:
                    yield place, answer
        except GeneratorExit:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def remembers(self, request: Request) -> bool:
        """Whether the answer to a request is kept, so that nothing is sent for it."""
        return self._known(self._canonical(request)[0]) is not None

    @property
    def _kept(self) -> KeptAnswers:
        return KeptAnswers(self.cache, self.shared)

    def _known(self, key: str) -> Completion | None:
        content = self._kept.read(key)
        return None if content is None else Completion(**content["completion"])

    def _canonical(self, request: Request) -> tuple[str, bytes]:
        """The key of a request and the JSON that it is the hash of."""
        asked: dict[str, Any] = {"backend": self.name, "layout": LAYOUT, **asdict(request)}
        if (kind := backend_class(self.build)) and (identity := kind.identity(request.model)):
            asked["model_identity"] = identity
        canonical = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        return blake2b(canonical, digest_size=20).hexdigest(), canonical

    def _ask(
        self, request: Request, spread: float, stop: threading.Event
    ) -> tuple[Completion, int]:
        """The answer of the backend, and how often it was asked."""
        with self._lock:
            if self._backend is None:
                clear_scratch(self.cache)
                self._backend = _built(self.name, self.build)
            backend = self._backend
        tries = 0

        def question() -> Completion:
            nonlocal tries
            tries += 1
            return _well_formed(self.name, _asked(self.name, backend, request))

        try:
            answer = self.persistence.ask(question, spread, stop)
        except TransientLLMError as error:
            self._count_failure(error)
            raise
        ACTIVITY.goes_on()
        with self._lock:
            self._failures_in_a_row = 0
        return answer, tries

    def _count_failure(self, error: LLMError) -> None:
        with self._lock:
            self._failures_in_a_row += 1
            hopeless = self._failures_in_a_row >= self.patience
        if hopeless:
            raise UnavailableError(
                f"the LLM backend {self.name} failed {self.patience} requests in a row, "
                f"the last with: {error.message}",
                hint=error.hint or "run again when it answers; what was answered is kept",
            ) from error


def _effort(answer: Completion, tries: int) -> dict[str, int]:
    if not tries:
        return {"kept": 1}
    tokens = answer.prompt_tokens, answer.completion_tokens
    return dict(zip(MODEL_EFFORT, (1, tries - 1, *tokens, 0), strict=True))


def _asked(name: str, backend: LLMBackend, request: Request) -> Any:
    with _at_hand(name):
        return backend.complete(request)


@contextmanager
def _at_hand(name: str) -> Iterator[None]:
    """What a backend raises where no request can succeed, as `UnavailableError`."""
    try:
        yield
    except (LLMError, PluginError, MissingPackageError, UnavailableError, MemoryError):
        raise
    except DatachefError as error:
        raise UnavailableError(error.message, error.hint) from error
    except Exception as error:
        raise_environment_failure(error)
        if isinstance(error, OSError):
            raise UnavailableError(f"the LLM backend {name}: {cause_of(error)}") from error
        raise PluginError(f"the LLM backend {name} raised {cause_of(error)}") from error


def _well_formed(name: str, answer: Any) -> Completion:
    """The answer in characters that can be written; half a surrogate pair is an `LLMError`, as is
    a field of another type. Raises `TransientLLMError` for what the server broke off, and
    `PluginError` for what is no `Completion`."""
    if not isinstance(answer, Completion):
        raise PluginError(f"the LLM backend {name} gave {described(answer)}, not a Completion")
    wrong = next((field for field, fits in _FIELDS.items() if not fits(getattr(answer, field))), "")
    if wrong:
        value = described(getattr(answer, wrong))
        raise LLMError(f"the LLM backend {name} gave {value} as {wrong} of an answer")
    if is_broken_off(answer.finish_reason):
        raise TransientLLMError(f"the server broke it off ({answer.finish_reason})")
    try:
        return replace(
            answer,
            text=surrogates.joined(answer.text),
            finish_reason=surrogates.joined(answer.finish_reason),
            refusal=surrogates.joined(answer.refusal),
        )
    except UnicodeError:
        raise LLMError("the answer holds half a surrogate pair, which is no character") from None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: type(value) is str,
    "prompt_tokens": _is_count,
    "completion_tokens": _is_count,
    "truncated": lambda value: type(value) is bool,
    "finish_reason": lambda value: type(value) is str,
    "refusal": lambda value: type(value) is str,
}


def _built(name: str, build: Callable[[], LLMBackend]) -> LLMBackend:
    with _at_hand(name):
        backend = build()
    if not callable(getattr(backend, "complete", None)):
        kind = "None" if backend is None else f"a {type(backend).__name__}"
        raise PluginError(f"the LLM backend {name} built {kind}, not an LLMBackend")
    return backend


def tokens_of(messages: Sequence[tuple[str, str]]) -> int:
    """An estimate of the tokens in a prompt: a quarter of its bytes, rounded up."""
    return -(-sum(len(content.encode()) for _, content in messages) // 4)
