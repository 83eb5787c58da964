"""Selection: which rows of the whole corpus stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.selection.curriculum_order import CurriculumOrder
    from datachef.operators.selection.diverse_sample import DiverseSample
    from datachef.operators.selection.importance_resampling import ImportanceResampling
    from datachef.operators.selection.quality_upsampling import QualityUpsampling
    from datachef.operators.selection.sample import Sample
    from datachef.operators.selection.shuffle import Shuffle
    from datachef.operators.selection.stratified_sample import StratifiedSample
    from datachef.operators.selection.task_ranking import TaskRanking
    from datachef.operators.selection.task_similarity import TaskSimilarity
    from datachef.operators.selection.top_selection import TopSelection

    return [
        CurriculumOrder,
        DiverseSample,
        ImportanceResampling,
        QualityUpsampling,
        Sample,
        Shuffle,
        StratifiedSample,
        TaskRanking,
        TaskSimilarity,
        TopSelection,
    ]
