"""The deduplication and decontamination operators we register."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import Operator, hookimpl


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.dedup.decontaminate import Decontaminate
    from datachef.operators.dedup.exact_dedup import ExactDedup
    from datachef.operators.dedup.minhash_dedup import MinHashDedup

    return [Decontaminate, ExactDedup, MinHashDedup]
