"""The client of servers that speak the OpenAI protocol: sent nowhere but where it was told, and
taking nothing for an answer that is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from datachef.core.errors import DatachefError, RunError
from datachef.core.language_models.client import (
    Completion,
    LLMError,
    TransientLLMError,
    is_broken_off,
)

if TYPE_CHECKING:
    from datachef.core.system.http import Reply

# The environment variable with the key of a server.
API_KEY = "DATACHEF_LLM_API_KEY"
TIMEOUT = 600.0
# An answer of so many bytes, and of so many for each token that it may have: escapes, and what
# servers tell besides. No token stands for more on average.
_LONGEST = 4 * 2**20
_LONGEST_TOKEN = 64
_LONGEST_AT_ALL = 64 * 2**20

_HINT = "check the address, which ends with /v1, the key and the name of the model"
_SHOWN = 300
_SHORTEST_SECRET = 6
_PASSING = frozenset((408, 409, 425, 429))
# What is wrong with one request alone; any other refusal would meet every request.
_OF_THE_REQUEST = frozenset((400, 413, 414, 422, 431))
_HOPELESS_CODES = frozenset(
    ("insufficient_quota", "invalid_api_key", "model_not_found", "billing_not_active")
)


class OpenAIClient:
    """Chat completions over HTTP, each asked once."""

    def __init__(
        self, base_url: str, api_key: str = "", *, timeout: float = TIMEOUT, hint: str = ""
    ) -> None:
        """`base_url` ends with /v1. An answer must be there within `timeout` seconds, all of it.
        `hint` says where the address, the key and the model come from.

        Raises `DatachefError` for what is no address, or no key.
        """
        # Imported where it is used: every process has this module, and few ask a server.
        from datachef.core.system.http import basic

        self._hint = hint or _HINT
        self._timeout = timeout
        address = _split(base_url, self._hint)
        key = api_key.strip()
        if not (key.isascii() and key.isprintable()):
            raise DatachefError("the API key holds characters that no key has", self._hint)
        path = f"{address.path.rstrip('/')}/chat/completions"
        self._url = address._replace(path=path)
        self._secrets = [s for s in (key, address.password) if s and len(s) >= _SHORTEST_SECRET]
        # The address for people: user and query may hold what is secret.
        place = address.netloc.rpartition("@")[2]
        self.address = f"{address.scheme}://{place}{address.path}"
        self._headers = {
            "Authorization": f"Bearer {key or 'unused'}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "datachef",
            **basic("Authorization", address),
        }

    def complete(self, arguments: Mapping[str, Any]) -> Completion:
        """The answer to a request of the protocol, which asks for one choice.

        Raises `TransientLLMError` where asking again may help: no connection, no answer in time, a
        status that passes, what is no chat completion. Raises `LLMError` where this request is at
        fault, and `RunError` where no request can succeed: a key, a model or an address is wrong,
        the quota is used up, or the server sends on to another.
        """
        from datachef.core.system.http import LongReplyError, NoReplyError, post

        tokens = arguments.get("max_completion_tokens") or arguments.get("max_tokens") or 0
        longest = min(_LONGEST + _LONGEST_TOKEN * tokens, _LONGEST_AT_ALL)
        raw = orjson.dumps(arguments)
        try:
            reply = post(self._url, raw, self._headers, seconds=self._timeout, longest=longest)
        except LongReplyError as error:
            raise LLMError(f"no answer from {self.address}: {self._words(str(error))}") from error
        except NoReplyError as error:
            said = self._words(str(error))
            raise TransientLLMError(f"no answer from {self.address}: {said}") from error
        if not 200 <= reply.status < 300:
            raise self._by_status(reply)
        try:
            return completion(reply.body)
        except ValueError as error:
            said = self._words(str(error))
            message = f"{self.address} answered with something that is no chat completion: {said}"
            raise TransientLLMError(message, status=reply.status) from error

    def _by_status(self, reply: Reply) -> DatachefError:
        """What the status means to the caller: repeat, give up this request, or stop."""
        status = reply.status
        said, code = _refusal(reply.body)
        message = f"{self.address} answered {status}"
        message += f": {self._words(said)}" if said else ""
        if 300 <= status < 400:
            location = reply.headers.get("location", "").partition("?")[0]
            elsewhere = self._words(location) or "nowhere"
            return RunError(
                f"{self.address} redirects ({status}) to {elsewhere}, which is not followed",
                "name the address that answers, where you trust it with your data; " + self._hint,
            )
        if code in _HOPELESS_CODES:
            return RunError(message, self._hint)
        if status in _PASSING or status >= 500:
            after = _seconds(reply.headers.get("retry-after"))
            return TransientLLMError(message, retry_after=after, status=status)
        if status in _OF_THE_REQUEST:
            return LLMError(message, status=status)
        return RunError(message, self._hint)

    def _words(self, text: str) -> str:
        """Words of a server or a library as they can be shown: one line, nothing that a terminal
        obeys, and no key."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        words = " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())
        return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."


def completion(body: bytes) -> Completion:
    """The answer in the body of a reply. Raises `ValueError` where it is no chat completion.

    Nothing but numbers of tokens is mended: of other types these are 0. A content of null is an
    answer where something says why there is no text: a refusal, calls of tools, reasoning, or a
    reason for the end other than `stop`.
    """
    answer = _json(body)
    choices = _typed(answer.get("choices"), list, "its choices are no list")
    if len(choices) != 1:
        raise ValueError(f"it has {len(choices)} choices, not one")
    choice = _typed(choices[0], dict, "its choice is no object")
    message = _typed(choice.get("message"), dict, "its choice has no message")
    finish = _typed(choice.get("finish_reason") or "stop", str, "its finish_reason is no text")
    if is_broken_off(finish):
        raise ValueError(f"the server broke it off ({finish})")
    if message.get("tool_calls") or message.get("function_call"):
        finish = "tool_calls"
    refusal = _typed(message.get("refusal") or "", str, "its refusal is no text")
    reasoned = message.get("reasoning_content") or message.get("reasoning")
    if message.get("content") is None and finish == "stop" and not (refusal or reasoned):
        raise ValueError("its message has no content")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        _text(message.get("content")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        finish == "length",
        finish,
        refusal,
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        beginning = body[:80].decode(errors="replace")
        raise ValueError(f"it is no JSON: {beginning}" if body else "it is empty") from None
    return dict(_typed(answer, dict, "it is no object"))


def _typed(value: Any, kind: type, fault: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(fault)
    return value


def _text(content: Any) -> str:
    """The text of a message, which some servers give in parts; nothing is empty text."""
    fault = "its content is no text"
    if isinstance(content, list):
        parts = [_typed(part, dict, fault) for part in content]
        return "".join(_typed(part.get("text"), str, fault) for part in parts)
    return "" if content is None else str(_typed(content, str, fault))


def _count(number: Any) -> int:
    return number if type(number) is int and 0 <= number < 2**53 else 0


def _refusal(body: bytes) -> tuple[str, str]:
    """What a server says of a request that it refuses, and its code for that."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace"), ""
    error = said.get("error", said) if isinstance(said, dict) else said
    if not isinstance(error, dict):
        return str(error), ""
    words = error.get("message") or error.get("detail") or ""
    return str(words), str(error.get("code") or error.get("type") or "")


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _split(base_url: str, hint: str) -> Any:
    try:
        address = urlsplit(base_url)
        fine = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        fine = False
    if not fine or not base_url.isprintable() or " " in base_url:
        raise DatachefError(
            "the address of the LLM server is no address that begins with http:// or https://",
            hint,
        )
    return address
