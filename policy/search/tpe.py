"""Bayesian search by tree-structured Parzen estimators, with Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.policy.search.base import DrawnSearch
from datachef.policy.space import RecipeSpace

if TYPE_CHECKING:
    from optuna.trial import Trial


class TpeSearch(DrawnSearch["Trial"]):
    """TPE (Bergstra et al. 2011, https://papers.nips.cc/paper/4443; Watanabe 2023,
    https://arxiv.org/abs/2304.11127) over the choices of a draft.

    Every place of a draft is a categorical parameter, which exists only if the choices before lead
    to it. By default each is modelled independently; `joint` models those that occur together,
    which finds better recipes in a hundred calls but takes seconds per call after a few hundred.
    """

    def __init__(self, space: RecipeSpace, seed: int, *, joint: bool = False) -> None:
        """Raises `MissingPackageError` without Optuna."""
        super().__init__(space, "tpe")
        self._optuna = _optuna()
        with self._quiet():
            # The constant liar treats a trial without a value as a bad one, whether it is of this
            # batch or a repeated recipe that is never scored, so the next draw differs.
            sampler = self._optuna.samplers.TPESampler(
                multivariate=joint, group=joint, constant_liar=True, seed=seed
            )
            self._study = self._optuna.create_study(direction="maximize", sampler=sampler)

    def draw(self) -> tuple[dict[str, Any], Trial]:
        with self._quiet():
            trial = self._study.ask()
            return self.space.draw(_TrialChooser(trial)), trial

    def learn(self, origin: Trial, value: float) -> None:
        with self._quiet():
            self._study.tell(origin, value)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Turns off Optuna's log, and its warning that joint sampling is experimental."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                yield
        finally:
            logging.set_verbosity(before)


class _TrialChooser:
    """Lets an Optuna trial make the choices."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def choose(self, place: str, count: int) -> int:
        # The number of alternatives at a place may depend on the choices before, but a parameter in
        # Optuna always has the same ones: hence the number in its name.
        return self._trial.suggest_categorical(f"{place}/{count}", range(count))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingPackageError("optuna", extra("policy"), "the TPE search") from error
    return optuna
