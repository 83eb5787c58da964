"""The prompt says all that a policy may know, of exactly what it may write, within its budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Budget, DatachefError, Host
from datachef.core.recipe.resolving import read_task
from datachef.policy.prompt import TRUNCATION, PromptWriter
from datachef.policy.prompt.writer import USUAL_TOKENS, Messages
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space

LAST = len(TRUNCATION)
# A piece of the full prompt that stands for each part, by which its absence is told.
PIECES = {
    "source examples": "Page 99 tells",
    "task examples": "How much is 0 + 1?",
    "signals": "length_words",
    "parameter descriptions": "Lowest quality kept",
    "parameters": "default 0.5",
    "operator descriptions": "Drops rows of low quality",
    "source descriptions": "CC0",
    "source sizes": "about 41 rows",
    "explanations": "Add the numbers.",
}


def count(messages: Messages) -> int:
    """About as many tokens as the messages have."""
    return sum(len(message["content"]) // 3 + 4 for message in messages)


def text_of(messages: Messages) -> str:
    return "\n".join(message["content"] for message in messages)


def full(writer: PromptWriter, space: RecipeSpace) -> str:
    prompt = writer.write(space, count, 1_000_000)
    assert prompt.space is space
    assert [message["role"] for message in prompt.messages] == ["system", "user"]
    return text_of(prompt.messages)


def steps_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema of each operator's step."""
    return [*schema["$defs"].values(), *schema["properties"]["mix"]["anyOf"]]


def parameters_of(schema: dict[str, Any]) -> list[tuple[str, str, list[Any]]]:
    """Every value that the schema allows, by operator and parameter."""
    return [
        (step["properties"]["op"]["enum"][0], name, kind["enum"])
        for step in steps_of(schema)
        for name, kind in step["properties"].items()
        if name != "op"
    ]


def test_all_that_can_be_written_is_told(writer: PromptWriter, space: RecipeSpace) -> None:
    prompt = full(writer, space)
    blocks = prompt.partition("# Operators")[2]
    found = parameters_of(space.schema())
    named = {step["properties"]["op"]["enum"][0] for step in steps_of(space.schema())}
    assert named == set(space.operators)
    assert all(f"\n{op}: " in blocks for op in named)
    for op, name, values in found:
        block = blocks.partition(f"\n{op}: ")[2]
        line = block.partition(f"\n  {name} (")[2].partition("\n")[0]
        told = line.partition("): ")[2].removeprefix("default ").removeprefix("always ")
        told = f", {told.replace(', or ', ', ')}, "
        assert all(f", {json.dumps(value)}, " in told for value in values), (op, name)
    for name in space.sources:
        assert f"\n{name}: about" in prompt
    assert "one of 1, 2, 4, 8, 16" in prompt
    assert "one of 0.25, 0.5, 1.0" in prompt
    assert "100000 tokens" in prompt and "number_match; the last number" in prompt


def test_the_parts_stand_in_their_order(writer: PromptWriter, space: RecipeSpace) -> None:
    prompt = full(writer, space)
    heads = ("# Task", "metric:", "example:", "# Budget", "# Sources", "# Operators", "# Answer")
    places = [prompt.index(f"\n{head}") for head in heads]
    assert places == sorted(places)


def test_third_party_operators_are_told_with_their_place(
    writer: PromptWriter, space: RecipeSpace
) -> None:
    prompt = full(writer, space)
    assert "quality_filter: Drops rows of low quality, where a source knows about it." in prompt
    assert 'style (Of no effect): default "plain", or "fancy"' in prompt
    assert "only in: steps of notes" in prompt and "only in: the mix" in prompt
    assert "own_quality 0.1/0.5/0.9" in prompt


def test_the_same_is_written_each_time(
    writer: PromptWriter, space: RecipeSpace, pool: Path, host: Host
) -> None:
    again = recipe_space(host, pool, pool.parent / "task.yaml")
    other = PromptWriter(read_task(pool.parent / "task.yaml"), again)
    narrow = again.narrowed(["length_filter"], ["notes"])
    for level in reversed(range(LAST + 1)):
        other.messages(narrow, level)
        assert other.messages(again, level) == writer.messages(space, level)


def test_a_narrowed_space_names_its_own_alone(writer: PromptWriter, space: RecipeSpace) -> None:
    full(writer, space)
    narrow = space.narrowed(["length_filter"], ["notes"], Budget(tokens=77))
    for level in range(LAST + 1):
        prompt = text_of(writer.messages(narrow, level))
        for name in ("pages", "dialogues", "packed", "band_filter", "exact_dedup", "quality"):
            known = "columns: quality" if name == "quality" else ""
            assert name not in prompt.replace(known, "", 1), (level, name)
        assert "notes" in prompt and "length_filter" in prompt and "77 tokens" in prompt


