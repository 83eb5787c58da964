from __future__ import annotations

import pytest

from datachef.operators.filters.gopher_quality_filter import GopherQualityFilter

PROSE = (
    "The committee that met on Tuesday had to decide what to do with the old library, and most of "
    "its members agreed that the building should be kept as it is. Some wanted to turn it into a "
    "school; others would rather have a garden there. In the end they chose to wait for the report "
    "of the engineers, which is due in spring."
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("Too short to be of any use.", "too_few_words"),
        ("", "too_few_words"),
        ("a b c d e " * 20, "low_mean_word_length"),
        ("extraordinarily incomprehensible " * 40, "high_mean_word_length"),
        (PROSE + " # # # # # # # # #", "too_many_hashes"),
        (PROSE + " ... ... ... … … … … …", "too_many_ellipses"),
        ("\n".join(f"- {part}" for part in PROSE.split(".")), "too_many_bullet_lines"),
        (PROSE.replace(", ", "...\n").replace(". ", "…\n"), "too_many_ellipsis_lines"),
        (PROSE + " 12 34 56 78" * 8, "too_few_alpha_words"),
        ("Il comitato riunito ieri decise cosa fare della biblioteca " * 8,
         "too_few_stop_words"),
    ],
)  # fmt: skip
def test_reasons(reasons, text, reason):
    assert reasons(GopherQualityFilter(), [text]) == [reason]


def test_signals_of_a_small_text(signals):
    row = signals(GopherQualityFilter(), ["- the cat, 9 lives\n#end…\n"]).row(0, named=True)
    assert row == {
        "gopher_words": 5,  # the cat 9 lives end
        "gopher_mean_word_length": (3 + 3 + 1 + 5 + 3) / 5,
        "gopher_hash_ratio": 1 / 9,  # - the cat , 9 lives # end …
        "gopher_ellipsis_ratio": 1 / 9,
        "gopher_bullet_lines": 1 / 2,
        "gopher_ellipsis_lines": 1 / 2,
        "gopher_alpha_words": 4 / 9,
        "gopher_stop_words": 1,
    }


def test_stop_words_count_once_each(signals):
    found = signals(GopherQualityFilter(), ["the the of", "The OF", "to be that"])
    assert found["gopher_stop_words"].to_list() == [2, 0, 3]
