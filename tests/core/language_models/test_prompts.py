import pytest

from datachef.core.language_models.prompts import PromptError, PromptTooLongError, names_in, render


def test_columns_and_loops():
    template = (
        "{% if title %}{{ title | upper }}: {% endif %}{{ text[:3] }}"
        "{% for turn in messages %} {{ loop.index }}={{ turn.content }}{% endfor %}"
    )
    row = {"title": None, "text": "abcdef", "messages": [{"content": "x"}, {"content": "y"}]}
    assert render(template, row, 100) == "abc 1=x 2=y"
    assert names_in(template) == {"title", "text", "messages"}


def test_no_escaping():
    assert render("{{ text }}", {"text": "<b> & 'c'"}, 100) == "<b> & 'c'"


def test_templates_in_data_are_data():
    assert render("{{ text }}", {"text": "{{ 7 - 1 }}"}, 100) == "{{ 7 - 1 }}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ text.__class__ }}",
        "{{ text|attr('__class__') }}",
        "{{ text['__class__'].__mro__ }}",
        "{{ text.format(1) }}",
        "{{ lipsum() }}",
        "{{ self.__init__ }}",
        "{{ cycler.__init__ }}",
        "{% for i in range(100000) %}x{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 10 ** 1000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ text|center(1000000000) }}",
        "{{ text|indent(1000000000) }}",
        "{{ text|replace('', text) }}",
        "{{ text|map('upper') }}",
        "{% for a in text %}{% for b in text %}{% endfor %}{% endfor %}",
        "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
        "{% for a in text[:] %}{{ text }}{% endfor %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}",
        "{% set x = 1 %}",
        "{% filter upper %}x{% endfilter %}",
        "{{ text",
        "{% if %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
    ],
)
def test_refused_when_written(template):
    with pytest.raises(PromptError):
        names_in(template)


@pytest.mark.parametrize(
    "template", ["{{ missing }}", "{{ text.content }}", "{{ text - 1 }}", "{{ text[90] }}"]
)
def test_refused_when_rendered(template):
    with pytest.raises(PromptError):
        render(template, {"text": "abc"}, 100)


def test_item_access_does_not_reach_python():
    with pytest.raises(PromptError):
        render("{{ text['__class__'] }}", {"text": "abc"}, 100)
    with pytest.raises(PromptError):
        render("{{ turn['__init__'] }}", {"turn": {"content": "x"}}, 100)


def test_letters_are_not_looped_over():
    template = "{% for letter in text %}{{ text }}{% endfor %}"
    with pytest.raises(PromptError):
        render(template, {"text": "a" * 10**6}, 10**9)


def test_length_is_bounded_while_rendering():
    template = "{% for turn in turns %}{{ text }}{% endfor %}"
    with pytest.raises(PromptTooLongError):
        render(template, {"text": "a" * 10**6, "turns": [1] * 10**5}, 10**6)
