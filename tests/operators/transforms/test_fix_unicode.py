import ftfy
import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.operators.transforms.fix_unicode import FixUnicode

NASTY = st.sampled_from(
    [
        "&amp;", "&lt", "<b>", "\r\n", "\r", "\n", "\x1b[31m", "\x00", "\x7f", "\x85", "\u2028",
        "Ã©", "â€™", "schÃ¶n", "é", "ﬁ", "“quote”", "ＬＯＵＤ", "漢字", "voilÃ le", "â€œ", " ", "a",
        "\ufeff", "ĳ", "Ǆ", "²", "Â ", "√±", "вЂ", "\xa0", "ÃƒÂ©",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(NASTY, max_size=12).map("".join),
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.text(st.characters(codec="latin-1"), max_size=60),
    st.text(st.characters(codec="ascii"), max_size=60),
)
OPERATORS = [
    FixUnicode(),
    FixUnicode(normalization="NFKC", unescape_html="never"),
    FixUnicode(normalization="none", unescape_html="always", split_ligatures=False),
    FixUnicode(straighten_quotes=True, narrow_width=True),
]


def fixed(text, **parameters):
    return FixUnicode(**parameters).rewrite(pl.Series("text", [text]))[0]


@pytest.mark.parametrize("operator", OPERATORS)
@given(texts=st.lists(TEXTS, max_size=5))
def test_shortcuts_change_nothing(operator, texts):
    series = pl.Series("text", texts, pl.String)
    expected = [ftfy.fix_text(text, operator._config) for text in texts]
    assert operator.rewrite(series).to_list() == expected
    assert series.to_list() == texts


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ("schÃ¶n", "schön"),
        ("itâ€™s", "it’s"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("AT&amp;T", "AT&T"),
        ("\x1b[36;44mhello", "hello"),
        ("ﬁne", "fine"),
        ("é", "é"),
        ("plain", "plain"),
        ("中文，句号。", "中文，句号。"),
        ("“quoted”", "“quoted”"),
    ],
)
def test_repairs(broken, right):
    assert fixed(broken) == right


def test_entities_stay_in_html():
    assert fixed("<p>AT&amp;T</p>") == "<p>AT&amp;T</p>"
    assert fixed("<p>AT&amp;T</p>", unescape_html="always") == "<p>AT&T</p>"
    assert fixed("AT&amp;T", unescape_html="never") == "AT&amp;T"


def test_options():
    assert fixed("“x”", straighten_quotes=True) == '"x"'
    assert fixed("ＬＯＵＤ", narrow_width=True) == "LOUD"
    assert fixed("x²", normalization="NFKC") == "x2"
    assert fixed("é", normalization="none") == "é"


def test_rows_and_turns():
    turns = [{"role": "user", "content": "schÃ¶n"}, {"role": "assistant", "content": "ok"}]
    batch = pl.DataFrame(
        {"id": ["a", "b", "c"], "text": ["\x00", "x", "voilÃ "], "messages": [None, turns, None]}
    )
    outcome = FixUnicode().process(batch)
    assert outcome.rows["id"].to_list() == ["b", "c"]
    assert outcome.rows["text"].to_list() == ["schön\n\nok", "voilà "]
    assert outcome.dropped.select("id", "reason").rows() == [("a", "emptied")]


def test_missing_text_stays_missing():
    assert FixUnicode().rewrite(pl.Series("text", [None, "schÃ¶n"])).to_list() == [None, "schön"]
