"""Exact checkers: what can be said of a row without asking a model."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from datachef.core.contracts.metric import AllowCode, BenchmarkItem, Metric
from datachef.core.contracts.reward import unavailable
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.errors import DatachefError
from datachef.core.registry.installed import metric_of
from datachef.reward.metrics import metric_for
from datachef.reward.metrics.matching import NumberMatch
from datachef.reward.verifier.judge import RowChecker, SampledRow, Verdict


def exact_checkers(
    task: Task, examples: Sequence[BenchmarkItem], *, allow_code: AllowCode = False
) -> tuple[RowChecker, ...]:
    """The checkers that fit a task with these examples, in the order in which they are asked.

    `allow_code` lets answers to examples of a task with unit tests be checked by running them.
    """
    checkers: list[RowChecker] = [ReadableChecker(), ConversationChecker()]
    metric = metric_of(task)
    if issubclass(metric, NumberMatch):
        checkers.append(ArithmeticChecker())
    if metric.runs_code:
        checkers.append(PythonChecker())
    gold = gold_checker(task, examples, allow_code=allow_code)
    return (*checkers, gold) if gold is not None else tuple(checkers)


# A few broken characters in a long text are a blemish; this many leave nothing to learn from.
MOST_UNREADABLE = 0.05
# Control characters besides white space, private use, and what decoders put for bytes they cannot
# read.
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")


class ReadableChecker:
    """Calls rows invalid that have neither letters nor digits, or that were decoded wrongly."""

    def check(self, row: SampledRow) -> Verdict | None:
        if not row.text.strip():
            return Verdict("invalid", "the row is empty")
        if not any(map(str.isalnum, row.text)):
            return Verdict("invalid", "the row has neither letters nor digits")
        if (share := unreadable_share(row.text)) > MOST_UNREADABLE:
            return Verdict("invalid", f"{share:.0%} of the characters are garbled")
        return None


def unreadable_share(text: str) -> float:
    """Unreadable characters and sequences that look like text in a wrong encoding, per character.

    The sequences are those that ftfy recognises by their improbability (https://ftfy.readthedocs.io).
    """
    from ftfy.badness import badness

    return max(len(_UNREADABLE.findall(text)), badness(text)) / len(text)


_ORDINARY = {"system", "user", "assistant"}


class ConversationChecker:
    """Calls conversations malformed whose turns do not alternate, or whose answer is missing.

    After a system message, which may be absent, user and assistant take turns; the assistant ends.
    Conversations with other roles (tools) need only end with an answer. Documents are not judged.
    """

    def check(self, row: SampledRow) -> Verdict | None:
        turns = row.turns
        if turns is None:
            return None
        if not turns:
            return Verdict("format", "the conversation has no turns")
        role, content = turns[-1]
        if role != "assistant":
            return Verdict("format", f"the conversation ends with a turn of {role[:50]!r}")
        if not content.strip():
            return Verdict("format", "the last answer is empty")
        roles = [role for role, _ in turns]
        if not set(roles) <= _ORDINARY:
            return None
        spoken = turns[1:] if roles[0] == "system" else turns
        for number, (role, content) in enumerate(spoken):
            expected = ("user", "assistant")[number % 2]
            if role != expected:
                return Verdict("format", f"a turn of {role!r} where {expected!r} is due")
            if not content.strip():
                return Verdict("format", f"a turn of {role!r} is empty")
        return None


MAX_CODE = 200_000
_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?P<language>[\w+#.-]*)[^\n`]*\n(?P<code>.*?)^[ \t]*```", re.M | re.S
)
_PYTHON = {"python", "python3", "py"}
# Python without a fence begins like one of these, and defines something somewhere; Ruby, Swift and
# Haskell do only one of the two.
_BEGINS = re.compile(r"\s*(?:def \w+ ?\(|class \w|import \w|from [\w.]+ import )")
_DEFINES = re.compile(r"^(?:def \w+ ?\(|class \w).*:[ \t]*(?:#.*)?\r?$", re.M)
# A protocol of an interpreter is no program.
_PROTOCOL = re.compile(r"^\s*(?:>>> |In \[\d+\]:)", re.M)


class PythonChecker:
    """Calls rows malformed whose answer has Python code that the Python running here cannot parse.

    Reads blocks that are fenced as Python, and answers without fences that begin like a Python
    module. Nothing is executed.
    """

    def check(self, row: SampledRow) -> Verdict | None:
        for code in python_blocks(row.answer):
            if mistake := syntax_error(code):
                return Verdict("format", f"the Python code does not parse: {mistake}")
        return None


def python_blocks(answer: str) -> list[str]:
    """The pieces of an answer that are certainly meant to be Python."""
    blocks = [(found["language"].lower(), found["code"]) for found in _BLOCK.finditer(answer)]
    if not blocks and "```" not in answer and _BEGINS.match(answer) and _DEFINES.search(answer):
        blocks = [("python", answer)]
    return [code for language, code in blocks if language in _PYTHON and not _PROTOCOL.search(code)]


def syntax_error(code: str) -> str | None:
    """What is wrong with a program; None where it parses or is too large to try."""
    if len(code) > MAX_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will refuse some day
            ast.parse(textwrap.dedent(code))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except ValueError as error:  # null bytes
        return str(error)
    except (RecursionError, MemoryError):
        return None
    return None


# What calculator marks look like in GSM8K (https://arxiv.org/abs/2110.14168): <<48/2=24>>.
_MARK = re.compile(r"<<([^<>=]{1,200})=([^<>=]{1,40})>>")
_SIGNS = (
    (re.compile(r"\\times|\\cdot|[×·∙⋅]"), "*"),
    (re.compile(r"\\div|÷"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"[$€£]"), ""),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<=[\d)%])(\s?)[xX](?=\s?[\d(.])"), r"\1*"),
)
_NUMBER = r"(?:\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})"
_OPERAND = rf"{_NUMBER}(?: ?%)?"
_GAP = r"[ ()]{0,4}"
# Repetitions are bounded, so that a text made of sums takes time in proportion to its length.
_EQUATION = re.compile(
    rf"(?P<left>\({{0,4}}{_OPERAND}(?:{_GAP}[-+*/]{_GAP}{_OPERAND}){{1,30}}[ )]{{0,4}})"
    rf" ?= ?(?P<right>-?{_OPERAND})"
)
_CLAIM = re.compile(rf"\s*(-?{_OPERAND})\s*")
_PERCENT = re.compile(rf"({_NUMBER}) ?%")
# What comes after a slash; some people mean all of it as the denominator.
_BELOW = re.compile(rf"/ ?({_NUMBER}(?: ?[*/] ?{_NUMBER})+)")
# What stands before or after an equation and makes it a part of something else.
_LETTER = "[^\\W\u4e00-\u9fff]"  # Chinese leaves no space around numbers
_GOES_BACK = re.compile(
    rf"(?:[-+*/^%)\]}}\\|!_<>\d] *|[^\w\x00-\x7f] *|[\u00bc-\u00be\u2150-\u215e] *"
    rf"|{_LETTER}|[:.,]|\d, *|[-+*/] ?\. *|\bremainder\b.{{0,20}}"
    r"|\b(?:of|times|plus|minus|by|over|and|twice|double|triple|half|log|ln|sin|cos|tan|sqrt|mod|x"
    r"|dozen|hundred|thousand|million|billion) *)\Z",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    rf"{_LETTER}|[(:%^!\u4e07\u4ebf\u5343\u767e]|[.,]\d|\s?[-+*/^][\s(]*[\d.a-z(\\?]| \d"
    r"| (?:r\b|rem|with|dozen|hundred|thousand|million|billion|trillion|[kmb]\b)",
    re.IGNORECASE,
)


class ArithmeticChecker:
    """Calls rows incorrect in whose answer an equation such as `16 - 3 - 4 = 8` is false.

    Reads calculator marks (`<<48/2=24>>`) and equations in the text that have numbers, brackets and
    + - * / on their left and one number on their right. Fractions make it exact. A number that was
    rounded, up or down, at its last decimal place is taken as right. Whatever can be read in
    another way (units, powers, mixed numbers, a percentage taken off) is left to the judge.
    """

    def check(self, row: SampledRow) -> Verdict | None:
        for left, right in equations(row.answer):
            if holds(left, right) is False:
                return Verdict("incorrect", f"{left.strip()} is not {right.strip()}")
        return None


def equations(text: str) -> Iterator[tuple[str, str]]:
    """The left and right sides of the equations in a text, in one spelling."""
    for left, right in _MARK.findall(text):
        yield _one_spelling(left), _one_spelling(right)
    text = _one_spelling(_MARK.sub("", text))
    for found in _EQUATION.finditer(text):
        before = text[max(0, found.start() - 20) : found.start()]
        if not _GOES_BACK.search(before) and not _GOES_ON.match(text, found.end()):
            yield found["left"], found["right"]


def holds(left: str, right: str) -> bool | None:
    """Whether an equation is true, up to rounding; None where that is not certain."""
    claim = _CLAIM.fullmatch(right)
    expression = _PERCENT.sub(r"(\1/100)", left)
    value = _value(expression)
    percent_off = "%" in left and re.search(r"[-+]", left)
    if claim is None or percent_off or value is None:
        return None
    readings = [value, _value(_BELOW.sub(r"/(\1)", expression)) or value]
    if "%" in left + right or 0 < value < 1:  # a share is often given in per cent
        readings += [value * 100, value / 100]
    digits = claim[1].rstrip("% ")
    unit = Fraction(1, 10 ** len(digits.partition(".")[2]))
    return any(_rounds_to(reading, Fraction(digits), unit) for reading in readings)


def _rounds_to(value: Fraction, claimed: Fraction, unit: Fraction) -> bool:
    if (value / unit).denominator == 1:
        return value == claimed
    return abs(value - claimed) < unit


def _one_spelling(text: str) -> str:
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    return text


def _value(expression: str) -> Fraction | None:
    """The exact value of numbers under + - * /; None for anything else."""
    expression = expression.strip()
    surplus = expression.count("(") - expression.count(")")
    if surplus > 0 and expression.startswith("(" * surplus):
        expression = expression[surplus:]
    try:
        return _fold(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _fold(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(repr(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_fold(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _fold(left) + _fold(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _fold(left) - _fold(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _fold(left) * _fold(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _fold(left) / _fold(right)
    raise ValueError("not arithmetic")


def gold_checker(
    task: Task, examples: Sequence[BenchmarkItem], *, allow_code: AllowCode = False
) -> GoldChecker | None:
    """The checker of a task with these examples; None where there are none.

    None too for a metric that runs code, unless there is a program to run and `allow_code` is set.
    """
    if not examples:
        return None
    runnable = allow_code and isinstance(task.benchmark, BenchmarkFile)
    if metric_of(task).runs_code and not runnable:
        return None
    return GoldChecker(examples, metric_for(task, allow_code=allow_code))


class GoldChecker:
    """Compares the answer to a known question with its gold answer, by the metric of the task.

    A row counts that is one question with one answer, the question being that of an example up to
    white space. Where examples share a question, the answer to any of them is right.
    """

    def __init__(self, examples: Sequence[BenchmarkItem], metric: Metric) -> None:
        known: dict[str, list[BenchmarkItem]] = {}
        for item in examples:
            if item.answer:
                known.setdefault(_one_line(item.prompt), []).append(item)
        self._known: Mapping[str, Sequence[BenchmarkItem]] = known
        self._metric = metric

    def check(self, row: SampledRow) -> Verdict | None:
        spoken = [turn for turn in row.turns or () if turn[0] != "system"]
        if [role for role, _ in spoken] != ["user", "assistant"]:
            return None
        items = self._known.get(_one_line(spoken[0][1]))
        if items is None:
            return None
        try:
            right = any(self._metric.score(spoken[1][1], item) == 1 for item in items)
        except DatachefError as error:
            if unavailable(error):
                raise
            return None  # this example cannot be judged by the metric
        if right:
            return Verdict("pass", "the answer to an example of the task agrees with its gold")
        return Verdict("incorrect", "the answer to an example of the task is not its gold answer")


def _one_line(text: str) -> str:
    return " ".join(text.split())
