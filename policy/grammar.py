"""The grammar that a model's tokens obey, one mask engine for sampling and for training.

A token is forced where the grammar leaves one way to go on; it is written, not sampled, and has
probability 1. Everywhere else the model decides among the tokens that are allowed. What is forced
and allowed depends on the tokens before alone, so that a finished text can be replayed, whoever
sampled it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.policy.space.nodes import Schema
from datachef.policy.space.space import RecipeSpace

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Decision:
    """A place in a text where the grammar left a choice: its index, and the tokens allowed there,
    in ascending order."""

    index: int
    allowed: Tokens


class Grammar:
    """The texts of a JSON Schema, in the tokens of a tokenizer. They end with its end token."""

    def __init__(self, schema: Schema, tokenizer: Any, *, jumps: bool = True) -> None:
        """`tokenizer` is a fast one of transformers. Without `jumps` a token is forced only where
        it is the only one that fits, as engines sample that know masks alone; with them the one
        way to go on may be spelled in one way alone. Raises `DatachefError` for a schema that
        llguidance does not know exactly, and for a tokenizer without an end token."""
        engine = _engine()
        if tokenizer.eos_token_id is None:
            raise DatachefError("the tokenizer has no end token", "set its eos_token")
        self.end = int(tokenizer.eos_token_id)
        text = engine.LLMatcher.grammar_from_lark(lark(schema))
        self._jumps = jumps
        self._tokens = engine.hf.from_tokenizer(tokenizer, eos_token=self.end)
        self._spellings: dict[int, bytes] = {}
        self._start = engine.LLMatcher(self._tokens, text)
        if self._start.is_error():
            raise DatachefError(f"no grammar for this schema: {self._start.get_error()}")

    def walk(self) -> Walk:
        """A walk from the beginning of a text."""
        return Walk(self._start.deep_copy(), self.end, jumps=self._jumps)

    def spell(self, text: str) -> list[int]:
        """The tokens of a text of the grammar, the longest that fit wherever there is a choice.

        Raises `DatachefError` for a text that is not in the grammar.
        """
        raw, tokens, walk = text.encode(), [], self.walk()
        while not walk.finished:
            forced = walk.forced()
            tokens += forced
            spelled = self._tokens.decode_bytes([t for t in forced if t != self.end])
            if not raw.startswith(spelled):
                raise DatachefError(f"the text leaves the grammar before {raw[:40]!r}")
            raw = raw[len(spelled) :]
            if walk.finished:
                break
            fitting = [
                (len(spelling), int(token))
                for token in walk.allowed()
                if (spelling := self._spelling(int(token))) and raw.startswith(spelling)
            ]
            if not fitting:
                raise DatachefError(f"the text leaves the grammar before {raw[:40]!r}")
            length, token = max(fitting)
            walk.take(token)
            tokens.append(token)
            raw = raw[length:]
        if raw:
            raise DatachefError(f"the text goes on after its end: {raw[:40]!r}")
        return tokens

    def _spelling(self, token: int) -> bytes:
        if token not in self._spellings:
            special = token == self.end
            self._spellings[token] = b"" if special else self._tokens.decode_bytes([token])
        return self._spellings[token]

    def decisions(self, tokens: Sequence[int]) -> Iterator[Decision]:
        """Where a text decided. Raises `DatachefError` at a token that is not in the grammar."""
        walk = self.walk()
        index = 0
        while index < len(tokens):
            forced = walk.forced()
            if forced:
                if list(tokens[index : index + len(forced)]) != forced[: len(tokens) - index]:
                    raise DatachefError(f"token {index} of the text is not the forced one")
                index += len(forced)
                continue
            if walk.finished:
                raise DatachefError(f"the text goes on after its end, at token {index}")
            allowed = walk.allowed()
            if tokens[index] not in allowed:
                raise DatachefError(f"token {index} of the text is not in the grammar")
            yield Decision(index, allowed)
            walk.take(int(tokens[index]))
            index += 1


class Grammars:
    """The grammars of spaces in the tokens of one tokenizer, each compiled once. `jumps` as for
    `Grammar`."""

    def __init__(self, tokenizer: Any, *, jumps: bool = True) -> None:
        self._tokenizer = tokenizer
        self._jumps = jumps
        self._known: dict[str, Grammar] = {}

    def of(self, space: RecipeSpace) -> Grammar:
        """The grammar of the drafts of a space. Raises `DatachefError` as `Grammar` does."""
        key = space.fingerprint
        if key not in self._known:
            self._known[key] = Grammar(space.schema(), self._tokenizer, jumps=self._jumps)
        return self._known[key]


class Walk:
    """One text as it grows."""

    def __init__(self, matcher: Any, end: int, *, jumps: bool) -> None:
        self._matcher = matcher
        self._end = end
        self._jumps = jumps
        self.finished = False

    def forced(self) -> list[int]:
        """The tokens that follow whatever anybody wants, none where there is a choice."""
        written: list[int] = []
        while not self.finished:
            stopped = self._matcher.is_stopped()
            following = self._matcher.compute_ff_tokens() if self._jumps and not stopped else []
            if not following:
                if not stopped:
                    allowed = self.allowed()
                    if len(allowed) != 1:
                        break
                    following = [int(allowed[0])]
                else:
                    following = [self._end]
            for token in following:
                self.take(int(token))
            written += following
        return written

    def allowed(self) -> Tokens:
        """The tokens that may come next, in ascending order."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(mask, bitorder="little"))

    def take(self, token: int) -> None:
        """Goes on by a token that is allowed."""
        if token == self._end:
            self.finished = True
        elif not self._matcher.consume_token(token):
            raise DatachefError(f"token {token} is not in the grammar")


def lark(schema: Schema) -> str:
    """The grammar of a JSON Schema as llguidance reads it, alone or inside of vLLM.

    Without optional white space every draft has one spelling. The first line says nothing, but no
    other engine takes it, so that vLLM gives the grammar to llguidance.
    """
    described = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return "%llguidance {}\nstart: %json " + orjson.dumps(described).decode()


def written(draft: Any) -> str:
    """A draft as the grammar writes it: JSON without white space, numbers without an exponent and
    whole ones without a point."""
    return orjson.dumps(_in_decimals(draft)).decode()


def _in_decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_decimals(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_decimals(item) for item in value]
    if isinstance(value, float):
        return orjson.Fragment(format(Decimal(repr(value)), "f").removesuffix(".0"))
    return value


def _engine() -> Any:
    try:
        import llguidance
        import llguidance.hf
    except ImportError as error:
        raise MissingPackageError("llguidance", extra("policy"), "the policy") from error
    return llguidance
