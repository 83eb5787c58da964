"""Checks a recipe: everything that is wrong with it is found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from datachef.core.contracts.corpus import Size
from datachef.core.contracts.filter import DISPLACED, Filter
from datachef.core.contracts.operator import CheckContext
from datachef.core.contracts.source import Source, SourceError
from datachef.core.document import Document, Location
from datachef.core.errors import (
    DatachefError,
    PluginError,
    Problem,
    RunError,
    did_you_mean,
    parts,
    shortened,
    warning,
)
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.recipe.checked import (
    DERIVED,
    CheckedRecipe,
    CheckResult,
    Findings,
    PlacedStep,
    ResolvedRecipe,
    corpus_steps,
    counting,
    output_schema,
    reference_sources,
    source_steps,
)
from datachef.core.recipe.output_checks import check_output, check_signals, check_tokenizer
from datachef.core.recipe.resolving import resolve_recipe
from datachef.core.recipe.step_checks import (
    check_assets,
    check_backend,
    check_checkpoints,
    check_code,
    check_files,
    check_language_models,
    check_max_failed,
    check_order,
    check_reach,
    check_references,
    check_requirements,
    check_step_items,
    check_task_items,
)
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask, broken_answers, broken_rules
from datachef.core.rows.columns import common
from datachef.core.rows.inspection import REMEDIES, SourceInfo, estimated_size, inspect_source
from datachef.core.rows.stored_conversations import UNWRITABLE
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import NotAllowedError

# The code of warnings about what is estimated before a run, and known after it.
EXPECTED = "shortage_expected"

Inspect = Callable[[Source], SourceInfo]


def check_document(
    document: Document,
    folder: Path,
    host: Host,
    *,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    task: Path | None = None,
    inspect: Inspect = inspect_source,
) -> CheckResult:
    """Finds all problems of a recipe document, whose relative paths start at `folder`.

    `pool`, `overrides` and `task` are as for `resolve_recipe`. Reads no data beyond the first rows
    of each source and, for a mix, a few more from which its size is estimated; `inspect` may
    remember what it saw before. Raises nothing for a mistake in the recipe.
    """
    findings = Findings(document)
    resolved = resolve_recipe(findings, folder, host, pool=pool, overrides=overrides, task=task)
    checked = None
    if resolved is not None:
        checked = _Check(resolved, findings, host, inspect).run()
    for found in (findings.problems, findings.warnings):
        found.sort(key=lambda problem: (problem.file, problem.line, problem.column))
    warnings = tuple(findings.warnings)
    if checked is not None:
        checked = replace(checked, warnings=warnings)
    return CheckResult(tuple(findings.problems), warnings, checked)


class _Check:
    """The check of one resolved recipe; what it finds goes to `findings`."""

    def __init__(
        self, resolved: ResolvedRecipe, findings: Findings, host: Host, inspect: Inspect
    ) -> None:
        self._resolved = resolved
        self._recipe = resolved.recipe
        self._findings = findings
        self._host = host
        self._inspect = inspect
        self._source_info: dict[str, SourceInfo] = {}

    def run(self) -> CheckedRecipe | None:
        """The checked recipe; None where there are problems."""
        resolved = self._resolved
        for name, source in resolved.sources.items():
            found = self._inspect_source(name, source)
            if found is not None:
                self._source_info[name] = found
        corpus = list(corpus_steps(resolved, self._host.vocabulary))
        steps = {name: list(source_steps(resolved, name)) for name in resolved.sources}
        self._include_late_columns([*chain(*steps.values()), *corpus])
        before_corpus, final = self._check_steps(steps, corpus)
        tokenizer = check_tokenizer(self._findings, resolved, self._source_info)
        check_language_models(self._findings, resolved, [*chain(*steps.values()), *corpus])
        check_task_items(self._findings, resolved)
        check_references(self._findings, resolved, [*chain(*steps.values()), *corpus])
        check_max_failed(self._findings, resolved.recipe, [*chain(*steps.values()), *corpus])
        self._check_shares()
        check_output(self._findings, resolved, self._source_info, final, before_corpus)
        check_signals(self._findings, self._recipe.output, [*chain(*steps.values()), *corpus])
        self._warn_of_first_rows()
        if self._findings.problems:
            return None
        checked = CheckedRecipe(
            **vars(resolved), source_info=self._source_info, tokenizer=tokenizer
        )
        self._run_recipe_rules()
        self._findings.warnings += [
            self._findings.document.locate(found, parts(found.path))
            for found in expected_shortages(checked)
        ]
        return None if self._findings.problems else checked

    def _inspect_source(self, name: str, source: Source) -> SourceInfo | None:
        found = self._findings
        place: Location = ("sources", name)
        inner = (*place, source.key) if (*place, source.key) in found.document.places else place
        if not check_requirements(found, inner, source.key, source):
            return None
        try:
            return self._inspect(source)
        except SourceError as error:
            raise_environment_failure(error)
            found.add(error.code, inner, f"source {name}: {error}", error.hint)
        except NotAllowedError as error:
            found.add("not_allowed", inner, f"source {name}: {error}", error.hint)
        except (OSError, ValueError, RunError) as error:
            raise_environment_failure(error)
            found.add("unreadable_source", inner, f"source {name}: {error}")
        except DatachefError:
            raise
        except ENDINGS as error:
            raise_environment_failure(error)
            message = f"source {name}: {source.key} broke: {cause_of(error)}"
            found.add("broken_source", inner, message, "report this to its author")
        return None

    def _include_late_columns(self, steps: list[PlacedStep]) -> None:
        """Columns that are named, but that the first rows of no source show, may come later."""
        named = _columns_of(steps, "reads") | set(self._recipe.output.columns)
        known = {name for info in self._source_info.values() for name in info.columns} | DERIVED
        late = named - known - _columns_of(steps, "writes")
        for name, info in self._source_info.items():
            if late:
                self._source_info[name] = info.with_late(late)

    def _check_steps(
        self, steps: Mapping[str, list[PlacedStep]], corpus: list[PlacedStep]
    ) -> tuple[set[str] | None, set[str] | None]:
        """Checks all steps in the order in which rows meet them. Returns the columns that any
        source has before the steps on the corpus, and those that all rows have in the end; None
        where they are unknown."""
        resolved, infos = self._resolved, self._source_info
        limits = {name: self._most_tokens(infos.get(name)) for name in self._recipe.sources}
        ends = []
        references = reference_sources(resolved)
        for name in resolved.sources:
            complete = name in infos and ("sources", name, "steps") not in resolved.kept_steps
            columns = infos[name].columns if complete else None
            kinds = infos[name].column_kinds if complete else {}
            end = self._follow(steps[name], columns, limits, kinds)
            if name not in references:
                ends.append(end)
        known = [columns for columns in ends if columns is not None]
        complete = len(known) == len(ends) and ("steps",) not in resolved.kept_steps
        shared = set.intersection(*known) if known and complete else None
        written = _columns_of(chain(*steps.values()), "writes")
        final = self._follow(corpus, shared, limits, _common_kinds(infos.values(), written))
        return (set().union(*known) if known else None), final

    def _most_tokens(self, info: SourceInfo | None) -> int | None:
        """The tokens that a source holds at most, where no tokenizer counts them."""
        return None if info is None or self._recipe.tokenizer is not None else info.most_tokens

    def _follow(
        self,
        steps: Iterable[PlacedStep],
        columns: set[str] | None,
        limits: Mapping[str, int | None],
        kinds: Mapping[str, str],
    ) -> set[str] | None:
        """Checks steps in order, with the columns that reach each; returns those after the last.

        `None` stands for unknown columns.
        """
        findings = self._findings
        measured_by: dict[str, str] = {}
        for step in steps:
            operator, place = step.operator, step.location
            if self._is_broken(step, broken_answers(operator)):
                columns = None
                continue
            ready = check_requirements(findings, place, operator.op, operator)
            ready &= check_assets(findings, self._host, step)
            ready &= check_code(findings, step)
            check_backend(findings, self._host, step)
            check_order(findings, self._recipe, step)
            readable = (
                check_checkpoints(findings, self._resolved, step)
                and check_reach(findings, self._resolved, step)
                and check_files(findings, step)
            )
            ready &= readable
            if ready:
                check_step_items(findings, self._resolved, step)
            if columns is not None and readable:
                context = CheckContext(frozenset(columns), limits, kinds)
                for parameter, message, hint in ask(operator, "check", context):
                    at = (*place, *parameter.split(".")) if parameter else place
                    findings.add("impossible", at, f"{operator.op}: {message}", hint)
                    ready = False  # what it cannot do as it is written, its rules cannot say
            if ready and self._is_broken(step, broken_rules(operator)):
                columns = None
                continue
            if columns is not None:
                for name in sorted(set(operator.reads()) - columns - DERIVED):
                    hint = measured_by.get(name) or did_you_mean(name, columns)
                    message = f"{operator.op} needs the column {name!r}"
                    findings.add("missing_column", place, message, hint)
                written = set(operator.writes())
                if isinstance(operator, Filter):
                    columns |= {f"{DISPLACED}{name}" for name in columns & written}
                columns = columns | written
                kinds = {name: kind for name, kind in kinds.items() if name not in written}
            if ready and isinstance(operator, Filter) and not operator.keep_signals:
                hint = f"{operator.op} ({step.path}) measures it: set keep_signals: true there"
                measured_by |= dict.fromkeys(operator.signal_names(), hint)
        return columns

    def _is_broken(self, step: PlacedStep, found: list[str]) -> bool:
        """Adds what is wrong with an operator itself, whoever uses it."""
        package = self._host.vocabulary.package(step.operator.op) if found else ""
        for text in found:
            message = f"{step.operator.op} of {package}: {text}"
            hint = "report this to its author"
            self._findings.add("broken_operator", step.location, message, hint)
        return bool(found)

    def _check_shares(self) -> None:
        """The mix names sources of the recipe, and takes something of each that has steps."""
        recipe, shares = self._recipe, None
        if recipe.mix is not None:
            with suppress(PluginError):  # reported where the mix itself is checked
                shares = ask(recipe.mix, "shares")
        if not shares or recipe.mix is None:
            return
        parameter = recipe.mix.weights_parameter()
        references = reference_sources(self._resolved)
        for name in shares:
            place: Location = ("mix", parameter, name) if parameter else ("mix",)
            if name in references:
                message = f"{shortened(name)} is only compared with, and not in the corpus"
                self._findings.add("unknown_source", place, message, "leave out its weight")
            elif name not in recipe.sources:
                hint = did_you_mean(name, recipe.sources)
                self._findings.add("unknown_source", place, f"no source {shortened(name)}", hint)
        for name, source in recipe.sources.items():
            if shares.get(name, 0) <= 0 and source.steps and name not in references:
                self._findings.add(
                    "unreachable_step",
                    ("sources", name, "steps", 0),
                    f"the mix takes nothing of {name}, so its steps have no effect",
                    "give it a weight, or leave the source out",
                )

    def _warn_of_first_rows(self) -> None:
        """Rows at the beginning of sources that will fail: when they are read, or at the output."""
        infos, findings = self._source_info, self._findings
        schema = self._recipe.output.schema_
        if schema is None and all(info.format.conversational for info in infos.values()):
            schema = "messages"
        for name, info in infos.items():
            place: Location = ("sources", name)
            first = f"of the first {info.sampled:,} rows of {name}"
            for reason, (count, detail) in info.misfits.items():
                message = f"{count:,} {first} will fail: {detail}"
                findings.warn(reason, place, message, REMEDIES.get(reason, ""))
            for reason, count in info.unwritable.get(schema or "text", {}).items():
                cause = UNWRITABLE[reason]
                message = f"{count:,} {first} cannot be written as {schema}: {cause}"
                findings.warn(reason, place, message)
            for field in info.unread:
                message = f"{name}: the field {field!r} is not part of the conversations"
                hint = f"if it should be, set format, with {info.unread[field]}"
                findings.warn("unread_field", (*place, "format"), message, hint)

    def _run_recipe_rules(self) -> None:
        """Rules of plugins about recipes; where one breaks, the recipe does not pass."""
        findings = self._findings
        before = set(self._host.broken)
        for problem in self._host.recipe_problems(self._recipe):
            found = findings.problems if problem.severity == "error" else findings.warnings
            found.append(findings.document.locate(problem, parts(problem.path)))
        for plugin in set(self._host.broken) - before:
            message = f"the recipe rules of plugin {plugin.name} ({plugin.package}) broke: "
            findings.add("broken_rule", (), message + plugin.error)


def _columns_of(steps: Iterable[PlacedStep], method: str) -> set[str]:
    """What all steps read or write; a step whose method breaks is reported elsewhere."""
    columns: set[str] = set()
    for step in steps:
        with suppress(*ENDINGS):
            columns |= set(getattr(step.operator, method)())
    return columns


def _common_kinds(infos: Iterable[SourceInfo], written: set[str]) -> dict[str, str]:
    """The types of columns over several sources, of those that no step wrote."""
    met: dict[str, set[str]] = {}
    for info in infos:
        for name, kind in info.column_kinds.items():
            met.setdefault(name, set()).add(kind)
    return {name: common(kinds) for name, kinds in met.items() if name not in written}


def expected_shortages(checked: CheckedRecipe) -> list[Problem]:
    """Warnings of where the mix will fall short, by what the sources are estimated to hold."""
    mix = checked.recipe.mix
    sizes = expected_sizes(checked) if mix is not None else None
    if mix is None or sizes is None:
        return []
    return [
        warning(
            EXPECTED,
            f"estimated before any step: {message}",
            f"mix.{parameter}" if parameter else "mix",
            hint,
        )
        for parameter, message, hint in ask(mix, "shortages", sizes)
    ]


def expected_sizes(checked: CheckedRecipe) -> dict[str, Size] | None:
    """What reaches the mix where no step drops anything, estimated; None where that is unclear."""
    schema = output_schema(checked, checked.source_info)
    counter = TokenCounter(*counting(checked.recipe, checked.tokenizer, schema))
    sizes = {name: estimated_size(info, counter) for name, info in checked.source_info.items()}
    known = {name: size for name, size in sizes.items() if size is not None}
    return known if len(known) == len(sizes) else None
