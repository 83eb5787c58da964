"""The features and gates that plugins register, called on sampled corpora."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from datachef.core.contracts.corpus_sample import CorpusSample
from datachef.core.contracts.operator import NAME
from datachef.core.contracts.task import Task
from datachef.core.errors import PluginError, UnavailableError
from datachef.core.registry.host import Host
from datachef.core.run.stage import key_of
from datachef.core.system.code_identity import function_code
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.values import described
from datachef.reward.gates import GATES, GateFailure
from datachef.reward.sampled_run import SampledCorpus

# Before the names of features that plugins register.
PLUGIN = "plugin."


class PluginFunctions:
    """What plugins register as `datachef_features` and `datachef_gates`.

    A function that raises, or returns something else than it should, is a `PluginError` that names
    it: it says nothing of a recipe.
    """

    def __init__(self, host: Host) -> None:
        """Raises `PluginError` for a name that is not in snake_case or that of a gate of ours."""
        self._host = host
        self._features: dict[str, Callable[[CorpusSample], Any]] = host.named("datachef_features")
        self._gates: dict[str, Callable[[CorpusSample], Any]] = host.named("datachef_gates")
        for what, names in (("feature", self._features), ("gate", self._gates)):
            for name in names:
                if not NAME.fullmatch(name):
                    raise PluginError(f"the {what} {name!r} of a plugin is not in snake_case")
        if taken := sorted(set(GATES) & set(self._gates)):
            raise PluginError(f"a plugin registers the gate {taken[0]!r}, which is one of datachef")

    @property
    def meanings(self) -> Mapping[str, str]:
        """The first line of what each feature says of itself, by the name that it has as one."""
        return {
            f"{PLUGIN}{name}": (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
            for name, function in self._features.items()
        }

    @property
    def codes(self) -> Mapping[str, str]:
        """A digest of the code of each feature: values of another code are another feature."""
        return {
            f"{PLUGIN}{name}": key_of(function_code(function))
            for name, function in self._features.items()
        }

    def features(self, corpus: SampledCorpus, task: Task) -> dict[str, float]:
        """The features of a corpus that has rows, by name; NaN where one is not defined."""
        found = {}
        for name, function in self._features.items():
            value = self._called("feature", name, function, corpus, task)
            if not isinstance(value, Real) or isinstance(value, complex):
                raise PluginError(f"the feature {name!r} gave {described(value)}, not a number")
            found[f"{PLUGIN}{name}"] = float(value) if math.isfinite(value) else math.nan
        return found

    def first_failure(self, corpus: SampledCorpus, task: Task) -> GateFailure | None:
        """The first gate that a corpus fails, which has rows."""
        for place, (name, function) in enumerate(self._gates.items()):
            reason = self._called("gate", name, function, corpus, task)
            if not isinstance(reason, str):
                raise PluginError(f"the gate {name!r} gave {described(reason)}, not a reason")
            if reason:
                return GateFailure(name, (place + 1) / (len(self._gates) + 1), (reason,))
        return None

    def _called(
        self,
        what: str,
        name: str,
        function: Callable[[CorpusSample], Any],
        corpus: SampledCorpus,
        task: Task,
    ) -> Any:
        """The answer of a function for a corpus, of which it gets a separate view."""
        epochs = {source: sampled.epochs for source, sampled in corpus.sources.items()}
        try:
            return function(CorpusSample(corpus.rows.clone(), corpus.schema, epochs, task))
        except UnavailableError:
            raise
        except ENDINGS as error:
            raise_environment_failure(error)
            origin = self._host.origin(error, ours=False)
            where = f" of {origin}" if origin else ""
            raise PluginError(f"the {what} {name!r}{where} raised {cause_of(error)}") from error
