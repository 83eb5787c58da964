from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from datachef.core import Problem, shortened
from datachef.core.document import MAX_BYTES, MAX_DEPTH, Document, dump, parse, read
from datachef.core.errors import did_you_mean, dotted

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
    | st.sampled_from(
        ["", "~", "null", "yes", "no", "on", "1_000", "1e3", ".5", "-", "- a", "0x1F", "0o7", "=",
         "<<", "2001-01-01", "1:30", "# no", "a: b", "a #b", "{", "[", "&a", "*a", "!t", "%", "@",
         "\n", "a\n", "a\n\n", "\na", " a\nb", "a \nb", "a\n  b\n", "\t", "a\tb\nc", "---", "...",
         "a\n---\nb", "a\n...\nb", "\u2028", "a\u2029b\n", "\x85", "\ufeffa\nb", "\r\n", "'", '"',
         "\0", "\x1b[2J", "🍳", "\U0010ffff", "x" * 500, "9" * 500, ".inf", ".nan", "1e999"]
    )
)  # fmt: skip
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=30,
)


def only(document: Document) -> Problem:
    (problem,) = document.problems
    return problem


@given(_DATA)
@example("9" * 401)
@example({"k" * 200: {"\n": ["\n"]}})
@settings(max_examples=500, deadline=None)
def test_what_is_dumped_reads_back_as_it_was(data: Any) -> None:
    document = parse(dump(data))
    assert document.problems == ()
    assert document.data == data
    assert repr(document.data) == repr(data)  # 1 is not 1.0 and not True


def test_positions_are_those_in_the_file() -> None:
    document = parse("name: x\nsources:\n  web: {path: a, take: 3}\nsteps:\n- op: a\n  n: 1\n- b\n")
    assert document.places == {
        (): (1, 1),
        ("name",): (1, 1),
        ("sources",): (2, 1),
        ("sources", "web"): (3, 3),
        ("sources", "web", "path"): (3, 9),
        ("sources", "web", "take"): (3, 18),
        ("steps",): (4, 1),
        ("steps", 0): (5, 3),
        ("steps", 0, "op"): (5, 3),
        ("steps", 0, "n"): (6, 3),
        ("steps", 1): (7, 3),
    }


def test_a_problem_stands_at_the_nearest_place_around_it() -> None:
    document = parse("a:\n  b: 1\n", "f.yaml")
    placed = document.locate(Problem("c", "m"), ("a", "b", "gone", 3))
    assert (placed.file, placed.line, placed.column) == ("f.yaml", 2, 3)
    assert str(placed) == "f.yaml:2:3: m [c]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("FALSE", False), ("", None),
        ("~", None), ("null", None), ("1_000", 1000), ("007", 7), ("-3", -3), ("+3", 3),
        ("1e-3", 0.001), (".5", 0.5), ("5.", 5.0), ("1_0.5", 10.5), ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"), ("0x10", "0x10"), (".inf", ".inf"), ("'1'", "1"),
        ('"~"', "~"), ("_1", "_1"), ("\u0663", "\u0663"), ("|\n  1\n", "1\n"),
        ('"\\ud83c\\udf73"', "\U0001f373"),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_look_like(text: str, value: Any) -> None:
    document = parse(f"key: {text}")
    assert document.problems == ()
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\nb: &x 2\n", "yaml_feature", 2),
        ("a: &x [1]\nb: *x\n", "yaml_feature", 1),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", "yaml_feature", 2),
        ("a: !!binary aGk=\n", "yaml_feature", 1),
        ("a: !!str 1\n", "yaml_feature", 1),
        ("a: ! 1\n", "yaml_feature", 1),
        ("a:\n  <<: *b\n", "yaml_feature", 2),
        ("a: 1\n---\nb: 2\n", "yaml_feature", 2),
        ("a:\n  b: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "yaml_feature", 2),
        ("a: 1\nb: 2\na: 3\n", "duplicate_key", 3),
        ("a:\n  - x: 1\n    x: 1\n", "duplicate_key", 3),
        ("a: 1\n? [b]\n: 2\n", "yaml_key", 2),
        ("a: 1\n{}: 2\n", "yaml_key", 2),
        ("a: 1\nb: [1, 2\n", "yaml_syntax", 3),
        ("a: 1\n\tb: 2\n", "yaml_syntax", 2),
        ("a: 'open\n", "yaml_syntax", 2),
        ("a: 1\nb: \0\n", "yaml_syntax", 2),
        ("a: 1\n\nb: \x1b[2J\n", "yaml_syntax", 3),
        ('a: 1\nb: "\\UFFFFFFFF"\n', "yaml_syntax", 2),
        ('a: 1\nb: "\\U00110000"\n', "yaml_syntax", 2),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1\n", "yaml_syntax", 1),
        ('a: 1\nb: "\\ud800"\n', "not_unicode", 2),
        ('a: 1\n"\\udfff": b\n', "not_unicode", 1),
        ("a: 1\nb: 1e999\n", "not_finite", 2),
        ("", "empty_document", 1),
        ("# nothing\n", "empty_document", 1),
        ("a" * (MAX_BYTES + 1), "too_large", 1),
    ],
)  # fmt: skip
def test_what_data_has_no_need_of_is_refused_where_it_stands(
    text: str, code: str, line: int
) -> None:
    problem = only(parse(text, "f.yaml"))
    assert (problem.code, problem.file, problem.line) == (code, "f.yaml", line)
    assert problem.column > 0
    assert problem.message


