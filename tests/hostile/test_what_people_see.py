"""Names and messages of others are shown as text: no terminal, report or card obeys them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml
from command import CHEF
from hypothesis import given, strategies as st

from datachef.core import Problem, document
from datachef.core.escaping import EscapingStream, escaped, escaped_json, markdown, one_line

# Colours, a cursor that moves, a title, a hyperlink, C1, a bell, DEL, direction, zero width, lines.
EVIL = (
    "\x1b[31mX\x1b[2J\x1b]0;t\x07\x1b]8;;http://evil.example\x1b\\go\x1b]8;;\x1b\\"
    "\x9b2K\x85\x7f\u202egnp\u2066\u2069\u200b\u200f\ufeff\u2028\u2029\U000e0041\r\bz"
)
MARKUP = "a | b\n# head\n[link](http://evil.example) ![i](x) `code` <script>x</script> **bold**"

PLUGIN = f"""
import sys
from typing import Literal
import polars as pl
from datachef.core import Filter, Problem, hookimpl
from datachef.core import RunObserver

EVIL = {EVIL!r}
print("printed " + EVIL)

class Odd(Filter):
    __doc__ = "Summary " + EVIL
    op: Literal["odd"] = "odd"
    def signals(self):
        return {{"size": self.size}}
    def size(self, batch):
        print("from a worker " + EVIL, file=sys.stderr)
        if "BREAK" in batch["text"]:
            raise ValueError("broken " + EVIL)
        return batch["text"].str.len_chars()
    def rules(self):
        return {{EVIL: pl.col("size") < 3}}

class Watcher(RunObserver):
    def partition_finished(self, event):
        raise KeyError("observed " + EVIL)

@hookimpl
def datachef_operators():
    return [Odd]

@hookimpl
def datachef_run_observers():
    return [Watcher()]

@hookimpl
def datachef_recipe_rules(recipe):
    problem = Problem("odd", "ruled " + EVIL + "\\nr.yaml: no problems", hint=EVIL)
    return [problem] if recipe.seed == 13 else []

@hookimpl
def datachef_commands(app):
    @app.command("odd-says")
    def says():
        "Says it."
        print(EVIL)
    @app.command("odd-raises")
    def raises():
        "Raises it."
        raise RuntimeError(EVIL)
    raise RuntimeError("hooked " + EVIL)
"""


def raw_characters(text: str) -> list[str]:
    """What a terminal would obey or hide."""
    return [c for c in text if not c.isprintable() and c not in "\n\t\u3000"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything that has a name has a hostile one."""
    folder = tmp_path_factory.mktemp("evil")
    name = f"data{EVIL}.jsonl".replace("/", "")
    rows: list[dict[str, object]] = [{"text": "some text", EVIL: 1, MARKUP: 2} for _ in range(300)]
    rows += [{"text": "x", f"late{EVIL}\nforged": 1}, {"text": "BREAK"}]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows) + "{bad " + EVIL)
    recipe = {
        "name": "r",
        "description": f"{MARKUP} {EVIL}",
        "sources": {
            "a": {
                "path": "*.jsonl", "licence": MARKUP, "description": MARKUP + EVIL,
                "steps": [{"op": "odd"}], "max_failed": 0.5,
            }
        },
        "output": {"columns": [EVIL], "format": "jsonl"},
    }  # fmt: skip
    (folder / "r.yaml").write_text(document.dump(recipe), encoding="utf-8")
    (folder / f"p{EVIL}.py".replace("/", "")).write_text(PLUGIN)
    return folder


def command(place: Path, *arguments: str) -> list[str]:
    plugin = next(place.glob("p*.py"))
    return [*CHEF, *arguments, "--plugin", plugin.name]


def chef(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(place, *arguments), cwd=place, capture_output=True, check=False,
        env=os.environ | {"DATACHEF_PLUGINS": "engines,sources"},
    )  # fmt: skip
    return done.stdout.decode() + done.stderr.decode()


