"""Documentation says what the code does: hooks with their signatures, commands with help."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datachef.core import Host
from datachef.core.document import parse
from datachef.core.registry import hookspecs
from datachef.reward.features import FEATURE_DESCRIPTIONS
from datachef.reward.gates import GATES
from datachef.reward.text_measures import SIGNALS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


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
    "run", "report", "check", "plan", "schema", "ops", "plugins", "doctor",
    "score", "evaluate", "fit", "history", "propose", "train", "evolve",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "datachef.core.cli", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(shown.stdout.splitlines()) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_yaml_in_the_pages_is_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert not parse(block).problems


def test_operators_that_the_pages_name_exist() -> None:
    vocabulary = Host().vocabulary
    for page in PAGES:
        for name in re.findall(r"op: ([a-z_0-9]+)", page.read_text(encoding="utf-8")):
            assert name in vocabulary, f"{page.name} names {name}"


def test_every_feature_and_gate_is_on_the_page_about_rewards() -> None:
    page = (ROOT / "docs" / "reward.md").read_text(encoding="utf-8")
    for name in [*FEATURE_DESCRIPTIONS, *SIGNALS, *GATES]:
        assert f"| `{name}" in page


def test_ops_lists_everything_as_json() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "datachef.core.cli", "ops", "--json"],
        capture_output=True,
        check=True,
    )
    described = json.loads(shown.stdout)
    assert {entry["op"] for entry in described} == set(Host().vocabulary)
    assert all(entry["description"] for entry in described)
