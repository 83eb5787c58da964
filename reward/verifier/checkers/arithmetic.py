"""Equations in worked answers that are false."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction

from datachef.reward.verifier.row import Row
from datachef.reward.verifier.verdict import Verdict

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

    def check(self, row: Row) -> Verdict | None:
        for left, right in equations(row.answer):
            if holds(left, right) is False:
                return Verdict("incorrect", f"{left.strip()} is not {right.strip()}")
        return None


def equations(text: str) -> Iterator[tuple[str, str]]:
    """The left and right sides of the equations in a text, in one spelling."""
    for left, right in _MARK.findall(text):
        yield _plain(left), _plain(right)
    text = _plain(_MARK.sub("", text))
    for found in _EQUATION.finditer(text):
        before = text[max(0, found.start() - 20) : found.start()]
        if not _GOES_BACK.search(before) and not _GOES_ON.match(text, found.end()):
            yield found["left"], found["right"]


def holds(left: str, right: str) -> bool | None:
    """Whether an equation is true, up to rounding; None where that cannot be told."""
    claim = _CLAIM.fullmatch(right)
    expression = _PERCENT.sub(r"(\1/100)", left)
    value = _value(expression)
    percent_off = "%" in left and re.search(r"[-+]", left)
    if claim is None or percent_off or value is None:
        return None
    readings = [value, _value(_BELOW.sub(r"/(\1)", expression)) or value]
    if "%" in left + right or 0 < value < 1:  # a share is often told in per cent
        readings += [value * 100, value / 100]
    digits = claim[1].rstrip("% ")
    unit = Fraction(1, 10 ** len(digits.partition(".")[2]))
    return any(_rounds_to(reading, Fraction(digits), unit) for reading in readings)


def _rounds_to(value: Fraction, claimed: Fraction, unit: Fraction) -> bool:
    if (value / unit).denominator == 1:
        return value == claimed
    return abs(value - claimed) < unit


def _plain(text: str) -> str:
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
