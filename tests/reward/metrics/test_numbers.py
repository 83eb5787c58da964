from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from datachef.core import BenchmarkItem, DatachefError
from datachef.core.text.final_answers import last_number
from datachef.reward.metrics import make_metric

NUMBERS = [
    ("18", "18"), ("#### 1,234", "1234"), ("$1,234.50.", "1234.5"), ("1,00,000", "100000"),
    ("1{,}234", "1234"), (r"1\,234", "1234"), (r"1,\!234", "1234"), ("(3,18)", "18"),
    ("-5", "-5"), ("−5", "-5"), ("x=-5", "-5"), ("-$5", "-5"), ("$-5", "-5"), (r"-\$5", "-5"),
    ("10-12", "12"), ("5 - 3", "3"), ("(-3)", "-3"), ("4-year-old 7", "7"),
    (".5", "0.5"), ("-.5", "-0.5"), ("is...18", "18"), ("It is 18.", "18"), ("50%", "50"),
    ("25 m2", "25"), ("25 cm^2", "25"), ("25 m²", "25"), ("x_{1} = 7, y^{12}", "7"),
    ("CO2 weighs 44", "44"), ("the 3rd", "3"), ("共18元", "18"), ("１８", "18"),
    ("3e5", "3e5"), ("3 × 10^5", "3e5"), (r"3.5 \times 10^{-3} kg", "0.0035"), ("10^5", "1e5"),
    ("2.5 · 10⁻³", "0.0025"), (r"\boxed{42}, rounded to 2 places", "42"), (r"3 \boxed{x}", "3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_the_last_number_as_people_write_it(text: str, number: str) -> None:
    assert last_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "CO2", "x^{12}", "x_1", "²"])
def test_what_is_no_number(text: str) -> None:
    assert last_number(text) is None


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_formatted_numbers_come_back(whole: int, places: int) -> None:
    number = Decimal(whole).scaleb(-places)
    assert last_number(f"It costs {number:,f}.") == number
    assert last_number(f"So x = {number:f}") == number
    assert last_number(rf"\boxed{{{number:e}}} or 3") == number


@pytest.mark.parametrize(
    "hostile",
    ["11," * 50_000, "1" + ",111" * 50_000, "10^" * 50_000, r"\boxed{" * 50_000, "9" * 200_000,
     "* 10 ^ " * 50_000, "3" + " " * 100_000, "answer " * 50_000],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_no_text_takes_long(hostile: str) -> None:
    right = BenchmarkItem("?", "17"), BenchmarkItem("?", "B", ("sand", "snow"))
    assert make_metric("number_match").score(f"{hostile}. It is 17", right[0])
    assert make_metric("multiple_choice").score(f"{hostile}. It is snow", right[1])


def test_equal_numbers_match_however_they_are_written() -> None:
    judge = make_metric("number_match")
    for response in ("18", "18.00", "$18.", "It is 9 + 9 = 18 dollars", "1.8e1"):
        assert judge.score(response, BenchmarkItem("?", "... #### 18"))
    for response in ("18.01", "-18", "180", "18 of 20", "", "eighteen"):
        assert not judge.score(response, BenchmarkItem("?", "... #### 18"))


def test_the_tolerance_is_five_percent_of_the_gold_number() -> None:
    judge = make_metric("number_tolerance")
    item = BenchmarkItem("?", "-200")
    for response, right in (("-190", 1), ("-210", 1), ("-189.9", 0), ("-210.1", 0), ("200", 0)):
        assert judge.score(response, item) == bool(right)
    assert judge.score("3.1 × 10^8 m/s", BenchmarkItem("?", "299792458"))
    assert judge.score("0.0", BenchmarkItem("?", "0"))
    assert not judge.score("0.0001", BenchmarkItem("?", "0"))
    assert not judge.score("none", item)


@pytest.mark.parametrize("metric", ["number_match", "number_tolerance"])
def test_a_gold_answer_without_a_number_is_an_error(metric: str) -> None:
    with pytest.raises(DatachefError, match="has no number"):
        make_metric(metric).score("3", BenchmarkItem("?", "three"))
