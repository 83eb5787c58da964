"""Everything that is wrong with a recipe, found before anything runs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from datachef.core.contracts.corpus import Size
from datachef.core.contracts.filter import DISPLACED, Filter
from datachef.core.contracts.operator import CheckContext, Operator
from datachef.core.contracts.source import Source, SourceError
from datachef.core.distribution import extra, install_command
from datachef.core.document import Location
from datachef.core.errors import DatachefError, PluginError, RunError
from datachef.core.language_models.tokens import TokenCounter, counting, find_tokenizer
from datachef.core.problems import did_you_mean, parts, shortened
from datachef.core.recipe.check_items import check_step_items, check_task_items
from datachef.core.recipe.check_language_models import check_language_models
from datachef.core.recipe.flow import (
    PlacedStep,
    corpus_steps,
    makes_messages,
    output_schema,
    source_steps,
)
from datachef.core.recipe.resolving import Loaded
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask, broken_answers, broken_rules, missing_packages
from datachef.core.rows.columns import common
from datachef.core.rows.inspection import REMEDIES, SourceInfo, estimated_size, survey
from datachef.core.rows.stored_conversations import UNWRITABLE
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import NotAllowedError
from datachef.core.system.paths import not_expanded

# Columns that the engine derives wherever an operator asks for them.
DERIVED = {"tokens"}
# The code of warnings about what is estimated before a run, and known after it.
EXPECTED = "shortage_expected"


def check(
    loaded: Loaded, host: Host, look: Callable[[Source], SourceInfo] = survey
) -> dict[str, SourceInfo]:
    """Adds to `loaded.problems` all that is wrong, and returns what the sources offer.

    Reads no data beyond the first rows of each source and, for a mix, a few more from which its
    size is estimated; `look` may remember what it saw before.
    """
    surveys: dict[str, SourceInfo] = {}
    if loaded.recipe is None:
        return surveys
    for name, source in loaded.sources.items():
        found = _survey(loaded, name, source, look)
        if found is not None:
            surveys[name] = found
    limits = {name: _most_tokens(loaded, surveys.get(name)) for name in loaded.recipe.sources}
    corpus = list(corpus_steps(loaded, host.vocabulary))
    steps = {name: list(source_steps(loaded, name)) for name in loaded.sources}
    _look_for_late_columns(loaded, surveys, [*chain(*steps.values()), *corpus])
    ends = []
    for name in loaded.sources:
        known_columns = name in surveys and ("sources", name, "steps") not in loaded.kept_steps
        columns = surveys[name].columns if known_columns else None
        kinds = surveys[name].column_kinds if known_columns else {}
        ends.append(_follow(loaded, host, steps[name], columns, limits, kinds))
    known = [columns for columns in ends if columns is not None]
    complete = len(known) == len(loaded.sources) and ("steps",) not in loaded.kept_steps
    shared = set.intersection(*known) if known and complete else None
    kinds = _kinds(surveys.values(), written=_told(chain(*steps.values()), "writes"))
    final = _follow(loaded, host, corpus, shared, limits, kinds)
    _check_tokenizer(loaded, surveys)
    check_language_models(loaded, [*chain(*steps.values()), *corpus])
    check_task_items(loaded)
    _check_unused_sources(loaded)
    _check_output(loaded, surveys, final, set().union(*known) if known else None)
    _warn_of_rows(loaded, surveys)
    if not loaded.problems:
        _ask_the_house(loaded, host)
        _expect_shortage(loaded, surveys)
    return surveys


def _kinds(surveys: Iterable[SourceInfo], written: set[str]) -> dict[str, str]:
    """The types of columns over several sources, of those that no step wrote."""
    met: dict[str, set[str]] = {}
    for found in surveys:
        for name, kind in found.column_kinds.items():
            met.setdefault(name, set()).add(kind)
    return {name: common(kinds) for name, kinds in met.items() if name not in written}


def _told(steps: Iterable[PlacedStep], method: str) -> set[str]:
    """What all steps read or write; one that cannot tell is a problem of its own."""
    columns: set[str] = set()
    for step in steps:
        with suppress(*ENDINGS):
            columns |= set(getattr(step.operator, method)())
    return columns


def _look_for_late_columns(
    loaded: Loaded, surveys: dict[str, SourceInfo], steps: list[PlacedStep]
) -> None:
    """Columns that are named, but that the first rows of no source show, may come later."""
    assert loaded.recipe is not None
    named = _told(steps, "reads") | set(loaded.recipe.output.columns)
    known = {name for found in surveys.values() for name in found.columns} | DERIVED
    late = named - known - _told(steps, "writes")
    for name, found in surveys.items():
        if late:
            surveys[name] = found.with_late(late)


def _ask_the_house(loaded: Loaded, host: Host) -> None:
    """In-house rules; one that breaks has not been asked, so the recipe does not pass."""
    assert loaded.recipe is not None
    before = set(host.broken)
    for problem in host.recipe_problems(loaded.recipe):
        found = loaded.problems if problem.severity == "error" else loaded.warnings
        found.append(loaded.document.locate(problem, parts(problem.path)))
    for plugin in set(host.broken) - before:
        message = f"the rules of plugin {plugin.name} ({plugin.package}) broke: {plugin.error}"
        loaded.add("broken_rule", (), message)


def _survey(
    loaded: Loaded, name: str, source: Source, look: Callable[[Source], SourceInfo]
) -> SourceInfo | None:
    place: Location = ("sources", name)
    inner = (*place, source.key) if (*place, source.key) in loaded.document.places else place
    if not _check_requirements(loaded, inner, source.key, source):
        return None
    try:
        return look(source)
    except SourceError as error:
        raise_environment_failure(error)
        loaded.add(error.code, inner, f"source {name}: {error}", error.hint)
    except NotAllowedError as error:
        loaded.add("not_allowed", inner, f"source {name}: {error}", error.hint)
    except (OSError, ValueError, RunError) as error:
        raise_environment_failure(error)
        loaded.add("unreadable_source", inner, f"source {name}: {error}")
    except DatachefError:
        raise
    except ENDINGS as error:
        raise_environment_failure(error)
        message = f"source {name}: {source.key} broke: {cause_of(error)}"
        loaded.add("broken_source", inner, message, "this is for its author to mend")
    return None


def _follow(
    loaded: Loaded,
    host: Host,
    steps: Iterable[PlacedStep],
    columns: set[str] | None,
    limits: Mapping[str, int | None],
    kinds: Mapping[str, str],
) -> set[str] | None:
    """Checks steps in order, with the columns that reach each; returns those after the last.

    `None` stands for columns that could not be told.
    """
    offers: dict[str, str] = {}
    for step in steps:
        operator, place = step.operator, step.location
        if _broken(loaded, host, step, broken_answers(operator)):
            columns = None
            continue
        ready = _check_requirements(loaded, place, operator.op, operator)
        readable = _check_reach(loaded, step) and _check_files(loaded, step)
        ready &= readable
        if ready:
            check_step_items(loaded, step)
        if columns is not None and readable:
            context = CheckContext(frozenset(columns), limits, kinds)
            for parameter, message, hint in ask(operator, "check", context):
                at = (*place, *parameter.split(".")) if parameter else place
                loaded.add("impossible", at, f"{operator.op}: {message}", hint)
                ready = False  # what it cannot do as it is written, its rules cannot say
        if ready and _broken(loaded, host, step, broken_rules(operator)):
            columns = None
            continue
        if columns is not None:
            for name in sorted(set(operator.reads()) - columns - DERIVED):
                hint = offers.get(name) or did_you_mean(name, columns)
                loaded.add(
                    "missing_column", place, f"{operator.op} needs the column {name!r}", hint
                )
            written = set(operator.writes())
            if isinstance(operator, Filter):
                columns |= {f"{DISPLACED}{name}" for name in columns & written}
            columns = columns | written
            kinds = {name: kind for name, kind in kinds.items() if name not in written}
        if ready and isinstance(operator, Filter) and not operator.keep_signals:
            for name in operator.signal_names():
                offers[name] = (
                    f"{operator.op} ({step.path}) measures it: set keep_signals: true there"
                )
    return columns


def _broken(loaded: Loaded, host: Host, step: PlacedStep, found: list[str]) -> bool:
    """Adds what is wrong with an operator itself, whoever uses it."""
    package = host.vocabulary.package(step.operator.op) if found else ""
    for text in found:
        message = f"{step.operator.op} of {package}: {text}"
        loaded.add("broken_operator", step.location, message, "this is for its author to mend")
    return bool(found)


def _check_requirements(
    loaded: Loaded, place: Location, who: str, needs: Operator | Source
) -> bool:
    missing = missing_packages(needs)
    for module, needed in missing:
        _need(loaded, place, who, module, needed)
    return not missing


def _need(loaded: Loaded, place: Location, who: str, module: str, needed: str) -> None:
    loaded.add(
        "missing_package", place, f"{who} needs the package {module}", install_command(needed)
    )


def _check_reach(loaded: Loaded, step: PlacedStep) -> bool:
    """Whether a step reads no file that it may not read; nobody opens one before this is asked."""
    if step.from_pool or not loaded.bound:
        return True  # whoever wrote the pool may read what it names
    beyond = [file for file in step.operator.files() if file not in _files_of_task(loaded)]
    for file in beyond:
        message = f"{step.operator.op} would read {file!r}, and this recipe may read its pool alone"
        loaded.add("not_in_pool", step.location, message)
    return not beyond


def _check_files(loaded: Loaded, step: PlacedStep) -> bool:
    """Whether the files of a step are there."""
    if step.from_pool:
        return True
    missing = [file for file in step.operator.files() if not _is_file(file)]
    for file in missing:
        message = f"{step.operator.op}: no file {file!r}{not_expanded(file)}"
        loaded.add("no_file", step.location, message)
    return not missing


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - a name that is too long is no file either


def _files_of_task(loaded: Loaded) -> set[str]:
    task = loaded.task
    if task is None:
        return set()
    return {part.path for part in (task.benchmark, task.examples) if hasattr(part, "path")}  # type: ignore[union-attr]


def _most_tokens(loaded: Loaded, found: SourceInfo | None) -> int | None:
    own = loaded.recipe is not None and loaded.recipe.tokenizer is not None
    return None if found is None or own else found.most_tokens


def _check_tokenizer(loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> None:
    recipe = loaded.recipe
    if recipe is None or recipe.tokenizer is None:
        return
    if loaded.bound:
        loaded.add("not_in_pool", ("tokenizer",), "this recipe may read its pool alone")
        return
    if importlib.util.find_spec("tokenizers") is None:
        _need(loaded, ("tokenizer",), "a tokenizer", "tokenizers", extra("hf"))
        return
    try:
        loaded.tokenizer = find_tokenizer(recipe.tokenizer, loaded.beside(recipe.tokenizer))
    except DatachefError as error:
        loaded.add("no_file", ("tokenizer",), error.message, error.hint)
        return
    schema = output_schema(loaded, surveys)
    if counting(loaded, schema)[1] and importlib.util.find_spec("transformers") is None:
        _need(loaded, ("tokenizer",), "a chat template", "transformers", extra("hf"))
    talks = any(found.format.conversational for found in surveys.values())
    if talks and not loaded.tokenizer.template and schema != "text":
        loaded.warn(
            "no_chat_template",
            ("tokenizer",),
            "the tokenizer has no chat template, so conversations are counted by their plain text",
            "name the folder of a checkpoint whose tokenizer has one",
        )


def _expect_shortage(loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> None:
    """Warns where the mix will fall short, by what the sources are estimated to hold."""
    assert loaded.recipe is not None
    mix = loaded.recipe.mix
    if mix is None or len(surveys) < len(loaded.sources):
        return
    sizes = expected_sizes(loaded, surveys)
    if sizes is None:
        return
    for parameter, message, hint in ask(mix, "shortages", sizes):
        place: Location = ("mix", *parameter.split(".")) if parameter else ("mix",)
        loaded.warn(EXPECTED, place, f"estimated before any step: {message}", hint)


def expected_sizes(loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> dict[str, Size] | None:
    """What reaches the mix where no step drops anything, estimated; None where that is unclear."""
    counter = TokenCounter(*counting(loaded, output_schema(loaded, surveys)))
    sizes = {name: estimated_size(found, counter) for name, found in surveys.items()}
    known = {name: size for name, size in sizes.items() if size is not None}
    return known if len(known) == len(sizes) else None


def _check_unused_sources(loaded: Loaded) -> None:
    """Steps of a source that the mix takes nothing of are never worth running."""
    recipe = loaded.recipe
    if recipe is None or recipe.mix is None:
        return
    shares = None
    with suppress(PluginError):  # told where the mix itself is looked at
        shares = ask(recipe.mix, "shares")
    if not shares:
        return
    for name in shares:
        if name not in recipe.sources:
            hint = did_you_mean(name, recipe.sources)
            loaded.add(
                "unknown_source", ("mix", "weights", name), f"no source {shortened(name)}", hint
            )
    for name, source in recipe.sources.items():
        if shares.get(name, 0) <= 0 and source.steps:
            loaded.add(
                "unreachable_step",
                ("sources", name, "steps", 0),
                f"the mix takes nothing of {name}, so its steps do nothing",
                "give it a weight, or leave the source out",
            )


def _unsupported(name: str, surveys: Mapping[str, SourceInfo]) -> str:
    found = (survey.unsupported.get(name) for survey in surveys.values())
    return next((f"it holds {what}" for what in found if what), "")


def _check_output(
    loaded: Loaded, surveys: Mapping[str, SourceInfo], final: set[str] | None, some: set[str] | None
) -> None:
    recipe = loaded.recipe
    if recipe is None:
        return
    if recipe.output.separator is not None and recipe.output.schema_ != "prompt_completion":
        loaded.add(
            "unused_parameter",
            ("output", "separator"),
            "only prompt_completion has a separator",
            "add schema: prompt_completion, or leave it out",
        )
    if recipe.output.schema_ in ("messages", "prompt_completion"):
        for name, found in surveys.items():
            if not found.format.conversational and not makes_messages(loaded, name):
                loaded.add(
                    "no_messages",
                    ("output", "schema"),
                    f"the rows of {name} are plain text, the output holds {recipe.output.schema_}",
                    "give the source a conversational format, or write schema: text",
                )
    if final is None or some is None:
        return
    for index, name in enumerate(recipe.output.columns):
        if name not in final | some | DERIVED:
            hint = _unsupported(name, surveys) or did_you_mean(name, final | some)
            loaded.add(
                "missing_column", ("output", "columns", index), f"no column {shortened(name)}", hint
            )


def _warn_of_rows(loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> None:
    """Rows at the beginning of sources that will fail: when they are read, or at the output."""
    assert loaded.recipe is not None
    schema = loaded.recipe.output.schema_
    if schema is None and all(found.format.conversational for found in surveys.values()):
        schema = "messages"
    for name, found in surveys.items():
        first = f"of the first {found.sampled:,} rows of {name}"
        for reason, (count, detail) in found.misfits.items():
            hint = REMEDIES.get(reason, "")
            loaded.warn(reason, ("sources", name), f"{count:,} {first} will fail: {detail}", hint)
        for reason, count in found.unwritable.get(schema or "text", {}).items():
            loaded.warn(
                reason,
                ("sources", name),
                f"{count:,} {first} cannot be written as {schema}: {UNWRITABLE[reason]}",
            )
        for field in found.unread:
            loaded.warn(
                "unread_field",
                ("sources", name, "format"),
                f"{name}: {field!r} becomes no part of the conversations",
                f"if it is one, write the format, with {found.unread[field]}",
            )
