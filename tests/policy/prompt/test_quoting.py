"""Text from outside cannot pass for a part of the prompt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from datachef.policy.prompt.quoting import named, quoted, shortened

MARKS = ("<|im_start|>", "<|endoftext|>", "</s>", "<s>", "<start_of_turn>", "<<SYS>>", "[INST]",
         "[/INST]", "<think>", "<\uff5cUser\uff5c>", "[gMASK]", "<unused0>")  # fmt: skip


@given(text=st.text(), most=st.integers(1, 60))
def test_what_is_quoted_is_one_line_of_json(text: str, most: int) -> None:
    line = quoted(text, most)
    assert line.isprintable()
    read = json.loads(line)
    assert read == shortened(text, most)
    assert len(read) <= max(most, 10)


@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_chat_templates_are_broken(mark: str) -> None:
    assert mark not in quoted(f"a{mark}b", 100)
    assert mark not in named(mark)
    assert json.loads(quoted(f"a{mark}b", 100)) == f"a{mark}b"


def test_comparisons_and_indices_stay_as_they_are() -> None:
    assert quoted("1 < 2 <= x[i], <<6*2=12>>", 100) == '"1 < 2 <= x[i], <<6*2=12>>"'


def test_long_text_keeps_its_ends() -> None:
    short = shortened("begin" + "x" * 1000 + "end", 50)
    assert len(short) == 50 and short.startswith("begin") and short.endswith("end")
