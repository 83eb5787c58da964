"""Builds the space of recipes from a pool, limits and what is registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.contracts.corpus import MixOperator
from datachef.core.contracts.recipe import LanguageModelCaps, caps_of_environment
from datachef.core.errors import DatachefError, RecipeError, did_you_mean
from datachef.core.recipe.checked import CheckResult
from datachef.core.recipe.checking import check_document
from datachef.core.recipe.resolving import read_task
from datachef.core.registry.host import Host
from datachef.core.rows.inspection import SourceInfo, SourceInspector
from datachef.policy.settings import GrammarLimits
from datachef.policy.space.first_rows import FirstRows, is_most
from datachef.policy.space.nodes import Choice, ListOf, Node, OneOf, Record, Selection, SharedNode
from datachef.policy.space.space import BUDGET, RecipeSpace
from datachef.policy.space.steps import (
    NotOfferedError,
    minimal_step,
    operator_name,
    step_node,
    within_caps,
)


def recipe_space(
    host: Host, pool: Path, task: Path | None = None, limits: GrammarLimits | None = None
) -> RecipeSpace:
    """The space of recipes over a pool, within the budget of a task.

    Every operator is tried on every kind of source with `check`, including all recipe rules, for
    the task if there is one. What is left is tried on the first rows of each source, and is not
    offered where it keeps too few of them. No other rows are read. Raises `RecipeError` if a source
    cannot be used, and `DatachefError` if the limits name something unknown or nothing can be
    written.
    """
    limits = limits or GrammarLimits()
    checker = _StepChecker(host, pool, task)
    sources = _named(limits.sources, checker.sources, "source of the pool")
    infos = checker.inspect(sources)
    places = len(sources) * limits.source_steps + limits.corpus_steps
    steps, mixes, left_out = _operators(host, limits, checker.caps, places)
    described = read_task(task, host) if task is not None else None
    of_sources: dict[str, list[Record]] = {}
    alike: dict[frozenset[str], list[Record]] = {}
    for name in sources:
        columns = frozenset(infos[name].columns)
        if columns not in alike:
            alike[columns] = [s for s in steps if checker.passes({name: [minimal_step(s)]})]
        of_sources[name] = list(alike[columns])
    nothing: dict[str, list[Any]] = {name: [] for name in sources}
    of_corpus = [s for s in steps if checker.passes(nothing, [minimal_step(s)])]
    passed = {operator_name(s) for own in (*of_sources.values(), of_corpus) for s in own}
    _keep_fitting(FirstRows(infos, host.vocabulary, described, limits), of_sources, of_corpus)
    required: dict[str, Node] = {
        "sources": Selection(
            {name: _source(fitting, bool(mixes), limits) for name, fitting in of_sources.items()}
        )
    }
    budget = described.budget if described is not None else None
    if mixes:
        required["mix"] = OneOf(tuple(mixes))
        if budget is not None:
            required[BUDGET] = Choice(limits.budgets)
    if of_corpus and limits.corpus_steps:
        required["steps"] = ListOf(_one_of(of_corpus), limits.corpus_steps)
    written = [*mixes, *of_corpus, *(s for fitting in of_sources.values() for s in fitting)]
    names = tuple(sorted({operator_name(record) for record in written}))
    unfit = {operator_name(s): checker.objection(minimal_step(s)) for s in steps}
    unfit |= dict.fromkeys(passed, "keeps less than least_kept of the first rows of every source")
    left_out |= {name: why for name, why in unfit.items() if name not in names}
    return RecipeSpace(Record(required, {}), names, left_out, infos, budget, host.vocabulary)


def _keep_fitting(
    first: FirstRows, of_sources: dict[str, list[Record]], of_corpus: list[Record]
) -> None:
    """Leaves out steps, and values of their parameters, that keep too little of the first rows: of
    a source there, and of most sources on the corpus."""
    steps = {operator_name(s): s for own in (*of_sources.values(), of_corpus) for s in own}
    for step in steps.values():
        possible = [name for name, own in of_sources.items() if step in own]
        fitting = first.fitting(step, possible)
        narrowed = first.narrowed(step, fitting)
        for name, own in of_sources.items():
            own[:] = _replaced(own, step, narrowed if name in fitting else None)
        of_corpus[:] = _replaced(of_corpus, step, narrowed if is_most(fitting, possible) else None)


def _replaced(steps: list[Record], step: Record, by: Record | None) -> list[Record]:
    others = {id(step): [] if by is None else [by]}
    return [kept for each in steps for kept in others.get(id(each), [each])]


def _operators(
    host: Host, limits: GrammarLimits, caps: LanguageModelCaps, places: int
) -> tuple[list[Record], list[Record], dict[str, str]]:
    """The steps, the mixes, and why other operators are neither. `places` is the largest number of
    steps in a draft."""
    vocabulary = host.vocabulary
    names = _named(limits.operators, list(vocabulary), "operator")
    for key in limits.parameters:
        name, _, parameter = key.partition(".")
        if name not in vocabulary or parameter not in vocabulary[name].model_fields:
            known = [f"{op}.{field}" for op in vocabulary for field in vocabulary[op].model_fields]
            raise DatachefError(f"no parameter {key!r}", did_you_mean(key, known))
    steps, mixes, left_out = [], [], {}
    for name in vocabulary:
        kind = vocabulary[name]
        try:
            if name not in names:
                left_out[name] = "not among the operators of the limits"
            elif kind.guards_task:
                left_out[name] = "is at the end of every recipe anyway"
            elif not issubclass(kind, MixOperator):
                own, always = within_caps(kind, limits, caps, places)
                step = step_node(kind, own, always=always)
                if kind.not_for_policies and not _is_named(name, limits):
                    raise NotOfferedError("name it under operators to have it offered")
                steps.append(step)
            elif (weights := kind.weights_parameter()) is not None:
                apart = frozenset({weights, kind.budget_parameter() or weights})
                mixes.append(step_node(kind, limits, without=apart))
            else:
                left_out[name] = "has no parameter for weights of sources"
        except NotOfferedError as error:
            told = kind.not_for_policies
            left_out[name] = f"{told.rstrip('.')}; {error}" if told else str(error)
    return steps, mixes, left_out


def _is_named(operator: str, limits: GrammarLimits) -> bool:
    """Whether whoever runs the policy asks for an operator, or gives values for it."""
    given = {key.partition(".")[0] for key in limits.parameters}
    return limits.operators is not None or operator in given


def _source(steps: list[Record], weighted: bool, limits: GrammarLimits) -> Record:
    required: dict[str, Node] = {"weight": Choice(limits.weights)} if weighted else {}
    if steps and limits.source_steps:
        required["steps"] = ListOf(_one_of(steps), limits.source_steps)
    return Record(required, {})


def _one_of(steps: list[Record]) -> OneOf:
    return OneOf(tuple(SharedNode(operator_name(step), step) for step in steps))


def _named(wanted: tuple[str, ...] | None, known: list[str], what: str) -> list[str]:
    """The wanted ones of the known names, in the order of the known."""
    for name in wanted or ():
        if name not in known:
            raise DatachefError(f"no {what} {name!r}", did_you_mean(name, known))
    return [name for name in known if wanted is None or name in wanted]


class _StepChecker:
    """Checks which steps fit which sources of a pool, and inspects each source once."""

    def __init__(self, host: Host, pool: Path, task: Path | None = None) -> None:
        """Raises `RecipeError` for a pool that cannot be read."""
        self._host = host
        self._pool = pool
        self._task = task
        self._objections: dict[str, str] = {}
        self._inspector = SourceInspector()
        # What language models may be used for; complete after `inspect`.
        self.caps = LanguageModelCaps()
        read = document.read(pool)
        if read.problems:
            raise RecipeError(read.problems)
        if not isinstance(read.data, dict):
            raise DatachefError(f"{pool} is no pool")
        self.sources = list(read.data.get("sources") or {})
        if not self.sources:
            raise DatachefError(f"{pool} has no sources")

    def inspect(self, sources: list[str]) -> dict[str, SourceInfo]:
        """What the sources offer. Raises `RecipeError` if one cannot be used."""
        checked = self._check({name: [] for name in sources}, []).passed()
        self.caps = caps_of_environment().with_those_of(checked.pool_caps or LanguageModelCaps())
        return dict(checked.source_info)

    def passes(self, sources: Mapping[str, list[Any]], steps: list[Any] | None = None) -> bool:
        """Whether `check` accepts these steps of sources, and on the corpus."""
        problems = self._check(sources, steps or []).problems
        for step in [step for own in (*sources.values(), steps or ()) for step in own]:
            if problems:
                self._objections.setdefault(step["op"], problems[0].message)
        return not problems

    def objection(self, step: Mapping[str, Any]) -> str:
        """Why a step was refused at the first place where it was tried."""
        found = self._objections.get(step["op"])
        return "fits no source of the pool" + (f": {found}" if found else "")

    def _check(self, sources: Mapping[str, list[Any]], steps: list[Any]) -> CheckResult:
        data = {
            "name": "trial",
            "sources": {name: {"steps": own} for name, own in sources.items()},
            "steps": steps,
        }
        parsed = document.parse(document.dump(data))
        pool = self._pool.absolute()
        return check_document(
            parsed,
            pool.parent,
            self._host,
            pool=pool,
            task=self._task,
            inspect=self._inspector.inspect,
        )
