"""Deduplication: of copies one stays, and what goes is a copy of what stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.dedup.decontaminate import Decontaminate
    from datachef.operators.dedup.exact_dedup import ExactDedup
    from datachef.operators.dedup.exact_substring_dedup import ExactSubstringDedup
    from datachef.operators.dedup.line_dedup import LineDedup, ParagraphDedup
    from datachef.operators.dedup.minhash_dedup import MinHashDedup
    from datachef.operators.dedup.rouge_dedup import RougeDedup
    from datachef.operators.dedup.semantic_dedup import SemanticDedup
    from datachef.operators.dedup.simhash_dedup import SimHashDedup

    return [
        Decontaminate,
        ExactDedup,
        ExactSubstringDedup,
        LineDedup,
        MinHashDedup,
        ParagraphDedup,
        RougeDedup,
        SemanticDedup,
        SimHashDedup,
    ]
