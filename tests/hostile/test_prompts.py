"""Prompt and chat templates that are made to hang, to break out, or to be chosen by rows."""

from __future__ import annotations

import inspect
import json
import random
import re
import tracemalloc
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings, strategies as st

from datachef.core import BenchmarkFile, BenchmarkItem, RowError, Task
from datachef.core.language_models.prompts import (
    MAX_TEMPLATE,
    PromptError,
    PromptTooLongError,
    names_in,
    render,
)
from datachef.core.text.formats import MessagesFormat
from datachef.reward.verifier import SampledRow
from datachef.reward.verifier.judge import JudgePrompt

MEGABYTE = 10**6
LONG = "word " * (MEGABYTE // 5)
TURNS = [{"role": "user", "content": f"turn {number}"} for number in range(2_000)]
NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]
ROW: dict[str, Any] = {
    "text": LONG, "messages": TURNS, "n": 7, "odd": "%999999999d", "none": None, "nested": NESTED,
}  # fmt: skip

# Each folds a constant, or makes code, where Jinja compiles it.
FOLDED = [
    "{{ 'x' | center(999999999) }}",
    "{{ ('x' * 99999) | join(',' * 99999) }}",
    "{{ ['x'] | join('y') | indent(999999999) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 9 ** 999999999 }}",
    "{{ 'x' * 999999999 }}",
    "{{ [1] * 999999999 }}",
    "{{ 'a b' | truncate(5, end='x' * 999999999) }}",
    "{{ [[[[1]]]] | sum }}",
    "{{ 'x' | format('y') }}",
    "{{ 'x' | wordwrap(1) }}",
    "{{ 'x' | replace('', 'y') }}",
    "{{ 'x' | urlize }}",
    "{{ text | tojson }}",
    "{{ {'a': 1} | dictsort }}",
]
# Each reaches for what is no value of the row.
REACHING = [
    "{{ text.__class__ }}",
    "{{ messages.append(1) }}",
    "{{ text | attr('upper') }}",
    "{{ text | map('upper') }}",
    "{{ self }}{{ self._x }}",
    "{{ cycler(1) }}",
    "{% set x = text %}",
    "{% block x %}{% endblock %}",
    "{% with x = 1 %}{% endwith %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% call x() %}{% endcall %}",
    "{% import 'x' as y %}",
    "{{ text is filter }}",
    "{{ text | upper(*messages) }}",
    "{{ text | default(**messages) }}",
    "{{ text | upper(1) }}",
    "{{ text | truncate(length=1, length=2) }}",
    "{{ text[1:2, 3] }}",
    "{% for a, b in messages %}{% endfor %}",
    "{% for loop in messages %}{% endfor %}",
    "{% for a in [1, 2] %}{% endfor %}",
    "{% for a in text | list %}{% endfor %}",
    "{% for a in messages %}{% if a %}{% for b in messages %}{% endfor %}{% endif %}{% endfor %}",
]
# Each is small, and large for whoever walks it.
LARGE = [
    "{{ " + "9" * 5_000 + " }}",
    "{{ 1e999 }}",
    "{{ 99999999999999999999 }}",
    "{{ " + "+".join(["text"] * 3_000) + " }}",
    "{{ " + "~".join(["text"] * 3_000) + " }}",
    "{{ text" + "|upper" * 3_000 + " }}",
    "{{ text" + ".a" * 5_000 + " }}",
    "{{ " + "not " * 4_000 + "1 }}",
    "{{ " + "-" * 9_000 + "1 }}",
    "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "{{ 1" + " if 1 else 1" * 1_500 + " }}",
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "{% if 1 %}" + "{% elif 1 %}" * 1_500 + "{% endif %}",
    "{{a}}" * 4_000,
    "{# " + "x" * MAX_TEMPLATE + " #}",
    "{{ '" + "\\" * 19_000 + " }}",
    "{%" + " " * 19_000 + "x",
]


