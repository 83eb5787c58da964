"""What a language model's answer holds: the text without its reasoning, or JSON amid words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import orjson

from datachef.core.errors import NO_ANSWER
from datachef.core.language_models.client import (
    Completion,
    LLMError,
    TransientLLMError,
    is_broken_off,
)

# `<think>` and its kin, with `[THINK]` of Mistral, `◁think▷` of Kimi, `<|begin_of_thought|>` and
# `<|START_THINKING|>` of Cohere.
_REASONING = re.compile(
    r"[<◁](?P<slash>/?)(?:[\w-]{1,20}:)?(?:think|thinking|thoughts?|reasoning)"
    r"(?:\s[^<>]{0,100})?[>▷]|\[(?P<bracket>/?)THINK\]"
    r"|<\|(?P<word>begin|start|end)_(?:of_thought|thinking)\|>",
    re.IGNORECASE,
)
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}(?:analysis|commentary)")
# The same where the server drops the marks of the channels.
_BARE_CHANNELS = re.compile(r"\s*(?:analysis|commentary).*assistantfinal", re.DOTALL)
# What ends a turn, where the server does not drop it.
_ENDS_OF_TURN = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|endoftext|>",
    "<|end_of_text|>", "<end_of_turn>", "<eos>",
)  # fmt: skip
_TOOL_CALL = re.compile(r"<tool_call>.*</tool_call>\Z|\[TOOL_CALLS\]|<\|python_tag\|>", re.DOTALL)
_FENCE = re.compile(
    r"^[ \t]{0,9}(```+|~~~+)[^\n`]{0,100}\n(.*?)(?:^[ \t]{0,9}\1[ \t]*$|\Z)", re.M | re.S
)
# A string that does not end goes to the end, so that no end is looked for from each quote in it.
_STRING_OR_COMMA = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)|,(?=\s*[}\]])', re.DOTALL)
_REFUSAL = re.compile(
    r"\W{0,9}(?:(?:(?:i am|i['’]m) (?:very |so |truly )?(?:sorry|afraid)|sorry|i apologi[sz]e|"
    r"unfortunately|as an ai)\b[^.!?]{0,60}[.!?]?\s{0,9})?"
    r"\bi(?:['’]m| am)? (?:can(?:not|['’]t| not)|unable to|not able to|won['’]t|will not|"
    r"(?:must |have to )(?:decline|refuse) to) (?:\w+ ){0,2}?"
    r"(?:(?:assist|help|comply|engage)(?: you)? with|fulfill? (?:this|that|your|the)|"
    r"(?:provide|generate|create|rewrite|rephrase|process|continue|answer|discuss|write|do) "
    r"(?:this|that|your|such|any|the (?:request|text|content|document)))"
    r"|\W{0,9}as an ai (?:language )?model\b",
    re.IGNORECASE,
)
_REFUSAL_CHINESE = re.compile(
    r"\W{0,9}(?:很|非常)?(?:抱歉|对不起|對不起).{0,12}(?:无法|不能|無法).{0,12}"
    r"(?:帮助|协助|提供|满足|回答|处理|幫助|協助|滿足|處理)"
)
_REFUSAL_ELSEWHERE = re.compile(
    r"\W{0,9}(?:(?:lo siento|lamento|je suis désolée?|désolée?|(?:es )?tut mir leid|desculpe|"
    r"sinto muito|mi dispiace|извините|простите|к сожалению)\b.{0,40}"
    r"(?:no puedo|ne peux pas|kann ich|ich kann|não posso|non posso|не могу).{0,40}"
    r"(?:ayudar|asistir|cumplir|proporcionar|aider|répondre|fournir|helfen|unterstützen|ajudar|"
    r"fornecer|aiutar|fornire|помочь|выполнить|предоставить)"
    r"|申し訳.{0,30}(?:できません|致しかねます|いたしかねます)|죄송.{0,40}수 없)",
    re.IGNORECASE,
)
# A refusal is short; an answer that begins like one and goes on is something else.
_LONGEST_REFUSAL = 600
_FILTERED = frozenset(
    (
        "content_filter", "content_filtered", "safety", "blocked", "recitation", "sensitive",
        "prohibited_content", "blocklist", "spii", "guardrail_intervened",
    )
)  # fmt: skip
_CUT = frozenset(
    ("length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded")
)
_TOOLS = frozenset(("tool_calls", "tool_call", "function_call", "tool_use"))
_BROKEN = frozenset(("incomplete", "malformed_function_call"))
# Beginnings of values that are tried in a text that is not JSON as a whole.
_MOST_STARTS = 200


class UnparsableAnswerError(ValueError):
    """An answer that is not what was asked for; raised by `parse`."""


class DroppedRowError(ValueError):
    """A row of which nothing is made, for a reason that the operator names in `reasons()`.

    Raised by `messages`, where there is nothing to ask, and by `parse`, where the answer is what
    was asked for but not good enough.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class AnswerFailure(NamedTuple):
    """Why an answer cannot be used: the reason in the ledger, and the particulars."""

    reason: str
    detail: str


