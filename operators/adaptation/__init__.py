"""Adaptation: rows in the form in which the task asks and is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.adaptation.answer_form import AnswerForm

    return [AnswerForm]