COMMANDS = [
    ("run", "r.yaml"),
    ("run", "r.yaml", "--json"),
    ("report", "corpus/r"),
    ("check", "r.yaml"),
    ("check", "r.yaml", "--set", "seed=13"),
    ("check", "r.yaml", "--set", "seed=13", "--json"),
    ("check", f"gone{EVIL}.yaml"),
    ("run", "r.yaml", "--set", f"sources.a.path=gone{EVIL}"),
    ("plan", "r.yaml"),
    ("plugins",),
    ("plugins", "--json"),
    ("ops",),
    ("ops", "odd"),
    ("ops", EVIL),
    ("schema",),
    ("doctor",),
    ("odd-says",),
    ("odd-raises",),
    (EVIL,),
    ("run", "r.yaml", f"--{EVIL}"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: "-".join(a).encode("ascii", "ignore"))
def test_no_command_prints_what_a_terminal_obeys(place: Path, arguments: tuple[str, ...]) -> None:
    said = chef(place, *arguments)
    assert said.strip()
    assert raw_characters(said) == []
    assert "Traceback" not in said
    if "seed=13" in arguments:
        assert "no problems" in said
        assert not any(line.startswith("r.yaml: no problems") for line in said.splitlines())


def test_what_is_left_of_a_run_holds_none_either(place: Path) -> None:
    assert "300 rows" in chef(place, "run", "r.yaml")
    for name in ("README.md", "manifest.json", "ledger.json"):
        text = (place / "corpus" / "r" / name).read_text(encoding="utf-8")
        assert raw_characters(text) == [], name
    card = (place / "corpus" / "r" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    names = [feature["name"] for feature in front["dataset_info"]["features"]]
    assert EVIL in names
    assert "<script" not in card
    assert not re.search(r"(?<!\\)\]\(", card)
    assert [line for line in card.splitlines() if line.startswith("# ")] == ["# r"]
    source = next(line for line in card.splitlines() if line.startswith("| a |"))
    assert len(re.findall(r"(?<!\\)\|", source)) == 4


def test_a_terminal_gets_colours_of_ours_alone(place: Path) -> None:
    """On a terminal bars and tables are drawn; what is in them still cannot draw."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command(place, "run", "r.yaml"), cwd=place, stdin=terminal, stdout=terminal,
        stderr=terminal, env=os.environ | {"DATACHEF_PLUGINS": "engines,sources", "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    raw = b""
    try:
        while piece := os.read(main, 65536):
            raw += piece
    except OSError:  # the other end is closed
        pass
    os.close(main)
    assert process.wait() == 0
    said = raw.decode()
    assert "\x1b[" in said
    for trick in ("\x1b]", "\x9b", "\u202e", "\u200b", "\x1b[2J", "\x1b[31mX", "\x7f", "\x07"):
        assert trick not in said


NAMES = (
    "שלום", "مرحبا", "می\u200cخواهم", "क्\u200dष", "e\u0301a\u0308\u0323", "日本\u3000語", "ด\u0e35",
    "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈",
)  # fmt: skip


def test_names_of_all_scripts_stay_as_they_are_written(tmp_path: Path) -> None:
    for name in NAMES:
        assert escaped(name) == one_line(name) == name
        assert markdown(name) == " ".join(name.split())
    for hidden in ("a\u200db", "\u200d", "👩\u200d", "\u200c\u200d", "م\u200c\u200dم", "م\u200c "):
        assert escaped(hidden).isprintable()
    sources = {f"s{n}": {"path": f"{name}.jsonl"} for n, name in enumerate(NAMES)}
    recipe = {"name": "r", "sources": sources, "output": {"format": "jsonl"}}
    (tmp_path / "r.yaml").write_text(document.dump(recipe), encoding="utf-8")
    for name in NAMES:
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name}))
    output = "-".join(NAMES)
    done = subprocess.run(
        [*CHEF, "run", "r.yaml", "-o", output],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode().splitlines()[-1] == output
    folder = tmp_path / output
    for file in ("manifest.json", "ledger.json"):
        json.loads((folder / file).read_bytes())
    (written,) = (folder / "data").glob("*.jsonl")
    assert {json.loads(line)["text"] for line in written.read_bytes().splitlines()} == set(NAMES)
    manifest = json.dumps(json.loads((folder / "manifest.json").read_bytes()), ensure_ascii=False)
    assert [name for name in NAMES if f"{name}.jsonl" not in manifest] == []


class Screen(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_over_itself_alone(terminal: bool) -> None:
    screen = Screen(terminal=terminal)
    stream = EscapingStream(screen)
    for text in ("error: true\n", "\r10%", "\r20%", "\n", "a name", "\rforged", "\r", "on\rly\r\n"):
        assert stream.write(text) == len(text)
    over = "\r" if terminal else "\n"
    last = "\ron" if terminal else "on"
    assert screen.getvalue() == f"error: true\n10%{over}20%\na name\nforged{last}\\rly\n"


@given(st.text())
def test_escaped_text_is_printed_and_tells_what_it_was(text: str) -> None:
    shown = escaped(text)
    assert raw_characters(shown) == []
    assert raw_characters(one_line(text)) == []
    assert not set(one_line(text)) & set("\n\t")
    assert escaped(shown) == shown
    if all(c.isprintable() for c in text):
        assert shown == text


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.recursive(TEXTS, lambda part: st.lists(part) | st.dictionaries(TEXTS, part)))
def test_escaped_json_means_the_same(data: object) -> None:
    raw = escaped_json(orjson.dumps(data))
    assert raw_characters(raw.decode()) == []
    assert orjson.loads(raw) == data


@given(st.text())
def test_markdown_is_one_line_without_markup(text: str) -> None:
    shown = markdown(text)
    assert "\n" not in shown
    assert raw_characters(shown) == []
    assert "<" not in shown
    plain = shown.replace("\\\\", "").replace("\\|", "").replace("\\`", "").replace("\\[", "")
    assert not set("|`[") & set(plain)


def test_a_message_cannot_forge_a_line_of_ours() -> None:
    shown = str(Problem("x", "first\nr.yaml: no problems", hint="a\nerror: b"))
    assert [line for line in shown.splitlines() if not line.startswith("    ")] == ["first"]
