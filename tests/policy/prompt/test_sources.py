"""What a card says of a source: sizes, signals and rows, from the first rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datachef.core import DatachefError, Filter, Host, Partition
from datachef.policy.prompt.sources import SourceCard, source_card
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RecipeSpace, recipe_space


def card_of(space: RecipeSpace, name: str) -> SourceCard:
    filters = [
        space.vocabulary.operator({"op": op})
        for op in space.operators
        if issubclass(space.vocabulary[op], Filter)
    ]
    return source_card(name, space.sources[name], filters)


def test_a_small_source_is_counted_and_a_large_one_estimated(space: RecipeSpace) -> None:
    notes, pages, packed = (card_of(space, name) for name in ("notes", "pages", "packed"))
    assert (notes.rows, notes.rough) == (41, False)
    assert pages.rows is not None and abs(pages.rows - 301) < 30 and not pages.rough
    assert packed.rows is not None and 1_000 < packed.rows < 4_000 and packed.rough
    assert pages.tokens is not None and pages.rows * 5 < pages.tokens < pages.rows * 9


def test_of_an_unknown_size_no_number_of_rows_is_told(space: RecipeSpace) -> None:
    info = space.sources["pages"]
    unknown = [Partition(part.name, part.identity, 0, part.place) for part in info.partitions]
    card = source_card("pages", replace(info, partitions=unknown), [])
    assert (card.rows, card.tokens) == (None, None)
    taken = info.source.model_copy(update={"take": 7})
    assert source_card("pages", replace(info, source=taken), []).rows == 7


def test_signals_are_the_numbers_that_rules_read(space: RecipeSpace) -> None:
    notes, pages = card_of(space, "notes"), card_of(space, "pages")
    assert notes.signals["band_filter"]["size"] == notes.characters == (7.0, 8.0, 8.0)
    assert notes.signals["quality_filter"]["own_quality"] == (0.1, 0.5, 0.9)
    assert "quality_filter" not in pages.signals  # it lacks the column
    assert "language_filter" not in pages.signals  # it needs a package of its own
    assert "length_words" in pages.signals["length_filter"]
    assert not any(name.startswith("_") for one in pages.signals.values() for name in one)


def test_examples_are_whole_rows_that_are_not_refused(space: RecipeSpace) -> None:
    info = space.sources["dialogues"]
    first, second = source_card("dialogues", info, []).examples
    assert first["answer"] == "The Aare." and second["prompt"] == "What is 19 and 19?"
    refusing = source_card("dialogues", info, [], lambda texts: "The Aare." in texts)
    assert [example["answer"] for example in refusing.examples] == ["38", "0"]


def test_a_card_is_the_same_each_time(space: RecipeSpace) -> None:
    card = card_of(space, "notes")
    assert card_of(space, "notes") == card
    assert (card.fields, card.columns, card.conversational) == (("text",), ("quality",), False)


def test_a_source_that_changed_meanwhile_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"text": "A note."}\n')
    (tmp_path / "pool.yaml").write_text("sources:\n  notes: {path: notes.jsonl}\n")
    space = recipe_space(host, tmp_path / "pool.yaml", limits=GrammarLimits(operators=()))
    (tmp_path / "notes.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(DatachefError, match=r"notes cannot be read: .*it changed"):
        card_of(space, "notes")