def test_all_duplicates_are_told() -> None:
    document = parse("a: 1\na: 2\nb: 1\nb: 2\n")
    assert [(p.path, p.line) for p in document.problems] == [("a", 2), ("b", 4)]
    assert document.data == {"a": 1, "b": 1}


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 20)]
    assert only(parse("l0: &l0 [lol]\n" + "\n".join(levels))).code == "yaml_feature"


@pytest.mark.parametrize(
    ("raw", "code", "line"),
    [
        (b"a: 1\nb: \xff\n", "not_utf8", 2),
        ("a: é\n".encode("latin-1"), "not_utf8", 1),
        ("a: 1\n".encode("utf-16"), "not_utf8", 1),
        ("日".encode() * (MAX_BYTES // 2), "too_large", 1),
        (b"", "empty_document", 1),
    ],
)
def test_files_that_hold_no_document(tmp_path: Path, raw: bytes, code: str, line: int) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(raw)
    problem = only(read(path))
    assert (problem.code, problem.file, problem.line) == (code, str(path), line)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b", "x" * 5000, "\ud800"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    problem = only(read(tmp_path / name))
    assert problem.code == "unreadable_file"
    assert problem.line == 1
    str(problem).encode()


def test_byte_order_mark_and_windows_newlines(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes("\ufeffa: 1\r\nb:\r\n  - é\r\n".encode())
    document = read(path)
    assert document.problems == ()
    assert document.data == {"a": 1, "b": ["é"]}
    assert document.places["b", 0] == (3, 5)


def test_dump_is_pleasant_to_read() -> None:
    data = {"name": "x", "steps": [{"op": "a", "prompt": "Two\nlines\n"}], "off": "no", "n": "1e3"}
    assert dump(data) == (
        "name: x\nsteps:\n- op: a\n  prompt: |\n    Two\n    lines\n'off': 'no'\nn: '1e3'\n"
    )


def test_a_printed_problem_plays_no_tricks_on_the_terminal() -> None:
    shown = str(Problem("c", "see \x1b[2J\r", dotted(("a", "\x1b]0;")), "\ud800 é", "f.yaml", 1, 2))
    assert shown.encode().decode().replace("\n", "").isprintable()
    assert "é" in shown


def test_paths_quote_odd_keys_and_shorten_long_ones() -> None:
    assert dotted(("sources", "web", "steps", 0, "op")) == "sources.web.steps[0].op"
    assert dotted(("mix", "weights", "a.b")) == "mix.weights.'a.b'"
    assert len(dotted(("k" * 10_000,))) < 120
    assert shortened("short") == "'short'"


def test_did_you_mean_names_the_closest_or_all() -> None:
    assert did_you_mean("lenght", ["length", "take"]) == "did you mean length?"
    assert did_you_mean("zzz", ["b", "a"]) == "known here: a, b"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", [f"a{n:02}" for n in range(30)]).endswith("a19, ...")
