"""Checks what a recipe writes: content, columns, signals, and what counts the tokens."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.recipe import Output
from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, did_you_mean, shortened
from datachef.core.language_models.tokens import TokenizerFiles, find_tokenizer
from datachef.core.recipe.checked import (
    DERIVED,
    Findings,
    PlacedStep,
    ResolvedRecipe,
    counting,
    kept_signals,
    makes_messages,
    output_schema,
    reference_sources,
)
from datachef.core.recipe.step_checks import add_missing_package
from datachef.core.rows.inspection import SourceInfo


def check_output(
    findings: Findings,
    resolved: ResolvedRecipe,
    infos: Mapping[str, SourceInfo],
    final: set[str] | None,
    some: set[str] | None,
) -> None:
    """`final` are the columns in the end, `some` those that any source has before the steps on
    the corpus."""
    output = resolved.recipe.output
    if output.separator is not None and output.schema_ != "prompt_completion":
        findings.add(
            "unused_parameter",
            ("output", "separator"),
            "separator is used only with schema: prompt_completion",
            "add schema: prompt_completion, or remove separator",
        )
    if output.schema_ in ("messages", "prompt_completion"):
        references = reference_sources(resolved)
        for name, info in infos.items():
            if name in references:
                continue
            if not info.format.conversational and not makes_messages(resolved, name):
                findings.add(
                    "no_messages",
                    ("output", "schema"),
                    f"the rows of {name} are plain text, the output holds {output.schema_}",
                    "give the source a conversational format, or set schema: text",
                )
    if final is None or some is None:
        return
    for index, name in enumerate(output.columns):
        if name not in final | some | DERIVED:
            place = ("output", "columns", index)
            hint = _unsupported(name, infos) or did_you_mean(name, final | some)
            findings.add("missing_column", place, f"no column {shortened(name)}", hint)


def check_signals(findings: Findings, output: Output, steps: Iterable[PlacedStep]) -> None:
    """Each pattern of `output.signals` matches a signal of a filter."""
    patterns = () if isinstance(output.signals, bool) else output.signals
    filters = [step.operator for step in steps if isinstance(step.operator, Filter)]
    for index, pattern in enumerate(patterns):
        alone = output.model_copy(update={"signals": (pattern,)})
        if not any(kept_signals(operator, alone) for operator in filters):
            names = [name for operator in filters for name in operator.signal_names()]
            hint = did_you_mean(pattern, names) or "the recipe has no filters"
            message = f"no filter measures {shortened(pattern)}"
            findings.add("unknown_signal", ("output", "signals", index), message, hint)


def check_tokenizer(
    findings: Findings, resolved: ResolvedRecipe, infos: Mapping[str, SourceInfo]
) -> TokenizerFiles | None:
    """The tokenizer that the recipe names, if it is there."""
    name, place = resolved.recipe.tokenizer, ("tokenizer",)
    if name is None:
        return None
    if resolved.bound:
        message = "this recipe is bound to a pool and cannot name a tokenizer"
        findings.add("not_in_pool", place, message)
        return None
    if importlib.util.find_spec("tokenizers") is None:
        add_missing_package(findings, place, "a tokenizer", "tokenizers", extra("hf"))
        return None
    try:
        tokenizer = find_tokenizer(name, resolved.beside(name))
    except DatachefError as error:
        findings.add("no_file", place, error.message, error.hint)
        return None
    schema = output_schema(resolved, infos)
    _, chat = counting(resolved.recipe, tokenizer, schema)
    if chat and importlib.util.find_spec("transformers") is None:
        add_missing_package(findings, place, "a chat template", "transformers", extra("hf"))
    talks = any(info.format.conversational for info in infos.values())
    if talks and not tokenizer.template and schema != "text":
        findings.warn(
            "no_chat_template",
            place,
            "the tokenizer has no chat template, so the tokens of conversations are counted in "
            "their plain text",
            "name the folder of a checkpoint whose tokenizer has one",
        )
    return tokenizer


def _unsupported(column: str, infos: Mapping[str, SourceInfo]) -> str:
    """Why a column of the sources is not among those of the rows; empty where it is none."""
    found = (info.unsupported.get(column) for info in infos.values())
    return next((f"it holds {what}" for what in found if what), "")
