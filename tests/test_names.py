"""Names are those of the field: no private vocabulary, and no name for two things."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "operators", "plugins", "policy", "reward")
# Found nowhere, whatever their case: not in code, messages, documentation or tests.
WORDS = [
    "kitchen", "kitchens", "pantry", "pantries", "surveyor", "surveyors", "stranger",
    "strangers", "with_reading", "klass", "klasses", "heard_outside", "FeatureMeter",
    "laboratory", "contender", "duel", "_ask_the_house", "MaskedPolicy", "GroupPolicy",
    "ProximalPolicy", "gopher_enough_stop_words", "duplicated_5_n_grams",
]  # fmt: skip
# Ordinary in prose, but no names of anything in code.
IDENTIFIERS = [
    "cook", "cooked", "Cooked", "SampleKitchen", "Pantry", "Stock", "Surveyor", "Survey",
    "survey", "surveys", "understand", "Loaded", "Scene", "scene", "objections", "Workshop",
    "workshop", "Intake", "intake", "Wave", "wave", "waves", "Unit", "Setting", "Measured",
    "Standing", "Klass", "KLASSES", "Opinions", "Scale", "Bank", "Contest", "Journal",
    "journal", "Spending", "Teller", "Book", "Walk", "Brief", "brief", "briefs", "Draft",
    "Episode", "episode", "episodes", "Assignment", "Objective", "persons", "PERSON",
]  # fmt: skip
# The table of old and new names for authors of plugins, and this list.
EXEMPT = {ROOT / "CHANGELOG.md", Path(__file__)}


def pages() -> Iterator[Path]:
    """All code and documentation of the project, without measured results."""
    for name in (*PACKAGES, "benchmarks", "docs", "examples", "tests"):
        for path in (ROOT / name).rglob("*"):
            shown = path.relative_to(ROOT).parts
            if path.suffix in {".py", ".pyi", ".md", ".yaml", ".toml"} and not (
                path in EXEMPT or "results" in shown or any(part[0] == "." for part in shown)
            ):
                yield path
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml"))


def test_no_word_of_a_private_vocabulary_is_left() -> None:
    pattern = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(WORDS)})(?![A-Za-z0-9_])", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in pages()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for word in pattern.findall(line)
    ]
    assert not found


def test_no_name_in_code_is_one_of_them() -> None:
    refused = set(IDENTIFIERS)
    found = set()
    for path in pages():
        if path.suffix in {".py", ".pyi"}:
            code = io.StringIO(path.read_text(encoding="utf-8"))
            for token in tokenize.generate_tokens(code.readline):
                if token.type == tokenize.NAME and token.string in refused:
                    found.add(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert not sorted(found)


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("stem", ["remembering", "watching", "scoring", "catalogue", "fitting"])
def test_no_module_is_named_for_an_activity(stem: str) -> None:
    assert not [path for package in PACKAGES for path in (ROOT / package).rglob(f"{stem}.py")]
