from __future__ import annotations

import gzip
import json

import pytest

from datachef.operators.filters.code.code_quality_filter import CodeQualityFilter
from datachef.operators.filters.code.python_syntax_filter import PythonSyntaxFilter, syntax_error

GOOD = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("x = 1\n" + "y" * 1_001 + "\n" * 20, "line_too_long"),
        (f"data = {'1, ' * 60}\n", "lines_too_long_on_average"),
        ("{}[]();;" * 10, "too_few_alphanumeric"),
        (f"# This file is AUTO-GENERATED, do not edit\n{GOOD}", "generated"),
        (f"{GOOD * 3}# automatically generated", None),
        ('<?xml version="1.0"?>\n<note>text</note>', "xml"),
    ],
)
def test_quality(reasons, text, reason):
    assert reasons(CodeQualityFilter(), [text]) == [reason]


def test_tests_and_settings(reasons):
    texts = [f"# Unit tests of it\n{GOOD}", "a\n" * 30 + "test = 1\n", "config = 1\nconfig\n" * 3]
    assert reasons(CodeQualityFilter(), texts) == [None] * 3
    assert reasons(CodeQualityFilter(drop_tests_and_settings=True), texts) == [
        "test_or_settings", None, "test_or_settings"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (GOOD, ""),
        ("print 'two'", "line 1"),
        ("x = 1\nif x\n", "line 2"),
        ("a\0b", "null bytes"),
        ("(" * 1_000, "line 1"),
        ("-" * 100_000 + "1", ""),
        ("x" + ".y" * 100_000, ""),
        ("1" * 10_000, "line 1"),
        (r"'\d'", ""),
    ],
)
def test_syntax(code, message):
    found = syntax_error(code)
    assert message in found
    if not message and len(code) > 1_000:
        assert found == "nested too deeply"


def test_blocks(reasons, signals):
    texts = [
        f"So:\n```python\n{GOOD}```\nand\n~~~py\nx = 1\n~~~",
        "```Python3\nif x\n```",
        "```java\nint x = 1;\n```",
        None,
    ]
    operator = PythonSyntaxFilter(code="blocks")
    assert signals(operator, texts)["python_blocks"].to_list() == [2, 1, 0, 0]
    assert reasons(operator, texts) == [None, "python_syntax_error", None, None]
    strict = PythonSyntaxFilter(code="blocks", require_code=True)
    assert reasons(strict, texts)[2:] == ["no_python_code", "no_python_code"]


def test_real_code(shared_data, reasons):
    def rows(name, field):
        opener = gzip.open if name.endswith("gz") else open
        with opener(shared_data / "pool" / name, "rt", encoding="utf-8") as lines:
            return [json.loads(line)[field] for line, _ in zip(lines, range(200), strict=False)]

    kept = reasons(PythonSyntaxFilter(), rows("mbpp_train.jsonl", "code")).count(None)
    assert kept >= 195
    other = rows("debugbench_cpp.jsonl.gz", "oracle_code")
    assert reasons(PythonSyntaxFilter(), other).count(None) == 0
