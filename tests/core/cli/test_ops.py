"""`chef ops` lists operators under the plugin that registers them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import chef

OF_MINE = """
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class Mine(Filter):
    '''Keeps everything.'''

    op: Literal["mine"] = "mine"

    def signals(self):
        return {"length": pl.col("text").str.len_chars()}

    def rules(self):
        return {}

@hookimpl
def datachef_operators():
    return [Mine]
"""


def test_operators_stand_under_the_plugin_that_registers_them(tmp_path: Path) -> None:
    (tmp_path / "house_rules.py").write_text(OF_MINE)
    shown = chef("ops", "--plugin", str(tmp_path / "house_rules.py"))
    assert shown.returncode == 0, shown.stderr
    names = [line.split("│")[1] for line in shown.stdout.splitlines() if line.startswith("│ ")]
    groups = [name.strip() for name in names if name.startswith(" ") and name[1] not in " "]
    assert groups == sorted(groups)
    assert {"dedup", "filters", "house_rules", "mixing"} <= set(groups)
    under = [name.strip() for name in names if name.strip()]
    assert under[under.index("house_rules") + 1] == "mine"
    assert under.index("dedup") < under.index("exact_dedup") < under.index("filters")


def test_a_group_is_listed_alone() -> None:
    listed = json.loads(chef("ops", "--group", "dedup", "--json").stdout)["result"]
    assert "exact_dedup" in {operator["op"] for operator in listed}
    assert {operator["group"] for operator in listed} == {"dedup"}


def test_a_filter_says_what_it_measures() -> None:
    shown = chef("ops", "word_count_filter").stdout
    assert "measures the signals: word_count\n" in shown


def test_an_operator_says_why_policies_are_not_offered_it() -> None:
    shown = chef("ops", "answer_check_filter").stdout
    assert "not offered to policies: The column of right answers is named by" in shown
    (told,) = json.loads(chef("ops", "classifier_filter", "--json").stdout)["result"]
    assert told["not_for_policies"].startswith("The model is a file")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dedup"], "chef ops --group dedup"),
        (["--group", "dedpu"], "did you mean dedup?"),
        (["sample", "--group", "dedup"], "no operator 'sample' in dedup"),
    ],
)
def test_a_wrong_name_or_group_is_told_with_what_to_write(arguments: list[str], said: str) -> None:
    shown = chef("ops", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert said in shown.stderr


@pytest.mark.parametrize("command", [(), ("history",)])
def test_help_cuts_no_sentence_off(command: tuple[str, ...]) -> None:
    listed = chef(*command, "--help").stdout.partition("Commands:\n")[2]
    assert listed
    assert "..." not in listed
