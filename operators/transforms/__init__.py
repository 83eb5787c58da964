"""Transforms: a batch in, a batch out, row by row in meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.transforms.chunk_text import ChunkText
    from datachef.operators.transforms.clean_c4_lines import CleanC4Lines
    from datachef.operators.transforms.clean_copyright import CleanCopyright
    from datachef.operators.transforms.clean_refinedweb_lines import CleanRefinedwebLines
    from datachef.operators.transforms.extract_html import ExtractHTML
    from datachef.operators.transforms.fix_unicode import FixUnicode
    from datachef.operators.transforms.normalize_punctuation import NormalizePunctuation
    from datachef.operators.transforms.normalize_whitespace import NormalizeWhitespace
    from datachef.operators.transforms.redact_personal_data import RedactPersonalData

    return [
        ChunkText,
        CleanC4Lines,
        CleanCopyright,
        CleanRefinedwebLines,
        ExtractHTML,
        FixUnicode,
        NormalizePunctuation,
        NormalizeWhitespace,
        RedactPersonalData,
    ]