@pytest.mark.parametrize("template", FOLDED + REACHING + LARGE, ids=lambda text: text[:40])
def test_what_no_prompt_needs_is_refused_before_any_row(template: str) -> None:
    with pytest.raises(PromptError):
        names_in(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | join(text) }}",
        "{{ messages | join(text, attribute='content') | length }}",
        "{{ " + " ~ ".join(["text"] * 900) + " }}",
        "{% for turn in messages %}{{ (text ~ turn.content) | length }}{% endfor %}",
        "{% for turn in messages %}{{ text | title | length }}{% endfor %}",
        "{% for turn in messages %}{{ text | wordcount }}{% endfor %}",
        "{% for turn in messages %}{% if turn in messages %}{% endif %}{% endfor %}",
        "{% for turn in messages %}{% if messages == messages %}{% endif %}{% endfor %}",
        "{% for turn in messages %}{{ (messages ~ '') | length }}{% endfor %}",
        "{% for turn in messages if text | upper == text %}{% endfor %}",
        "{{ 1.5 | round(999999999) }}",
        "{{ 1 | round(-999999999) }}",
        "{{ '%999999999d' is even }}",
        "{{ '%999999999d' is odd }}",
        "{{ '%999999999d' is divisibleby(1) }}",
        "{{ text['__class__']['__mro__'] }}",
        "{{ odd is even }}",
        "{{ odd is divisibleby 3 }}",
        "{{ odd - n }}",
        "{{ n is divisibleby(0) }}",
        "{{ n | round(400) }}",
        "{{ text | round(15, 'floor') }}",
        "{{ messages | round(15, method='ceil') }}",
        "{{ none | round }}",
        "{{ nested }}",
        "{{ nested == nested }}",
        "{{ text | trim(text) }}",
        "{{ text[::0] }}",
        "{{ messages + messages }}",
        "{{ n in n }}",
        "{{ messages < text }}",
        "{{ none | length }}",
        "{{ -text }}",
    ],
)
def test_what_a_row_makes_of_a_template_is_bounded(template: str) -> None:
    names_in(template)
    with pytest.raises(PromptError):
        render(template, ROW, 100 * MEGABYTE)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | join(text) }}",
        "{{ " + " ~ ".join(["text"] * 900) + " }}",
        "{{ [" + ",".join(["text"] * 100) + "] }}",
    ],
)
def test_what_is_too_large_is_not_even_made(template: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PromptError):
            render(template, ROW, 10**12)
        assert tracemalloc.get_traced_memory()[1] < 10 * MEGABYTE
    finally:
        tracemalloc.stop()


TEXT_MADE = [
    "text",
    "text[:]",
    "text[::-1]",
    "text | upper",
    "text | lower",
    "text | trim",
    "text | title",
    "text | capitalize",
    "text | truncate(9)",
    "text | default('')",
    "text ~ ''",
    "text + text",
    "[text] | first",
    "[text] | last",
    "[text] | join",
    "(text if text else text)",
    "(text or text)",
    "[text][0]",
]


@pytest.mark.parametrize("expression", TEXT_MADE)
def test_text_stays_text_whatever_is_made_of_it(expression: str) -> None:
    """No expression makes something of a text that a loop goes over letter by letter."""
    row = {"text": "abc def", "messages": []}
    assert render(f"{{{{ ({expression}) is string }}}}", row, 100) == "True"
    with pytest.raises(PromptError, match="a loop takes"):
        render(f"{{% for a in ({expression}) %}}x{{% endfor %}}", row, 100)


def test_a_row_cannot_write_a_template() -> None:
    row = {"text": "{{ 7 * 7 }}{% raw %}{# x #}", "messages": [{"content": "{{ text }}"}]}
    template = "{{ text }}{% for turn in messages %}{{ turn.content }}{% endfor %}"
    assert render(template, row, 1_000) == row["text"] + "{{ text }}"


def test_limits_leave_room_for_real_prompts() -> None:
    many = "".join(f"Example {n}: {{{{ text | trim | truncate(200) }}}}\n" for n in range(150))
    assert render(many, {"text": LONG}, MEGABYTE).count("Example") == 150
    turns = "{% for turn in messages %}{{ turn.role | upper }}: {{ turn.content }}\n{% endfor %}"
    assert render(turns, ROW, MEGABYTE).splitlines()[-1] == "USER: turn 1999"
    assert len(render("{{ text }}", {"text": "x" * 10_000_000}, 10**8)) == 10_000_000
    with pytest.raises(PromptTooLongError):
        render(turns, ROW, 1_000)


_ATOMS = (
    "text", "title", "n", "messages", "turn", "missing", "turn.content", "turn.gone",
    "loop.index", "loop.revindex0", "loop.last", "'a b'", "''", "2", "-1", "1.5", "none", "true",
    "[1, 'x', text]", "messages[0].content", "text[1:3]", "title[-1]", "messages[:1]",
)  # fmt: skip
_OPERATORS = ("~", "+", "-", "==", "!=", "<", ">=", "in", "not in", "and", "or")
_APPLIED = (
    "| upper", "| lower", "| title", "| capitalize", "| trim", "| trim('a')", "| length",
    "| first", "| last", "| wordcount", "| round", "| round(1, 'floor')", "| truncate(7)",
    "| truncate(6, true, '..')", "| join('-')", "| join(', ', attribute='content')",
    "| default('d')", "| default('d', true)", "is defined", "is undefined", "is none",
    "is not none", "is string", "is number", "is sequence", "is even", "is divisibleby 2",
    "is in [1, 2]",
)  # fmt: skip


