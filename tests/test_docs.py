"""Documentation says what the code does: hooks with their signatures, commands with help, examples
that run, links that lead somewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command import chef
from typer.testing import CliRunner

from datachef.core import Host, check_recipe
from datachef.core.cli import build
from datachef.core.cli.state import take_plugin_files
from datachef.core.document import dump, parse
from datachef.core.registry import hookspecs
from datachef.reward.features import FEATURE_DESCRIPTIONS
from datachef.reward.gates import GATES
from datachef.reward.text_measures import SIGNALS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Pages whose blocks are run in order: a block with a title is written to that file, other Python is
# run, and so is every line of a console block that begins with a dollar sign.
RUNNABLE = [
    *sorted((ROOT / "docs" / "extending").glob("*.md")),
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("operators", "outputs", "python-api", "troubleshooting")
    ),
]
BLOCK = re.compile(r'^```(\w+)(?: title="([\w./-]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def test_every_hook_is_documented_with_its_signature() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    tree = ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            returns = ast.unparse(node.returns) if node.returns else "None"
            signature = f"### `{node.name}({ast.unparse(node.args)}) -> {returns}`"
            assert signature in page
            assert (ast.get_docstring(node) or "?") in page


COMMANDS = (
    "run", "status", "report", "sample", "diff", "check", "plan", "schema", "ops", "plugins",
    "assets", "cache", "doctor", "import", "new", "train-classifier", "score", "evaluate", "fit",
    "history", "propose", "train", "evolve",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    shown = chef(command, "--help")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_yaml_in_the_pages_is_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert not parse(block).problems


def test_operators_that_the_pages_name_exist() -> None:
    vocabulary = Host().vocabulary
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        defined = re.findall(r'op: Literal\["(\w+)"\]|@row_operator[^\n]*\ndef (\w+)', text)
        known = {*vocabulary, *(name for names in defined for name in names)}
        for name in re.findall(r"op: ([a-z_0-9]+)", text):
            assert name in known, f"{page.name} names {name}"


def _here(library: str) -> list[str]:
    """What stands in the column `here` of a table of the page for those who come from a library."""
    page = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    section = page.partition(f"## {library}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+ \| (.+) \|$", section, re.MULTILINE)[1:]
    assert len(rows) > 10
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("library", ["datatrove", "Data-Juicer", "distilabel"])
def test_what_users_of_other_libraries_look_for_is_here(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are there with their options, and recipes with these parts lack files at most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", "http://localhost:9/v1")
    row = {"messages": [{"role": "assistant", "content": "42"}], "url": "u", "topic": "t"}
    Path("rows.jsonl").write_text(json.dumps(row | {"score": 1, "judge_score": 1}) + "\n")
    pages = {"path": "rows.jsonl"}
    host = Host()
    others = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("recipes", "outputs"))
    for code in _here(library):
        part = parse(code).data
        if code.startswith("chef "):
            words, _ = take_plugin_files(shlex.split(code)[1:])
            shown = CliRunner().invoke(build(host, words), [*words, "--help"])
            assert (shown.exit_code, "Usage: " in shown.output) == (0, True), (code, shown.output)
        elif isinstance(part, dict):
            recipe = {"name": "pages", "sources": {"pages": pages, "books": pages}}
            Path("recipe.yaml").write_text(
                dump(recipe | ({"steps": [part]} if "op" in part else part))
            )
            found = check_recipe(Path("recipe.yaml"), host).problems
            absent = {"no_file", "missing_model", "missing_asset", "missing_package"}
            assert {problem.code for problem in found} <= absent, (code, found)
        else:
            assert f"`{code}`" in others or f"`{code}(" in others, code


def test_every_feature_and_gate_is_on_the_page_about_rewards() -> None:
    page = (ROOT / "docs" / "reward.md").read_text(encoding="utf-8")
    for name in [*FEATURE_DESCRIPTIONS, *SIGNALS, *GATES]:
        assert f"| `{name}" in page


def test_ops_lists_everything_as_json() -> None:
    described = json.loads(chef("ops", "--json").stdout)["result"]
    assert {entry["op"] for entry in described} == set(Host().vocabulary)
    assert all(entry["description"] for entry in described)


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.stem))
def test_examples_run_as_they_are_printed(page: Path, tmp_path: Path) -> None:
    said: list[str] = []
    code = 0
    for language, title, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        if title:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(body, encoding="utf-8")
        elif language == "python":
            code, said = _run([sys.executable, "-c", body], tmp_path)
            assert code == 0, said
        elif language == "text":
            _assert_printed(body.splitlines(), said)
        elif language == "console":
            for command, *expected in _commands(body):
                if command == "echo $?":
                    assert expected == [str(code)], said
                    code = 0
                    continue
                assert code == 0, said
                code, said = _run(["bash", "-c", command], tmp_path)
                _assert_printed(expected, said)
            assert code == 0, said


def _commands(body: str) -> list[list[str]]:
    """Commands of a console block, each with the lines that it is expected to print."""
    found: list[list[str]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append([line.removeprefix("$ ")])
        else:
            found[-1].append(line)
    return found


def _run(command: list[str], folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "COLUMNS": "120",
            "DATACHEF_CACHE": str(folder / ".datachef"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, [line.rstrip() for line in done.stdout.splitlines()]


def _assert_printed(expected: list[str], said: list[str]) -> None:
    """All expected lines are printed, in order; `...` stands for any lines."""
    rest = iter(said)
    for line in expected:
        assert line == "..." or line.rstrip() in rest, f"{line!r} is not in {said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        if anchor:
            headings = HEADING.findall(target.read_text(encoding="utf-8"))
            assert anchor in {_anchor(heading) for heading in headings}, link


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f'"{page.relative_to(ROOT).as_posix()}"' in navigation


def test_the_reference_of_operators_tells_every_parameter(tmp_path: Path) -> None:
    assert chef("ops", "--output", tmp_path).stdout == ""
    vocabulary = Host().vocabulary
    for name in vocabulary:
        page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
        assert vocabulary[name].summary() in page
        for parameter, field in vocabulary[name].model_fields.items():
            assert parameter == "op" or f"| `{parameter}` |" in page
            assert (field.description or "").replace("|", "\\|") in page
    assert len(list(tmp_path.iterdir())) == len(vocabulary) + 1


def test_the_glossary_is_short() -> None:
    terms = re.findall(
        r"^\| ([\w -]+) \| (.+) \|$",
        (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )[1:]
    assert 10 < len(terms) <= 25
    assert len(dict(terms)) == len(terms)
    for _, meaning in terms:
        assert meaning.endswith(".")
        assert ". " not in meaning


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    file = ROOT
    for path, test in re.findall(r"`([\w/]+/\w+\.py)?((?:::\w+)*)`", text):
        if path:
            (file,) = (found for found in (ROOT / path, ROOT / "tests" / path) if found.is_file())
        for name in test.split("::")[1:]:
            assert re.search(rf"(?:def|class) {name}\b", file.read_text(encoding="utf-8")), name


FLOWS = {"A recipe to a corpus": 12, "A recipe to a score": 12, "A training step": 15}


@pytest.mark.parametrize(("flow", "most"), FLOWS.items(), ids=FLOWS)
def test_the_functions_of_a_flow_stand_where_the_page_says(flow: str, most: int) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition(f"### {flow}\n")[2].partition("\n### ")[0]
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", section)
    assert len(named) > 5
    assert len({file for file, _ in named}) <= most
    for file, function in named:
        body: list[ast.stmt] = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        for part in function.split("."):
            found = [node for node in body if getattr(node, "name", None) == part]
            assert found, f"{file} has no {function}"
            body = getattr(found[0], "body", [])


def test_every_package_is_in_the_picture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in ("core", "operators", "reward", "policy"):
        for package in (ROOT / folder).glob("*/__init__.py"):
            assert re.search(rf"\b{package.parent.name}\b", page), package
