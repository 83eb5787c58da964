from __future__ import annotations

import polars as pl
import pytest

from datachef.core import turns_column
from datachef.core.text.conversations import with_text
from datachef.operators.transforms.clean_refinedweb_lines import CleanRefinedwebLines

BODY = "A line of many words that stays where it is, as it should. " * 6


def processed(texts, **parameters):
    batch = pl.DataFrame({"id": [str(i) for i in range(len(texts))], "source": "s", "text": texts})
    return CleanRefinedwebLines(**parameters).process(batch)


@pytest.mark.parametrize(
    "line",
    ["SIGN UP FOR OUR NEWS", "2024", " 12 ", "3 likes", "5.1M   Views!", "Menu", "Sign-in to go on",
     "There are 3 items in cart", "Go on and read more..."],
)  # fmt: skip
def test_lines_that_go(line):
    (text,) = processed([f"{BODY}\n{line}\nThe end of it."], max_removed_words=1).rows["text"]
    assert text == f"{BODY}\nThe end of it."


@pytest.mark.parametrize(
    "line",
    ["He likes it", "NASA and ESA agreed", "3 likes of hers were odd", "", "12 34", "今天下雨了",
     "One may read more... but not in a line of so many words as these are, read more..."],
)  # fmt: skip
def test_lines_that_stay(line):
    (text,) = processed([f"{BODY}\n{line}\nThe end of it."]).rows["text"]
    assert text == f"{BODY}\n{line}\nThe end of it."


def test_a_text_that_loses_too_much_is_dropped():
    texts = [BODY, f"{BODY}\nMenu", f"{BODY}\nMenu\nHome\nShop\nBlog\nNews", "Menu\nHome", ""]
    made = processed(texts)
    assert made.rows["text"].to_list() == [BODY.strip(), BODY.strip()]
    assert dict(made.dropped.select("text", "reason").iter_rows()) == {
        texts[2]: "too_many_words_removed", "Menu\nHome": "emptied", "": "emptied"
    }  # fmt: skip


def test_conversations_are_cleaned_turn_by_turn():
    turns = [{"role": "user", "content": BODY}, {"role": "assistant", "content": f"{BODY}\nShare"}]
    batch = with_text(
        pl.DataFrame({"id": ["a"], "source": ["s"], "text": [""]}).with_columns(
            turns_column([turns])
        )
    )
    (row,) = CleanRefinedwebLines().process(batch).rows.to_dicts()
    assert [turn["content"] for turn in row["messages"]] == [BODY.strip()] * 2
