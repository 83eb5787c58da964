"""The grammar of a space in tokens: one mask for sampling and for training.

Where the grammar leaves a single continuation, the tokens are forced: they are written, not
sampled, and have probability 1. Elsewhere the model chooses among the allowed tokens. Both depend
only on the tokens before, so a finished text can be replayed, no matter what sampled it.
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
    """A token of a text where the grammar left a choice: its index, and the allowed tokens in
    ascending order."""

    index: int
    allowed: Tokens


class Grammar:
    """The texts of a JSON Schema in the tokens of a tokenizer, each followed by its end token."""

    def __init__(self, schema: Schema, tokenizer: Any, *, fast_forward: bool = True) -> None:
        """`tokenizer` is a fast one of transformers.

        With `fast_forward`, text that must follow is written in one fixed tokenization. Without it
        a token is forced only if it is the only allowed one, which is how engines sample that use
        masks alone. Raises `DatachefError` for a schema that llguidance does not support exactly,
        and for a tokenizer without an end token.
        """
        engine = _engine()
        if tokenizer.eos_token_id is None:
            raise DatachefError("the tokenizer has no end token", "set its eos_token")
        self.end = int(tokenizer.eos_token_id)
        text = engine.LLMatcher.grammar_from_lark(lark_grammar(schema))
        self._fast_forward = fast_forward
        self._tokens = engine.hf.from_tokenizer(tokenizer, eos_token=self.end)
        self._spellings: dict[int, bytes] = {}
        self._start = engine.LLMatcher(self._tokens, text)
        if self._start.is_error():
            raise DatachefError(f"no grammar for this schema: {self._start.get_error()}")

    def start(self) -> GrammarState:
        """The state at the beginning of a text."""
        return GrammarState(self._start.deep_copy(), self.end, fast_forward=self._fast_forward)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, with the longest fitting token wherever there is a choice.

        Raises `DatachefError` for a text that the grammar does not contain.
        """
        raw, tokens, state = text.encode(), [], self.start()
        while not state.finished:
            forced = state.forced()
            tokens += forced
            spelled = self._tokens.decode_bytes([t for t in forced if t != self.end])
            if not raw.startswith(spelled):
                raise DatachefError(f"the text leaves the grammar before {raw[:40]!r}")
            raw = raw[len(spelled) :]
            if state.finished:
                break
            fitting = [
                (len(spelling), int(token))
                for token in state.allowed()
                if (spelling := self._spelling(int(token))) and raw.startswith(spelling)
            ]
            if not fitting:
                raise DatachefError(f"the text leaves the grammar before {raw[:40]!r}")
            length, token = max(fitting)
            state.advance(token)
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
        """The tokens of a text where the grammar left a choice.

        Raises `DatachefError` at a token that the grammar does not allow.
        """
        state = self.start()
        index = 0
        while index < len(tokens):
            forced = state.forced()
            if forced:
                if list(tokens[index : index + len(forced)]) != forced[: len(tokens) - index]:
                    raise DatachefError(f"token {index} of the text is not the forced one")
                index += len(forced)
                continue
            if state.finished:
                raise DatachefError(f"the text goes on after its end, at token {index}")
            allowed = state.allowed()
            if tokens[index] not in allowed:
                raise DatachefError(f"token {index} of the text is not in the grammar")
            yield Decision(index, allowed)
            state.advance(int(tokens[index]))
            index += 1


class CompiledGrammars:
    """The grammars of spaces for one tokenizer, each compiled once; `fast_forward` as in
    `Grammar`."""

    def __init__(self, tokenizer: Any, *, fast_forward: bool = True) -> None:
        self._tokenizer = tokenizer
        self._fast_forward = fast_forward
        self._known: dict[str, Grammar] = {}

    def of(self, space: RecipeSpace) -> Grammar:
        """The grammar of the drafts of a space. Raises what `Grammar` raises."""
        key = space.fingerprint
        if key not in self._known:
            self._known[key] = Grammar(
                space.schema(), self._tokenizer, fast_forward=self._fast_forward
            )
        return self._known[key]


class GrammarState:
    """The state of the grammar within one growing text."""

    def __init__(self, matcher: Any, end: int, *, fast_forward: bool) -> None:
        self._matcher = matcher
        self._end = end
        self._fast_forward = fast_forward
        self.finished = False

    def forced(self) -> list[int]:
        """The tokens that must follow, which are consumed; none where there is a choice."""
        written: list[int] = []
        while not self.finished:
            stopped = self._matcher.is_stopped()
            following = (
                self._matcher.compute_ff_tokens() if self._fast_forward and not stopped else []
            )
            if not following:
                if not stopped:
                    allowed = self.allowed()
                    if len(allowed) != 1:
                        break
                    following = [int(allowed[0])]
                else:
                    following = [self._end]
            for token in following:
                self.advance(int(token))
            written += following
        return written

    def allowed(self) -> Tokens:
        """The tokens that may come next, in ascending order."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(mask, bitorder="little"))

    def advance(self, token: int) -> None:
        """Consumes an allowed token."""
        if token == self._end:
            self.finished = True
        elif not self._matcher.consume_token(token):
            raise DatachefError(f"token {token} is not in the grammar")


def lark_grammar(schema: Schema) -> str:
    """The grammar of a JSON Schema in the Lark dialect of llguidance, for itself or within vLLM.

    Without optional white space every draft has exactly one text. The first line has no effect, but
    only llguidance accepts it, so vLLM passes the grammar to llguidance.
    """
    described = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return "%llguidance {}\nstart: %json " + orjson.dumps(described).decode()


def draft_text(draft: Any) -> str:
    """The text of a draft in the grammar: JSON without white space, numbers without exponent, and
    whole numbers without a decimal point."""
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
