"""The contracts that plugins keep, as suites for their authors' tests.

    from datachef.core.testing import FeatureContract, OperatorContract

    class TestMyFilter(OperatorContract):
        operator = MyFilter(max_share=0.3)

    class TestMyFeature(FeatureContract):
        function = staticmethod(my_feature)

Runs under pytest; every method is one law, and its docstring says what keeps it. `chef plugins
check` runs them too.
"""

from datachef.core.testing.corpus_functions import FeatureContract, GateContract, corpus_sample
from datachef.core.testing.engines import EngineContract
from datachef.core.testing.operators import OperatorContract, odd_rows
from datachef.core.testing.rewards import RewardContract
from datachef.core.testing.sources import SourceContract

__all__ = [
    "EngineContract",
    "FeatureContract",
    "GateContract",
    "OperatorContract",
    "RewardContract",
    "SourceContract",
    "corpus_sample",
    "odd_rows",
]
