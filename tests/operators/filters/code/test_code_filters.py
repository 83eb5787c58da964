from __future__ import annotations

import gzip
import json

import pytest

from datachef.operators.filters.code.code_quality_filter import CodeQualityFilter
from datachef.operators.filters.code.syntax_filter import SyntaxFilter, syntax_error

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
    found = syntax_error(code, "python")
    assert message in found
    if not message and len(code) > 1_000:
        assert found == "nested too deeply"


@pytest.mark.parametrize(
    ("language", "valid", "broken"),
    [
        ("c", "int main(void) { return 0; }", "int main(void) {\n return 0;"),
        ("cpp", "template <class T> T id(T x) { return x; }", "class A {\n int x\n"),
        ("go", "package main\n\nfunc main() {}\n", "package main\n\nfunc main( {}\n"),
        ("java", "class A { int f() { return 1; } }", "class A {\n int f( { return 1; } }"),
        ("javascript", "const f = (x) => x + 1;", "const f = (x => {"),
        ("rust", 'fn main() { println!("{}", 1); }', "fn main() { let = 1; }"),
        ("typescript", "let x: number = 1;", "let x: = 1;"),
    ],
)
def test_other_languages(reasons, language, valid, broken):
    pytest.importorskip("tree_sitter")
    operator = SyntaxFilter(language=language)
    assert reasons(operator, [valid, broken, ""]) == [None, "syntax_error", None]
    assert "(line " in syntax_error(broken, language)
    fenced = [f"```{language}\n{code}\n```" for code in (valid, broken)]
    assert reasons(SyntaxFilter(language=language, code="blocks", require_code=True), fenced) == [
        None, "syntax_error"
    ]  # fmt: skip


def test_blocks(reasons, signals):
    texts = [
        f"So:\n```python\n{GOOD}```\nand\n~~~py\nx = 1\n~~~",
        "```Python3\nif x\n```",
        "```java\nint x = 1;\n```",
        None,
    ]
    operator = SyntaxFilter(code="blocks")
    assert signals(operator, texts)["code_blocks"].to_list() == [2, 1, 0, 0]
    assert reasons(operator, texts) == [None, "syntax_error", None, None]
    strict = SyntaxFilter(code="blocks", require_code=True)
    assert reasons(strict, texts)[2:] == ["no_code", "no_code"]


def test_real_code(shared_data, reasons):
    def rows(name, field):
        opener = gzip.open if name.endswith("gz") else open
        with opener(shared_data / "pool" / name, "rt", encoding="utf-8") as lines:
            return [json.loads(line)[field] for line, _ in zip(lines, range(200), strict=False)]

    kept = reasons(SyntaxFilter(), rows("mbpp_train.jsonl", "code")).count(None)
    assert kept >= 195
    java = SyntaxFilter(language="java")
    assert reasons(java, rows("thealgorithms_java.jsonl.gz", "text")).count(None) >= 195
    other = rows("debugbench_cpp.jsonl.gz", "oracle_code")
    assert reasons(SyntaxFilter(), other).count(None) == 0