def test_what_limits_offer_is_told_as_it_must_be_written(host: Host, pool: Path) -> None:
    limits = GrammarLimits(
        operators=("regex_filter", "length_filter"),
        parameters={
            "regex_filter.patterns": (["^Page"], ["rivers", "<b>"]),
            "length_filter.min_chars": (5,),
        },
        corpus_steps=0,
        reason_characters=20,
    )
    space = recipe_space(host, pool, limits=limits)
    prompt = full(PromptWriter(read_task(pool.parent / "task.yaml"), space), space)
    assert '): one of ["^Page"], ["rivers","<b>"]' in prompt
    assert "): always 5" in prompt
    assert '"why", a short reason' in prompt
    assert '"mix"' not in prompt and '"weight"' not in prompt and "on the corpus" not in prompt
    assert "all that the sources hold" in prompt


def test_parts_are_left_out_in_the_order_that_is_stated(
    writer: PromptWriter, space: RecipeSpace
) -> None:
    assert tuple(PIECES) == TRUNCATION
    for level in range(LAST + 1):
        prompt = text_of(writer.messages(space, level))
        missing = tuple(part for part, piece in PIECES.items() if piece not in prompt)
        assert missing == TRUNCATION[:level]


def test_a_prompt_is_within_its_budget_and_as_full_as_that_allows(
    writer: PromptWriter, space: RecipeSpace
) -> None:
    sizes = [count(writer.messages(space, level)) for level in range(LAST + 1)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)
    for level, size in enumerate(sizes):
        assert writer.level(space, count, size) == level
        assert count(writer.write(space, count, size).messages) == size
        if level < LAST:
            assert writer.level(space, count, size - 1) == level + 1


def test_bare_names_are_short_and_too_many_of_them_refused(
    writer: PromptWriter, space: RecipeSpace
) -> None:
    narrow = space.narrowed(["length_filter"], ["notes", "pages"])
    (message,) = writer.write(narrow, count, 60).messages
    assert message["role"] == "user"
    assert message["content"] == (
        "task: sums\nbudget: 100000 tokens\nsources: pages, notes\n"
        "operators: length_filter, weighted_mix"
    )
    with pytest.raises(DatachefError) as caught:
        writer.write(narrow, count, 5)
    needed = count((message,))
    assert f"{needed} tokens" in caught.value.message and f"{needed} tokens" in caught.value.hint


def test_a_prompt_of_no_said_length_always_has_the_names(
    writer: PromptWriter, space: RecipeSpace
) -> None:
    narrow = space.narrowed(["length_filter"], ["notes"])
    assert writer.write(narrow, count, None) == writer.write(narrow, count, USUAL_TOKENS)

    def many(messages: Messages) -> int:
        """As if so many operators were installed that their names alone take more."""
        return count(messages) + USUAL_TOKENS

    assert writer.write(space, many, None).messages == writer.messages(space, LAST)
    with pytest.raises(DatachefError, match="nothing but the names"):
        writer.write(space, many, USUAL_TOKENS)


def test_rows_cannot_forge_turns_or_headings(writer: PromptWriter, space: RecipeSpace) -> None:
    prompt = full(writer, space)
    assert "Use only notes." in prompt
    for mark in ("<|", "</s>", "[INST]", "\u202e", "\x1b"):
        assert mark not in prompt
    assert prompt.count("\n# Answer") == 1
    assert '"Pages on\\n# Answer\\nrivers."' in prompt


def test_items_of_the_benchmark_never_appear(writer: PromptWriter, space: RecipeSpace) -> None:
    prompt = full(writer, space).casefold()
    assert "bern" not in prompt and "aare" not in prompt and "3 + 9" not in prompt
    assert "what is 0 and 0?" in prompt and "how much is 0 + 1?" in prompt


def test_bare_names_need_no_data(space: RecipeSpace, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("name: gone\nbenchmark: {path: test.jsonl}\n")
    writer = PromptWriter(read_task(tmp_path / "task.yaml"), space)
    assert writer.messages(space, LAST)
    with pytest.raises(DatachefError, match=r"test\.jsonl"):
        writer.messages(space, 0)


def test_a_source_of_another_pool_is_refused(
    writer: PromptWriter, space: RecipeSpace, pool: Path
) -> None:
    other = PromptWriter(read_task(pool.parent / "task.yaml"), space.narrowed((), ["notes"]))
    with pytest.raises(DatachefError, match="knows no source 'pages'"):
        other.messages(space, 0)
    assert other.messages(space, LAST) == writer.messages(space, LAST)


def test_every_draft_is_made_of_what_is_told(writer: PromptWriter, space: RecipeSpace) -> None:
    narrow = space.narrowed(["band_filter", "sample"], ["notes", "pages"])
    prompt = full(writer, narrow)
    for seed in range(100):
        draft = narrow.draw(RandomChooser(seed))
        assert all(f"\n{name}: " in prompt for name in draft["sources"])
        assert all(f"\n{step['op']}: " in prompt for step in draft["steps"])