def answer_text(answer: Completion | LLMError, asked: str = "") -> str | AnswerFailure:
    """The text of an answer without its reasoning, or why there is none: a failure's reason is
    `no_answer` (another try may have one), `llm_error`, `truncated_answer`, `filtered_answer`,
    `refused_answer`, `empty_answer` or `unparsable_answer`.

    What a content filter cut off, what ran out of tokens, calls of tools and refusals are no
    answers. A text that only sounds like a refusal is none where `asked` begins like one too: then
    it may be what was asked for.
    """
    if isinstance(answer, TransientLLMError):
        return AnswerFailure(NO_ANSWER, answer.message)
    if isinstance(answer, LLMError):
        return AnswerFailure("llm_error", answer.message)
    finish = answer.finish_reason.lower().replace("-", "_")
    if answer.truncated or finish in _CUT:
        return AnswerFailure("truncated_answer", "it was cut off: max_tokens were used up")
    if finish in _FILTERED:
        return AnswerFailure("filtered_answer", f"the server cut it off ({answer.finish_reason})")
    if answer.refusal or finish == "refusal":
        return AnswerFailure("refused_answer", answer.refusal or answer.text)
    if finish in _BROKEN or is_broken_off(finish):
        reason = f"the server broke it off ({answer.finish_reason})"
        return AnswerFailure("unparsable_answer", reason)
    if finish in _TOOLS:
        return AnswerFailure("unparsable_answer", "it calls a tool")
    try:
        text = _without_reasoning_around(answer.text)
    except UnparsableAnswerError as error:
        return AnswerFailure("unparsable_answer", str(error))
    if not any(char.isprintable() and char != " " for char in text):
        return AnswerFailure("empty_answer", "there is no text in it")
    if _TOOL_CALL.match(text):
        return AnswerFailure("unparsable_answer", "it calls a tool")
    if _refuses(text) and not _refuses(asked[:_LONGEST_REFUSAL]):
        return AnswerFailure("refused_answer", text)
    return text


def _refuses(text: str) -> bool:
    return len(text) <= _LONGEST_REFUSAL and bool(
        _REFUSAL.match(text) or _REFUSAL_CHINESE.match(text) or _REFUSAL_ELSEWHERE.match(text)
    )


def without_reasoning(text: str) -> str:
    """The text without blocks of reasoning and what marks the end of a turn, stripped.

    Blocks may lie in one another; one that was opened in the prompt ends with its closing tag.
    Raises `UnparsableAnswerError` where a block does not end: what belongs to it cannot be told.
    """
    if _FINAL_CHANNEL in text:
        text = re.sub(r"<\|(?:end|return)\|>.*", "", text.rpartition(_FINAL_CHANNEL)[2], flags=re.S)
    elif _CHANNEL.search(text):
        raise UnparsableAnswerError("its reasoning does not end")
    elif bare := _BARE_CHANNELS.match(text):
        text = text[bare.end() :]
    text = _before_end_of_turn(text)
    if text.rstrip().endswith("</s>") and "<s>" not in text:
        text = text.rstrip().removesuffix("</s>")
    depth = last = 0
    kept: list[str] = []
    for tag in _REASONING.finditer(text):
        if text[tag.start() - 1 : tag.start()] == "`" == text[tag.end() : tag.end() + 1]:
            continue  # it is spoken of
        if not (tag["slash"] or tag["bracket"] or (tag["word"] or "").lower() == "end"):
            if depth == 0:
                kept.append(text[last : tag.start()])
            depth += 1
            continue
        if depth == 0:
            kept.clear()
        depth = max(depth - 1, 0)
        last = tag.end()
    if depth:
        raise UnparsableAnswerError("its reasoning does not end")
    return "".join([*kept, text[last:]]).strip()


def _before_end_of_turn(text: str) -> str:
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        mark = next((mark for mark in _ENDS_OF_TURN if text.endswith(mark, 0, end)), "")
        if not mark:
            return text[:end]
        end -= len(mark)


def _without_reasoning_around(text: str) -> str:
    """The same; but a tag in a string of what is JSON as a whole is a word like others."""
    plain = text.strip()
    return plain if any(True for _ in _whole(plain)) else without_reasoning(plain)


def unfenced(text: str) -> str:
    """The text without a code fence around the whole of it."""
    body = text.strip()
    fence = _FENCE.match(body)
    return fence[2].strip("\n") if fence and fence.end() == len(body) else body


def json_answer(answer: str) -> Any:
    """The JSON object or list in an answer.

    It may stand in a code fence, amid words or after reasoning, and have commas before its ends.
    Raises `UnparsableAnswerError` where there is none, or where there are several that differ.
    """
    text = _without_reasoning_around(answer)
    fences = [fence[2] for fence in _FENCE.finditer(text)]
    for bodies in ([text], fences):
        whole = [value for body in bodies for value in _whole(body)]
        if whole:
            return _single(whole)
    found = list(_within(text)) or list(_within(_without_last_commas(text)))
    objects = [value for value in found if isinstance(value, dict)]
    return _single(objects or found)


def _whole(text: str) -> Iterator[Any]:
    """The value that a text is, if it is one."""
    for form in (text, _without_last_commas(text)):
        try:
            value = orjson.loads(form)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            yield value
        return


def _within(text: str) -> Iterator[Any]:
    """The objects and lists in a text that lie in no other."""
    # Lines may end within strings, which models write where JSON wants \\n.
    decoder = json.JSONDecoder(parse_constant=_refuse, strict=False)
    position = 0
    for _ in range(_MOST_STARTS):
        start = re.compile(r"[{\[]").search(text, position)
        if start is None:
            return
        try:
            value, position = decoder.raw_decode(text, start.start())
            orjson.dumps(value)  # half a surrogate pair is no text
        except (ValueError, TypeError, RecursionError) as error:
            if _broken_off(error, text):
                raise UnparsableAnswerError("the JSON in it breaks off") from None
            position = start.end()
        else:
            yield value


def _broken_off(error: Exception, text: str) -> bool:
    """Whether more text could have gone on: what lies in a value that is cut is not the answer."""
    return isinstance(error, json.JSONDecodeError) and (
        error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    )


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_last_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda found: "" if found[0] == "," else found[0], text)


def _single(values: list[Any]) -> Any:
    if not values:
        raise UnparsableAnswerError("there is no JSON in it")
    if any(value != values[0] for value in values):
        raise UnparsableAnswerError(f"there are {len(values)} different JSON values in it")
    return values[0]