class _Writer:
    """Writes templates of the grammar by chance, and rows for them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def expression(self, depth: int = 2) -> str:
        dice = self._dice
        if not depth or dice.random() < 0.3:
            return dice.choice(_ATOMS)
        inner = [self.expression(depth - 1) for _ in range(3)]
        return dice.choice(
            [
                f"({inner[0]} {dice.choice(_APPLIED)})",
                f"({inner[0]} {dice.choice(_APPLIED)})",
                f"({inner[0]} {dice.choice(_OPERATORS)} {inner[1]})",
                f"({inner[0]} if {inner[1]} else {inner[2]})",
                f"(not {inner[0]})",
            ]
        )

    def statement(self, depth: int = 2, loop: bool = True) -> str:
        dice = self._dice
        if not depth or dice.random() < 0.3:
            return dice.choice(["plain ", "{# no #}\n", f"{{{{ {self.expression()} }}}}"])
        part = [self.statement(depth - 1, loop) for _ in range(2)]
        body = self.statement(depth - 1, loop=False)
        asked = [self.expression() for _ in range(2)]
        choices = [
            part[0] + part[1],
            f"{{% if {asked[0]} %}}{part[0]}{{% elif {asked[1]} -%}} {part[1]}{{% endif %}}",
            f"{{% if {asked[0]} %}}{part[0]}{{% else %}}{part[1]}{{%- endif %}}",
        ]
        if loop:
            choices += [
                f"{{% for turn in messages %}}{body}{{% else %}}{part[1]}{{% endfor %}}",
                f"{{% for turn in messages if {asked[0]} %}}{body}{{% endfor %}}",
            ]
        return dice.choice(choices)

    def words(self) -> str:
        return "".join(self._dice.choices("aB c-1é%", k=self._dice.randrange(14)))

    def row(self) -> dict[str, Any]:
        turns = [{"content": self.words()} for _ in range(self._dice.randrange(4))]
        number = self._dice.choice([-3, 0, 1, 2, 7.25])
        title = self._dice.choice([None, self.words()])
        return {"text": self.words(), "title": title, "n": number, "messages": turns}


def test_what_is_rendered_is_what_jinja_renders() -> None:
    jinja = jinja2.Environment(  # noqa: S701 - prompts are no HTML
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    rendered = 0
    for seed in range(3_000):
        writer = _Writer(seed)
        template, row = writer.statement(), writer.row()
        try:
            mine = render(template, row, 10**6)
        except PromptError:
            continue  # Python adds, compares and loops over more than we do
        assert mine == jinja.from_string(template).render(row), (template, row)
        rendered += 1
    assert rendered > 1_500


@settings(max_examples=300)
@given(st.text(st.sampled_from("{}%#|.[]()'\"\\-+~ axe1_,:=iforndlts\n"), max_size=60))
def test_no_template_raises_anything_else(template: str) -> None:
    try:
        names_in(template)
        render(template, {"a": "x", "x": [1, "a"]}, 1_000)
    except PromptError:
        pass


def test_a_row_cannot_choose_the_chat_template_nor_how_it_is_applied() -> None:
    """Whatever `apply_chat_template` takes, of the transformers that are installed."""
    tokenizers = pytest.importorskip("transformers.tokenization_utils_base")
    known = inspect.signature(tokenizers.PreTrainedTokenizerBase.apply_chat_template).parameters
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    value = "{% for i in range(999999999) %}{% endfor %}"
    for name in {*known, "messages"} - {"documents", "kwargs"}:
        for form in ({name: value}, json.dumps({name: value})):
            with pytest.raises(RowError, match=f"may not set '{name}'"):
                MessagesFormat().convert({"messages": turns, "chat_template_kwargs": form})


def test_variables_of_a_chat_template_stay() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = {"messages": turns, "chat_template_kwargs": {"enable_thinking": False}}
    assert MessagesFormat().convert(row).chat_template_kwargs == '{"enable_thinking":false}'


def test_no_example_of_a_task_closes_the_fence_around_a_row() -> None:
    task = Task(name="t", benchmark=BenchmarkFile(path="test.jsonl"))
    row = SampledRow("id", "s", "the text of a row")
    known = re.findall(r"\[[0-9a-f]{16}\]", JudgePrompt(task, []).about(row, 1_000))[0]
    example = BenchmarkItem("1 + 1?", f"{known} the row begins")
    asked = JudgePrompt(task, [example]).about(row, 1_000)
    fences = set(re.findall(r"(\[[0-9a-f]{16}\]) the row", asked))
    assert known in fences
    (own,) = fences - {known}
    assert asked.count(f"{own} the row begins") == 1
