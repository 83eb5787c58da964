"""What one step needs and may do: packages, files, benchmark items and language models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from datachef.core.assets.store import fetch_command, is_stored
from datachef.core.contracts.code_permission import allowed_code, require_permission
from datachef.core.contracts.corpus import CorpusOperator, OrderOperator
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.parameters import REFERENCE
from datachef.core.contracts.recipe import (
    LISTED,
    VARIABLES,
    LanguageModelCaps,
    Recipe,
    caps_of_environment,
)
from datachef.core.contracts.source import Source
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.contracts.task import BenchmarkFile, Examples
from datachef.core.distribution import install_command
from datachef.core.document import Document, Location
from datachef.core.errors import DatachefError, Problem, did_you_mean, dotted, shortened, warning
from datachef.core.language_models.client import backend_class
from datachef.core.language_models.hub_files import model_folder
from datachef.core.language_models.prices import prices_of_environment
from datachef.core.recipe.checked import Findings, PlacedStep, ResolvedRecipe, reference_sources
from datachef.core.registry.host import Host
from datachef.core.registry.promises import missing_packages
from datachef.core.registry.registration import LEDGER_LINES
from datachef.core.rows.benchmark import Misfit, misfits
from datachef.core.system.paths import not_expanded

# Parameters of synthesis that a cap bounds from above.
_COUNTED = ("max_tokens", "max_concurrency")


def check_requirements(
    findings: Findings, place: Location, who: str, needs: Operator | Source
) -> bool:
    """Whether the packages of an operator or a source are installed."""
    missing = missing_packages(needs)
    for module, requirement in missing:
        add_missing_package(findings, place, who, module, requirement)
    return not missing


def add_missing_package(
    findings: Findings, place: Location, who: str, module: str, requirement: str
) -> None:
    message = f"{who} needs the package {module}"
    findings.add("missing_package", place, message, install_command(requirement))


def check_assets(findings: Findings, host: Host, step: PlacedStep) -> bool:
    """Whether the assets of a step are registered, and there as they are registered."""
    passed = True
    for name in step.operator.assets():
        asset, who = host.assets.get(name), step.operator.op
        if asset is None:
            hint = host.missing(name, host.assets)
            findings.add("unknown_asset", step.location, f"{who}: no asset {shortened(name)}", hint)
        elif not is_stored(name):
            message = (
                f"{who} needs the asset {name} ({asset.size / 1e6:,.0f} MB), which is not here"
            )
            findings.add("missing_asset", step.location, message, fetch_command(name))
        elif not is_stored(name, asset.checksum):
            message = f"{who} needs the asset {name}, of which another version is here"
            findings.add("missing_asset", step.location, message, fetch_command(name))
        else:
            continue
        passed = False
    return passed


def check_checkpoints(findings: Findings, resolved: ResolvedRecipe, step: PlacedStep) -> bool:
    """Whether the models that a step names are here; those of the Hub are fetched where the user
    allowed that, but for a recipe that may use nothing beyond its pool."""
    passed = True
    who = step.operator.op
    for name in step.operator.checkpoints():
        if resolved.bound and not step.from_pool:
            message = f"{who} reads {shortened(name)}, and this recipe may read only its pool"
            findings.add("not_in_pool", step.location, message)
            passed = False
            continue
        try:
            model_folder(name, fetch=True)
        except DatachefError as error:
            findings.add("missing_model", step.location, f"{who}: {error.message}", error.hint)
            passed = False
    return passed


def check_code(findings: Findings, step: PlacedStep) -> bool:
    """Whether a step runs no code, or the user allowed it and it can be confined here."""
    if step.operator.runs_code():
        try:
            require_permission(step.operator.op, allowed_code())
        except DatachefError as error:
            findings.add("code_not_allowed", step.location, error.message, error.hint)
            return False
    return True


def check_backend(findings: Findings, host: Host, step: PlacedStep) -> None:
    """Adds why the language model of a step cannot be asked here, where its backend knows that."""
    operator = step.operator
    if isinstance(operator, Synthesis):
        kind = backend_class(host.named("datachef_llm_backends").get(operator.backend))
        for message, hint in kind.problems(operator.model) if kind is not None else ():
            findings.add("missing_model", step.location, f"{operator.op}: {message}", hint)


def check_reach(findings: Findings, resolved: ResolvedRecipe, step: PlacedStep) -> bool:
    """Whether a step reads no file that it may not read; nobody opens one before this is asked."""
    if step.from_pool or not resolved.bound:
        return True  # whoever wrote the pool may read what it names
    allowed = _files_of_task(resolved)
    beyond = [file for file in step.operator.files() if file not in allowed]
    for file in beyond:
        message = f"{step.operator.op} reads {file!r}, and this recipe may read only its pool"
        findings.add("not_in_pool", step.location, message)
    return not beyond


def _files_of_task(resolved: ResolvedRecipe) -> set[str]:
    task = resolved.task
    found = (task.benchmark, task.examples) if task is not None else ()
    return {part.path for part in found if isinstance(part, BenchmarkFile | Examples)}


def check_files(findings: Findings, step: PlacedStep) -> bool:
    """Whether the files of a step are there."""
    if step.from_pool:
        return True
    missing = [file for file in step.operator.files() if not _is_file(file)]
    for file in missing:
        message = f"{step.operator.op}: no file {file!r}{not_expanded(file)}"
        findings.add("no_file", step.location, message)
    return not missing


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - a name that is too long is no file either


def check_step_items(findings: Findings, resolved: ResolvedRecipe, step: PlacedStep) -> None:
    """Adds what is wrong with a file of items that a step names itself; the file is there."""
    task = resolved.task
    from_task = (task.benchmark, task.examples) if task is not None else ()
    for name in type(step.operator).model_fields:
        part = getattr(step.operator, name)
        if isinstance(part, BenchmarkFile | Examples) and part not in from_task:
            _add_misfits(findings, findings.document, (*step.location, name), misfits(part))


def check_task_items(findings: Findings, resolved: ResolvedRecipe) -> None:
    """Adds what is wrong with the benchmark and the examples of the task, at their places in it."""
    task, document = resolved.task, resolved.task_document
    if task is None or document is None:
        return
    for name in ("benchmark", "examples"):
        part = getattr(task, name)
        if not isinstance(part, BenchmarkFile | Examples):
            continue
        if _is_file(part.path):
            runs_code = task.metric_type is not None and task.metric_type.runs_code
            _add_misfits(findings, document, (name,), misfits(part, runs_code=runs_code))
        elif name == "examples":  # the steps that read the benchmark say where it is missing
            message = f"no file {part.path!r}{not_expanded(part.path)}"
            problem = Problem("no_file", message, "examples.path", "relative to the task's folder")
            findings.problems.append(document.locate(problem, ("examples", "path")))


def _add_misfits(
    findings: Findings, document: Document, place: Location, found: Iterable[Misfit]
) -> None:
    for misfit in found:
        at = (*place, misfit.parameter)
        make, known = (
            (warning, findings.warnings) if misfit.doubtful else (Problem, findings.problems)
        )
        problem = make("bad_benchmark", misfit.message, dotted(at), misfit.hint)
        known.append(document.locate(problem, at))


def check_language_models(
    findings: Findings, resolved: ResolvedRecipe, steps: Iterable[PlacedStep]
) -> None:
    """Adds what the steps of a recipe ask of language models beyond the caps.

    The caps of a pool hold for the steps of the recipe, those of the environment also for steps
    that the pool brings. A recipe that is bound to a pool asks nothing that no cap bounds.
    """
    asking = [step for step in steps if _asks(step.operator)]
    own = [step for step in asking if not step.from_pool]
    if not asking:
        return
    prices_of_environment()  # a mistake in them is told before anything is paid
    environment, pool = caps_of_environment(), resolved.pool_caps or LanguageModelCaps()
    if resolved.bound and not environment.with_those_of(pool).bounds_cost:
        asking = [step for step in asking if step.from_pool]
        for step in own:
            findings.add(
                "not_in_pool",
                step.location,
                f"{step.operator.op} asks a language model, but neither the pool nor the "
                "environment says which models this recipe may ask, and for how many tokens",
                "add language_models: {models: [...], budget_tokens: ...} to the pool, or set "
                f"{VARIABLES['models']} and {VARIABLES['budget_tokens']}",
            )
    else:
        _check_caps(findings, own, pool, "the pool")
    _check_caps(findings, asking, environment, "the environment")


def _asks(operator: Operator) -> bool:
    return isinstance(operator, Synthesis) or type(operator).connect is not Operator.connect


def _check_caps(
    findings: Findings, steps: Iterable[PlacedStep], caps: LanguageModelCaps, whose: str
) -> None:
    if caps.none:
        return
    spent = 0
    for step in steps:
        operator = step.operator
        if not isinstance(operator, Synthesis):
            message = f"{operator.op} asks language models in a way that {whose} cannot cap"
            findings.add("over_cap", step.location, message, "report this to its author")
            continue
        for parameter, message, hint in _excesses(operator, caps, whose):
            findings.add("over_cap", (*step.location, parameter), message, hint)
        spent += operator.budget_tokens or 0
        if caps.budget_tokens is not None and operator.budget_tokens and spent > caps.budget_tokens:
            message = (
                f"the token budgets up to this step add up to {spent:,}, and {whose} allows "
                f"{caps.budget_tokens:,}"
            )
            findings.add("over_cap", (*step.location, "budget_tokens"), message, "lower them")


def _excesses(
    operator: Synthesis, caps: LanguageModelCaps, whose: str
) -> Iterator[tuple[str, str, str]]:
    """What an operator says beyond the caps: (parameter, message, hint) each."""
    for name, parameter in LISTED.items():
        allowed, value = getattr(caps, name), getattr(operator, parameter)
        if allowed is not None and value not in allowed:
            hint = did_you_mean(value, allowed)
            yield parameter, f"{whose} does not allow the {parameter} {value!r}", hint
    for name in _COUNTED:
        most, value = getattr(caps, name), getattr(operator, name)
        if most is not None and value > most:
            message = f"{name} is {value:,}, and {whose} allows {most:,}"
            yield name, message, f"set {name}: {most}"
    if caps.budget_tokens is not None and operator.budget_tokens is None:
        message = (
            f"{operator.op} has no budget, and {whose} allows {caps.budget_tokens:,} tokens for the"
            " whole recipe"
        )
        yield "budget_tokens", message, f"add budget_tokens: {caps.budget_tokens}, or less"


def check_references(
    findings: Findings, resolved: ResolvedRecipe, steps: Iterable[PlacedStep]
) -> None:
    """Adds where a source that a step compares with is not there or compares itself; and that none
    is left for the corpus."""
    references = reference_sources(resolved)
    for step in steps:
        if not isinstance(step.operator, CorpusOperator):
            continue
        within = str(step.location[1]) if step.location[0] == "sources" else ""
        for parameter in step.operator.marked(REFERENCE):
            name, place = getattr(step.operator, parameter), (*step.location, parameter)
            if name is None:
                continue
            if name not in resolved.sources:
                hint = did_you_mean(name, resolved.sources)
                findings.add("unknown_source", place, f"no source {shortened(name)}", hint)
            elif within in references:
                message = f"{within} is only compared with, and compares with {name} itself"
                hint = "compare with it where the rows are that are to be left out"
                findings.add("reference_compares", place, message, hint)
    if references and references >= set(resolved.sources):
        message = "all sources are only compared with, so that none is left for the corpus"
        findings.add("no_sources", ("sources",), message, "add another source")


def check_order(findings: Findings, recipe: Recipe, step: PlacedStep) -> None:
    """Warns of a step that orders rows which are then written in another order."""
    if not isinstance(step.operator, OrderOperator):
        return
    who = f"{step.operator.op} orders the corpus, "
    if step.location[0] != "steps":
        message = f"{who}and what it does to one source alone is not seen in it"
        findings.warn("order_ignored", step.location, message, "write it under the recipe's steps")
    elif recipe.output.order is not None:
        message = f"{who}and output.order ({recipe.output.order}) orders it otherwise"
        findings.warn("order_ignored", step.location, message, "leave out output.order")


def check_max_failed(findings: Findings, recipe: Recipe, steps: Iterable[PlacedStep]) -> None:
    """Refuses a limit for a step that the recipe does not have."""
    known = {*LEDGER_LINES, "output", *(dotted(("sources", name)) for name in recipe.sources)}
    for step in steps:
        known |= {step.path, step.operator.op}
    for name in recipe.max_failed:
        if name not in known:
            message = f"no step or operator {name!r} in this recipe"
            findings.add("unknown_step", ("max_failed", name), message, did_you_mean(name, known))
